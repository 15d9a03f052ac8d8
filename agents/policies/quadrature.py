"""How likely each of several independent Gaussians is to be the largest, by quadrature."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REACH = 5.4
"""Standard deviations beyond which a Gaussian is taken as certain (3e-8 a tail)."""
PANEL = 2.5
"""Width of one quadrature panel, in standard deviations of the narrowest Gaussian there."""
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
CELLS = 32
"""Table cells a standard deviation for the normal distribution function."""
BLOCK = 50_000
"""Most (row, node, arm) triples evaluated at once: bounds the memory of a large batch."""


def best_probabilities(means: Floats, deviations: Floats, mask: Bools) -> Floats:
    """The chance that each allowed Gaussian draws the largest value of its row.

    Row n, arm a: the integral of phi((x - m_a) / s_a) / s_a times the product over b != a of
    Phi((x - m_b) / s_b), by Gauss-Legendre on panels as fine as the narrowest Gaussian near x.
    The absolute error of an entry is below 1e-6.

    Args:
        means: means, float64 [N, A].
        deviations: standard deviations, above 0 where allowed, float64 [N, A].
        mask: allowed arms, at least one a row, bool [N, A].

    Returns:
        float64 [N, A], 0 where not allowed, rows sum to 1.
    """
    low, contenders = _contenders(means, deviations, mask)
    answer: Floats = contenders.astype(np.float64)  # whoever has no rival is certain
    counts = contenders.sum(axis=1)
    for count in np.unique(counts[counts > 1]):  # most rows have few contenders
        rows = np.flatnonzero(counts == count)
        arms = np.nonzero(contenders[rows])[1].reshape(len(rows), count)
        m, s = (np.take_along_axis(of[rows], arms, axis=1) for of in (means, deviations))
        answer[rows[:, None], arms] = _of_contenders(m, s, low[rows])
    return answer


def _of_contenders(m: Floats, s: Floats, low: Floats) -> Floats:
    """The chances of rows of rivals, [N, K], that the maximum surely exceeds ``low``, [N]."""
    edges = _panel_edges(m, s, low)  # [N, P + 1]
    step = max(1, BLOCK // ((edges.shape[1] - 1) * len(NODES) * m.shape[1]))
    blocks = [slice(start, start + step) for start in range(0, len(m), step)]
    answer = np.concatenate([_integrate(m[rows], s[rows], edges[rows]) for rows in blocks])
    answer /= answer.sum(axis=1, keepdims=True)
    return answer


def _contenders(means: Floats, deviations: Floats, mask: Bools) -> tuple[Floats, Bools]:
    """The value that the maximum surely exceeds [N], and the arms that can exceed it [N, A]."""
    low = np.where(mask, means - REACH * deviations, -np.inf).max(axis=1)
    return low, mask & (means + REACH * deviations >= low[:, None])


def _panel_edges(m: Floats, s: Floats, low: Floats) -> Floats:
    """Edges of the panels of each row, float64 [N, P + 1]; rows that need fewer repeat edges.

    The axis is measured in widths of the narrowest Gaussian that matters there, and cut evenly.
    """
    reach = REACH + PANEL  # so that a panel that leaves a narrow Gaussian starts outside it
    ends = np.sort(np.concatenate([m - reach * s, m + reach * s], axis=1), axis=1)
    middle = (ends[:, 1:] + ends[:, :-1]) / 2
    near = np.abs(middle[:, :, None] - m[:, None, :]) <= reach * s[:, None, :]
    narrowest = np.where(near, s[:, None, :], np.inf).min(axis=2)  # [N, 2K - 1]
    lengths = np.diff(ends, axis=1) / narrowest
    measure = np.concatenate([np.zeros((len(m), 1)), np.cumsum(lengths, axis=1)], axis=1)
    high = (m + REACH * s).max(axis=1)
    first = _interpolate(low[:, None], ends, measure)
    last = _interpolate(high[:, None], ends, measure)
    panels = max(1, math.ceil(float((last - first).max()) / PANEL))
    cuts = first + (last - first) * np.linspace(0.0, 1.0, panels + 1)
    return _interpolate(cuts, measure, ends)


def _interpolate(x: Floats, knots: Floats, values: Floats) -> Floats:
    """Piecewise linear interpolation row by row; knots ascend, x within them."""
    cell = (x[:, :, None] >= knots[:, None, 1:-1]).sum(axis=2)
    left = np.take_along_axis(knots, cell, axis=1)
    base = np.take_along_axis(values, cell, axis=1)
    span = np.take_along_axis(knots, cell + 1, axis=1) - left
    rise = np.take_along_axis(values, cell + 1, axis=1) - base
    share = np.divide(x - left, span, out=np.zeros_like(x), where=span > 0)
    return base + np.clip(share, 0.0, 1.0) * rise


def _integrate(m: Floats, s: Floats, edges: Floats) -> Floats:
    """The integrals on the given panels, float64 [N, K]."""
    half = np.diff(edges, axis=1) / 2  # [N, P]
    x = (edges[:, :-1, None] + half[:, :, None] * (1.0 + NODES)).reshape(len(m), -1)  # [N, X]
    weights = (half[:, :, None] * WEIGHTS).reshape(len(m), -1)
    z = (x[:, :, None] - m[:, None, :]) / s[:, None, :]  # [N, X, K]
    below = normal_below(z)
    everyone = weights * below.prod(axis=2)
    density = np.exp(-0.5 * np.square(np.minimum(z, 40.0))) / below
    total: Floats = np.einsum("nx,nxk->nk", everyone, density) / (s * math.sqrt(2 * math.pi))
    return total


def _table() -> Floats:
    """Cubic Hermite pieces of the normal distribution function on [-8, 8], float64 [4, cells]."""
    at = np.arange(-8 * CELLS, 8 * CELLS + 1) / CELLS
    value = np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in at])
    slope = np.exp(-0.5 * at**2) / math.sqrt(2 * math.pi) / CELLS
    rise = np.diff(value)
    square = 3 * rise - 2 * slope[:-1] - slope[1:]
    cube = slope[:-1] + slope[1:] - 2 * rise
    return np.stack([value[:-1], slope[:-1], square, cube])


_PIECES = _table()


def normal_below(z: Floats) -> Floats:
    """The standard normal distribution function, to 1e-9, from a table."""
    place = np.clip((z + 8.0) * CELLS, 0.0, 16.0 * CELLS - 1e-9)
    cell = place.astype(np.intp)
    place -= cell
    constant, slope, square, cube = (row.take(cell) for row in _PIECES)
    result: Floats = ((cube * place + square) * place + slope) * place + constant
    return result
