"""What an application tells of new people before they act: attributes and consents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.decisions import EventKind, Events
from simulators.population import Traits


def introduction(
    catalogue: Catalogue,
    rows: NDArray[np.int64],
    keys: NDArray[np.uint64],
    traits: Traits,
    told: NDArray[np.float32] | None,
    time_s: int,
) -> Events:
    """One DESCRIBED event a person, and OPTED_IN for each channel that needs consent and has it.

    Args:
        catalogue: names attributes and channels.
        rows: the persons', int64 [M].
        keys: where each person's luck begins, uint64 [M]; they make the events' identities.
        traits: the persons'.
        told: attributes, float32 [M, J]; None when there is nothing to tell.
        time_s: when, seconds since the epoch.
    """
    time, own = np.int32(time_s), keys | np.uint64(1)
    parts = []
    if told is not None:
        parts.append(Events.of(rows, EventKind.DESCRIBED, time, key=own, attributes=told))
    for index, channel in enumerate(catalogue.channels):
        if channel.consent == "required":
            agreed = np.flatnonzero(traits.consents >> np.uint16(index) & 1)
            key = own[agreed] ^ np.uint64(2 * index + 2)
            parts.append(Events.of(rows[agreed], EventKind.OPTED_IN, time, channel=index, key=key))
    return Events.concatenate(parts)
