"""The critic's values: of one action and of all, and what it teaches."""

from __future__ import annotations

import pytest
import torch

from agents.learning.critic import Critic, taught
from agents.learning.q_learner import apart


class Weights:
    """Two groups of contacts that tire in different measure."""

    group = (0, 1, 2, 1)
    hidden = ((0.0, 0.0), (0.0, 1.0), (0.0, 0.5))


def critic() -> Critic:
    torch.manual_seed(0)
    return Critic(3, (8, 4), Weights())


def test_all_actions_have_the_values_they_have_alone() -> None:
    observations, hidden = torch.rand(5, 3), torch.rand(5, 2)
    values = critic().every(observations, hidden)
    for action in range(4):
        alone = critic()(observations, hidden, torch.full((5,), action))
        torch.testing.assert_close(values[:, action], alone)


def test_actions_of_a_group_are_followed_by_the_same() -> None:
    values = critic().every(torch.rand(5, 3), torch.rand(5, 2))
    assert torch.equal(values[:, 1], values[:, 3]) and not torch.equal(values[:, 1], values[:, 2])


def test_what_an_action_adds_counts_as_if_it_had_been_there_before() -> None:
    made, observations, hidden = critic(), torch.rand(5, 3), torch.rand(5, 2)
    with torch.no_grad():
        made.first.weight[:, -3:] = 0.0  # the groups themselves say nothing
    tired = hidden + torch.tensor([0.0, 1.0])
    values, after = made.every(observations, hidden), made.every(observations, tired)
    torch.testing.assert_close(values[:, 1], after[:, 0])


def test_only_differences_to_silence_of_allowed_actions_are_taught() -> None:
    values = torch.tensor([[1.0, 2.0, 9.0]])
    teacher = torch.tensor([[5.0, 8.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    assert float(taught(values, teacher, mask)) == pytest.approx((1.0 - 3.0) ** 2)
    assert float(taught(values + 7.0, teacher, mask)) == pytest.approx(4.0)


def test_what_twins_err_alike_costs_nothing() -> None:
    errors = torch.tensor([1.0, 3.0, 5.0, 5.0])
    assert apart(errors).item() == pytest.approx((2.0**2 + 0.0) / 2)
    assert apart(errors + 100.0).item() == pytest.approx(apart(errors).item())
