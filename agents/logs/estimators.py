"""What a policy would have earned, estimated from decisions that another policy took.

Notation, for N logged decisions: action ``a``, its logged probability ``mu``, reward ``r``, the
judged policy's probability ``pi`` of the same action, weight ``w = pi / mu``. Every estimator
returns its value and its influence, the part that each decision has in the estimate's error; the
error's size, and the error of a difference of two estimates, follow from the influences alone.

The intervals are asymptotic: they cover their level as the number of users grows, and less when
few decisions carry the weight (which is why ``refusal`` comes first) or when rewards are rare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WEIGHT_ALARM = 4.0
"""Standard errors between the mean weight and 1 that are no longer taken for chance (6e-5)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, in the unit of the reward a decision."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on an estimate is refused instead of printed."""

    effective: float = 100.0
    """Least effective sample size, in decisions. Assumed: below it the intervals under-cover."""
    unsupported: float = 0.01
    """Largest share of the policy's choices that the log never took. Assumed."""


@dataclass(frozen=True, slots=True)
class WeightCheck:
    """What the weights say about how far the log can carry the answer."""

    effective: float
    """Effective sample size, in decisions."""
    mean: float
    """Mean weight: 1 in expectation when the propensities are true and the support complete."""
    standard_error: float
    """Of the mean weight."""
    largest_share: float
    """Share of the total weight that one decision carries."""
    unsupported: float
    """Share of the policy's choices on actions that the log never took."""


def importance_weights(probabilities: Floats, actions: Integers, propensities: Floats) -> Floats:
    """How many times as often the judged policy takes the logged action, ``w = pi / mu``.

    Args:
        probabilities: the judged policy's row for each decision, [N, A].
        actions: the logged actions, [N].
        propensities: their logged probabilities, (0, 1], [N].

    Returns:
        Weights >= 0, [N].
    """
    taken = probabilities[np.arange(len(actions)), actions]
    weights: Floats = taken / propensities
    return weights


def matching_weights(served: Integers, actions: Integers, propensities: Floats) -> Floats:
    """Weights of decisions really drawn by the judged policy, ``w = 1{served = a} / mu``.

    Unbiased as long as what was served did not depend on what had been logged, given what both
    policies saw. It needs no probability from the judged policy, at the price of more variance.

    Args:
        served: the actions that the judged policy drew, [N].
        actions: the logged actions, [N].
        propensities: their logged probabilities, (0, 1], [N].

    Returns:
        Weights, zero where the two disagree, [N].
    """
    return np.where(served == actions, 1.0 / propensities, 0.0)


def ips(weights: Floats, rewards: Floats) -> tuple[float, Floats]:
    """Inverse propensity scoring, ``V = mean(w r)``: unbiased when the propensities are true.

    Args:
        weights: [N], >= 0.
        rewards: [N].

    Returns:
        The value and the influences ``w r - V``, [N].

    Reference:
        Horvitz and Thompson, JASA 47 (1952).
    """
    value = float(np.mean(weights * rewards))
    return value, weights * rewards - value


def snips(weights: Floats, rewards: Floats) -> tuple[float, Floats]:
    """Self-normalised scoring, ``V = sum(w r) / sum(w)``: slightly biased, usually far calmer.

    The value stays within the range of the rewards and moves with them when they are shifted.

    Args:
        weights: [N], >= 0, not all zero.
        rewards: [N].

    Returns:
        The value and the influences ``w (r - V) / mean(w)`` of the delta method, [N].

    Reference:
        Swaminathan and Joachims, NeurIPS 2015; Hesterberg, Technometrics 37 (1995).
    """
    value = float(np.sum(weights * rewards) / np.sum(weights))
    return value, weights * (rewards - value) / np.mean(weights)


def doubly_robust(
    weights: Floats, rewards: Floats, taken: Floats, expected: Floats
) -> tuple[float, Floats]:
    """A model's answer, mended by the log: ``V = mean(expected + w (r - taken))``.

    Unbiased when the propensities are true, whatever the model says, as long as the model was not
    fitted to these decisions; the better it is, the calmer the estimate.

    Args:
        weights: [N], >= 0.
        rewards: [N].
        taken: what the model predicts for the logged action, [N].
        expected: its mean over the judged policy's actions, [N].

    Returns:
        The value and the influences, [N].

    Reference:
        Robins, Rotnitzky and Zhao, JASA 89 (1994); Dudik, Langford and Li, ICML 2011.
    """
    parts = expected + weights * (rewards - taken)
    value = float(np.mean(parts))
    return value, parts - value


ESTIMATORS = {"ips": ips, "snips": snips}
"""Those that need no model."""


def effective_sample_size(weights: Floats) -> float:
    """Decisions of equal weight that would be as informative, ``sum(w)^2 / sum(w^2)``.

    Args:
        weights: [N], >= 0.

    Returns:
        0 (no weight at all) to N.

    Reference:
        Kish, Survey Sampling (1965).
    """
    squares = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / squares if squares > 0 else 0.0


def interval(
    value: float, influence: Floats, users: Integers, effective: float, confidence: float = 0.95
) -> Estimate:
    """The value with a two-sided interval from Student's t.

    Influences of one user are added before they are squared, so several decisions of one user do
    not pass for independent ones. The degrees of freedom are the effective sample size less one,
    or the users less one if fewer.

    Args:
        value: the point estimate.
        influence: [N], mean zero.
        users: an integer for each decision's user, [N].
        effective: effective sample size of the weights behind the estimate.
        confidence: probability that the interval covers the true value, asymptotically.

    Returns:
        Value, low and high; infinite when fewer than two users or effective decisions are left.
    """
    _, member = np.unique(users, return_inverse=True)
    sums = np.bincount(member, weights=influence)
    freedom = min(effective, float(len(sums))) - 1.0
    if freedom <= 0:
        return Estimate(value, -np.inf, np.inf)
    variance = np.sum(sums**2) * len(sums) / (len(sums) - 1) / len(influence) ** 2
    half = float(stats.t.ppf(0.5 + confidence / 2, freedom) * np.sqrt(variance))
    return Estimate(value, value - half, value + half)


def check_weights(weights: Floats, unsupported: float) -> WeightCheck:
    """Measure the weights of a judged policy.

    Args:
        weights: [N], >= 0, at least two.
        unsupported: share of the policy's choices on actions that the log never took.
    """
    total = float(np.sum(weights))
    return WeightCheck(
        effective=effective_sample_size(weights),
        mean=total / len(weights),
        standard_error=float(np.std(weights, ddof=1)) / float(np.sqrt(len(weights))),
        largest_share=float(np.max(weights)) / total if total > 0 else 1.0,
        unsupported=unsupported,
    )


def refusal(check: WeightCheck, limits: Limits) -> str | None:
    """Why the log cannot answer for this policy; None when it can.

    Three reasons: the policy chooses what the log never took; the mean weight is not 1, so support
    is missing for some users or the propensities are wrong; the weight rests on too few decisions.
    """
    if check.unsupported > limits.unsupported:
        return (
            f"no support: {check.unsupported:.1%} of the policy's choices are actions that the "
            f"log never took (limit {limits.unsupported:.1%})"
        )
    if check.effective < limits.effective:
        return (
            f"effective sample size {check.effective:.1f} is below {limits.effective:.0f}: "
            "the log holds too few decisions like this policy's"
        )
    distance = abs(check.mean - 1.0)
    if distance > WEIGHT_ALARM * check.standard_error + limits.unsupported:
        return (
            f"the mean weight is {check.mean:.3f} instead of 1 (standard error "
            f"{check.standard_error:.3f}): propensities are wrong or support is missing"
        )
    return None
