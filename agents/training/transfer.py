"""A policy of one catalogue carried over to another: features and actions are met by name.

What both catalogues name keeps its weights. What is new to a Q-network starts from what it knows
of the nearest kin; what is new to linear beliefs starts from the prior. What is gone is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents.policy import Bundle, QNetworkPolicy
from envs.catalogue import Action, Catalogue
from envs.encoding import Encoding
from envs.errors import InputError

Layers = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
"""(weight [inputs, outputs], bias [outputs]) of each layer, first to last."""
FIRST_ROWS: Final = 4_096
"""Steps before the first update of a learner that already knows something."""
UNKNOWN: Final = -1
"""Place of a name that the old catalogue did not have."""


def places(new: Sequence[str], old: Sequence[str]) -> NDArray[np.int64]:
    """Where each new name stood among the old ones, or ``UNKNOWN``, int64 [N]."""
    known = {name: place for place, name in enumerate(old)}
    return np.asarray([known.get(name, UNKNOWN) for name in new], np.int64)


def transferred(bundle: Bundle, catalogue: Catalogue) -> QNetworkPolicy:
    """A Q-network's policy, carried over to another catalogue.

    With the features that are new at 0, the values of the actions that both catalogues have are
    exactly what they were with the features that are gone at 0. A new feature says nothing yet.
    A new action is worth as much as those of its offer and its channel are on average, or as any
    contact where it has no kin.

    Raises:
        InputError: the bundle holds another kind of policy.
    """
    policy = bundle.policy
    if not isinstance(policy, QNetworkPolicy):
        raise InputError(
            f"{bundle.path}: {policy.describe()}: only a Q-network can be carried over"
        )
    old = bundle.catalogue
    layers = with_inputs(policy.layers, places(Encoding(catalogue).names, Encoding(old).names))
    return QNetworkPolicy(with_outputs(layers, kin(catalogue, old)), policy.floor)


def with_inputs(layers: Layers, features: NDArray[np.int64]) -> Layers:
    """The same layers with other inputs; those that are ``UNKNOWN`` have no weight."""
    (weight, bias), *rest = layers
    moved = np.zeros((len(features), weight.shape[1]))
    known = features != UNKNOWN
    moved[known] = weight[features[known]]
    return ((moved, bias), *rest)


def with_outputs(layers: Layers, actions: Sequence[NDArray[np.int64]]) -> Layers:
    """The same layers with other outputs, each the mean of some old ones."""
    *rest, (weight, bias) = layers
    columns = [_mean(weight, old) for old in actions]
    biases = [_mean(bias[None], old) for old in actions]
    return (*rest, (np.stack(columns, axis=1), np.concatenate(biases)))


def _mean(values: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of some columns; of a single one exactly itself."""
    if len(columns) == 1:
        return values[:, columns[0]]
    mean: NDArray[np.float64] = values[:, columns].mean(axis=1)
    return mean


def kin(catalogue: Catalogue, old: Catalogue) -> list[NDArray[np.int64]]:
    """The old actions that say most of each action of a catalogue, as indices."""
    named = {action.name: action.index for action in old.actions}
    offers = [_names(old, action) for action in old.actions]
    found = []
    for action in catalogue.actions:
        if action.name in named:
            alike = [named[action.name]]
        else:
            offer, channel = _names(catalogue, action)
            alike = [place for place, (o, _) in enumerate(offers) if o == offer]
            alike += [place for place, (_, c) in enumerate(offers) if c == channel]
        found.append(np.asarray(alike or range(1, len(offers)), np.int64))
    return found


def _names(catalogue: Catalogue, action: Action) -> tuple[str, str]:
    """Offer and channel of an action; silence has neither."""
    if action.index == 0:
        return "", ""
    return catalogue.offers[action.offer].name, catalogue.channels[action.channel].name


def dueling(layers: Layers) -> dict[str, NDArray[np.float32]]:
    """The weights of a ``DuelingNetwork`` that computes the same values, by parameter name.

    The value of a situation is the mean over the actions; what an action adds is the rest.
    """
    *trunk, (weight, bias) = layers
    parameters: dict[str, NDArray[np.float64]] = {}
    for i, (matrix, offset) in enumerate(trunk):
        parameters |= {f"trunk.{i}.weight": matrix.T, f"trunk.{i}.bias": offset}
    parameters |= {
        "value.weight": weight.mean(axis=1)[None],
        "value.bias": bias.mean()[None],
        "advantage.weight": weight.T,
        "advantage.bias": bias,
    }
    return {name: np.ascontiguousarray(v, dtype=np.float32) for name, v in parameters.items()}


def warm_settings(settings: Any, bundle: Bundle) -> Any:
    """Settings of Q-learning that begins with what a bundle knows.

    The network has the bundle's shape, exploration begins where it would end, the first update
    comes early, and no critic teaches: it would begin from nothing.

    Args:
        settings: of Q-learning, as they are without the bundle.
        bundle: a Q-network's.
    """
    policy = transferred(bundle, bundle.catalogue)
    hidden = tuple(weight.shape[1] for weight, _ in policy.layers[:-1])
    last = settings.epsilon_last
    return settings.training(
        hidden=hidden, critic=False, epsilon=(last, last, 1), first_rows=FIRST_ROWS
    )


def start_from_bundle(algorithm: Any, bundle: Bundle, catalogue: Catalogue) -> None:
    """Let a Q-learning algorithm begin with a bundle, carried over to its catalogue.

    Values are brought to the algorithm's scale of rewards, where the bundle says what its own was.
    """
    own = algorithm.config.reward_scale
    scale = own / float(bundle.manifest.figures.get("reward_scale", own))
    start_from(algorithm, transferred(bundle, catalogue), scale)


def start_from(algorithm: Any, policy: QNetworkPolicy, scale: float = 1.0) -> None:
    """Let a Q-learning algorithm begin with the values of a policy: learners and runners alike.

    A critic that sees what is hidden would teach the network anew from nothing: learn without one.

    Args:
        algorithm: built, not trained yet; its hidden layers have the policy's widths.
        policy: of the algorithm's catalogue.
        scale: the algorithm's learnt values per value of the policy: what rewards are multiplied
            by here, over what they were multiplied by when the policy was learnt.

    Raises:
        InputError: widths that do not fit.
    """
    widths = tuple(weight.shape[1] for weight, _ in policy.layers[:-1])
    if widths != tuple(algorithm.config.hidden):
        raise InputError(
            f"the policy has hidden layers {widths}, the learner {tuple(algorithm.config.hidden)}: "
            "give the learner the same"
        )
    *trunk, (weight, bias) = policy.layers
    parameters = dueling((*trunk, (weight * scale, bias * scale)))
    algorithm.learner_group.foreach_learner(lambda learner: _load(learner, parameters))
    if algorithm.env_runner_group is not None:
        algorithm.hand_over()


def _load(learner: Any, parameters: dict[str, NDArray[np.float32]]) -> None:
    """Put weights into the network that chooses and the one that follows it."""
    import torch

    for module in learner.module._rl_modules.values():
        for network in (module.unwrapped().net, module.unwrapped().target):
            own = network.state_dict()  # whose tensors are the network's own
            for name, array in parameters.items():
                own[name].copy_(torch.from_numpy(array))
