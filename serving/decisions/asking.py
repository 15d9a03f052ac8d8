"""Requests for offers, understood against the catalogue."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from envs.catalogue import Catalogue
from envs.clock import EPOCH
from envs.rules import Rules
from serving.decisions.rounds import UNREAD, Asked
from serving.security import Naming
from serving.settings import Settings
from serving.words.bodies import OfferRequest
from serving.words.failures import Failure
from serving.words.location import Blur
from serving.words.signals import Signals
from serving.words.vocabulary import Vocabulary

EPOCH_S: Final = EPOCH.timestamp()


class Asking:
    """What callers of one catalogue ask for."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self._naming = Naming(settings.user_secret.encode())
        self._vocabulary = Vocabulary(catalogue)
        self.signals = Signals(settings.scenes, catalogue)
        self._rules = Rules(catalogue)
        self._blur = Blur.parse(settings.location)

    def understand(self, body: OfferRequest, place: str = "") -> Asked:
        """A request in the terms of the catalogue.

        Args:
            body: the request.
            place: what the names of its fields begin with in a failure.

        Raises:
            Failure: it names what the catalogue does not know.
        """
        words, identity = self._vocabulary, self._naming.user(body.user_id)
        decision_id = self._naming.decision(identity, body.request_id)
        told = body.attributes
        scene, evidence = self._scene(body, place)
        return Asked(
            identity=identity,
            user=identity,
            request_id=body.request_id,
            decision_id=decision_id,
            uniform=self._naming.uniform(decision_id),
            scene=scene,
            evidence=evidence,
            now=self._now(body.now, f"{place}now"),
            time_zone=words.zone(body.time_zone, f"{place}time_zone"),
            attributes=words.attributes(told, f"{place}attributes") if told else None,
            excluded=self._excluded(body, place),
            deferred=body.defer,
            place=self._place(body, decision_id),
        )

    def of(self, asked: Asked, person: str) -> Asked:
        """The same request, of the person whom the identity leads to."""
        decision_id = self._naming.decision(person, asked.request_id)
        uniform = self._naming.uniform(decision_id)
        return replace(asked, user=person, decision_id=decision_id, uniform=uniform)

    def _scene(self, body: OfferRequest, place: str) -> tuple[int, NDArray[np.float64] | None]:
        """The scene that was told, or what the signals say of each."""
        if body.scene is not None:
            if body.signals is not None:
                message = "give the scene or the signals, not both"
                raise Failure(422, "scene_and_signals", message, f"{place}signals")
            return self._vocabulary.index("scene", body.scene, f"{place}scene"), None
        if body.signals is None:
            raise Failure(422, "missing_field", "scene or signals is required", f"{place}scene")
        return UNREAD, self.signals.evidence(body.signals, f"{place}signals")

    def _now(self, told: str | None, field: str) -> int:
        if told is None:
            return int(time.time() - EPOCH_S)
        return self._vocabulary.time(told, field)

    def _excluded(self, body: OfferRequest, place: str) -> NDArray[np.uint32] | None:
        offers, channels = body.exclude_offers or (), body.exclude_channels or ()
        if not offers and not channels:
            return None
        for k, name in enumerate(offers):
            self._vocabulary.index("offer", name, f"{place}exclude_offers.{k}")
        for k, name in enumerate(channels):
            self._vocabulary.index("channel", name, f"{place}exclude_channels.{k}")
        return self._rules.excluded(tuple(offers), tuple(channels))

    def _place(self, body: OfferRequest, decision_id: str) -> tuple[float, float] | None:
        """Where the caller is, no more exactly than it may be kept."""
        where = body.location
        if where is None:
            return None
        seed = self._naming.noise(decision_id)
        return self._blur(where.latitude, where.longitude, seed)
