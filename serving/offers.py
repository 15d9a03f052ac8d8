"""The call that decides: read the user, decide, commit; and the safe answer when that fails."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError

from envs.catalogue import SILENCE, Catalogue
from envs.clock import DAY, EPOCH, to_datetime
from envs.users import advance, pack
from serving.bodies import OfferRequest
from serving.decide import Decider, Verdict, described, stand
from serving.metrics import Metrics
from serving.patience import Patience
from serving.security import Naming
from serving.settings import Settings
from serving.state import DecisionCommit, Store, StoredUser
from serving.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

TRIES: Final = 6
"""How often a decision is taken anew because the user changed meanwhile."""
EPOCH_S: Final = EPOCH.timestamp()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, understood."""

    user: str
    """Hashed."""
    decision_id: str
    scene: int
    now: int
    """Seconds since the epoch of ``envs.clock``."""
    time_zone: str | None
    attributes: NDArray[np.float32] | None
    """[J], NaN where not told."""
    excluded: NDArray[np.uint32] | None
    """Refusals by the caller, [A]."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A decision that is not committed yet."""

    commit: DecisionCommit
    verdict: Verdict
    answer: bytes
    refused: dict[str, int]


class Offers:
    """Decides for the users of one catalogue."""

    def __init__(
        self, catalogue: Catalogue, settings: Settings, store: Store, metrics: Metrics
    ) -> None:
        self.catalogue = catalogue
        self.decider = Decider(catalogue, None)
        """Replaced when another policy is to serve; a decision uses one throughout."""
        self._zone = settings.time_zone
        self._patience_s = settings.redis_timeout_ms / 1000
        self._store = store
        self._metrics = metrics
        self._naming = Naming(settings.user_secret.encode())
        self._vocabulary = Vocabulary(catalogue)

    async def answer(self, body: OfferRequest) -> bytes:
        """The answer to a request as JSON; the same bytes whenever the request is repeated.

        Raises:
            Failure: the request names what the catalogue does not know.
        """
        asked = self._understand(body)
        try:
            answer, reason = await self._decided(asked), "race"
        except (RedisError, OSError):
            answer, reason = None, "redis"
        except Exception:  # an offer service answers, whatever happens behind it
            logger.exception("a decision failed: silence instead")
            answer, reason = None, "error"
        if answer is None:
            self._metrics.degraded.labels(reason).inc()
            return self._silence(asked)
        return answer

    def _understand(self, body: OfferRequest) -> Asked:
        words, user = self._vocabulary, self._naming.user(body.user_id)
        return Asked(
            user=user,
            decision_id=self._naming.decision(user, body.request_id),
            scene=words.index("scene", body.scene, "scene"),
            now=int(time.time() - EPOCH_S) if body.now is None else words.time(body.now, "now"),
            time_zone=words.zone(body.time_zone, "time_zone"),
            attributes=words.attributes(body.attributes, "attributes") if body.attributes else None,
            excluded=self._excluded(body),
        )

    def _excluded(self, body: OfferRequest) -> NDArray[np.uint32] | None:
        offers, channels = body.exclude_offers or (), body.exclude_channels or ()
        if not offers and not channels:
            return None
        for k, name in enumerate(offers):
            self._vocabulary.index("offer", name, f"exclude_offers.{k}")
        for k, name in enumerate(channels):
            self._vocabulary.index("channel", name, f"exclude_channels.{k}")
        return self.decider.rules.excluded(tuple(offers), tuple(channels))

    async def _decided(self, asked: Asked) -> bytes | None:
        """The answer, decided now or before; None when every try lost the race."""
        patience = Patience(self._patience_s)
        for _ in range(TRIES):
            reading = await patience.wait(self._store.read(asked.user, asked.decision_id))
            if reading.answer is not None:
                self._metrics.repeated.inc()
                return reading.answer
            decider = self.decider
            proposal = self._propose(decider, reading.user, asked)
            until_s = time.monotonic() + patience.left_s
            commit = self._store.commit(proposal.commit, reading.clock_s + until_s)
            written = await patience.wait(commit)
            if isinstance(written, bytes):
                self._metrics.repeated.inc()
                return written
            if written:
                self._count(decider, asked, proposal)
                return proposal.answer
            self._metrics.races.inc()
            if patience.over:
                break
        return None

    def _propose(self, decider: Decider, stored: StoredUser, asked: Asked) -> Proposal:
        """Decide on what is known of the user, and say what to write if nobody was faster."""
        zone = asked.time_zone or stored.zone or self._zone
        moment = stand(asked.scene, asked.now, zone)
        users = self._store.unpacked([stored])
        if asked.attributes is not None:
            advance(users, described(0, asked.now, asked.attributes))
        uniform = np.asarray([self._naming.uniform(asked.decision_id)])
        verdict = decider.decide(users, moment, uniform, asked.excluded)
        contacts = decider.contacts(moment, verdict.actions)
        attributes = users.attributes[0].tobytes()
        if len(contacts):
            advance(users, contacts)
        changed = len(contacts) or asked.attributes is not None or asked.time_zone is not None
        refused = decider.refused(verdict.refusals[0])
        answer = self._text(decider, asked, verdict, refused)
        commit = DecisionCommit(
            decision_id=asked.decision_id,
            version=stored.version,
            state=pack(users).tobytes() if changed else b"",
            zone=zone,
            record=_record(asked, zone, verdict, answer),
            entry=_entry(asked, verdict, attributes, decider.policy_name),
        )
        return Proposal(commit, verdict, answer, refused)

    def _text(
        self, decider: Decider, asked: Asked, verdict: Verdict, refused: dict[str, int]
    ) -> bytes:
        action = self.catalogue.actions[int(verdict.actions[0])]
        offer = self.catalogue.offers[action.offer] if action.index else None
        expiry = to_datetime(asked.now + self.catalogue.offer_days * DAY)
        return _json(
            {
                "decision_id": asked.decision_id,
                "action": action.name,
                "offer": offer.name if offer else None,
                "channel": self.catalogue.channels[action.channel].name if offer else None,
                "title": offer.title if offer else None,
                "content": {
                    "kind": offer.kind,
                    "title": offer.title,
                    "discount": offer.discount,
                }
                if offer
                else None,
                "expires_at": f"{expiry:%Y-%m-%dT%H:%M:%SZ}" if offer else None,
                "propensity": float(verdict.propensities[0]),
                "policy": decider.policy_name,
                "degraded": bool(verdict.degraded[0]),
                "refused": refused,
            }
        )

    def _silence(self, asked: Asked) -> bytes:
        """The safe answer, when nothing can be known or kept; never learnt from."""
        empty = dict.fromkeys(("offer", "channel", "title", "content", "expires_at"))
        return _json(
            {
                "decision_id": asked.decision_id,
                "action": SILENCE,
                **empty,
                "propensity": 1.0,
                "policy": self.decider.policy_name,
                "degraded": True,
                "refused": {},
            }
        )

    def _count(self, decider: Decider, asked: Asked, proposal: Proposal) -> None:
        action = self.catalogue.actions[int(proposal.verdict.actions[0])]
        channel = self.catalogue.channels[action.channel].name if action.index else SILENCE
        scene = self.catalogue.scenes[asked.scene].name
        self._metrics.count_decision(scene, channel, decider.policy_name, proposal.refused)
        if proposal.verdict.degraded[0]:
            self._metrics.degraded.labels("policy").inc()


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _record(asked: Asked, zone: str, verdict: Verdict, answer: bytes) -> list[bytes | str | int]:
    """What is kept of a decision, so that it can be explained."""
    return [
        *("answer", answer),
        *("scene", asked.scene),
        *("time", asked.now),
        *("zone", zone),
        *("refusals", verdict.refusals[0].tobytes()),
        *("probabilities", verdict.probabilities[0].tobytes()),
        *("observation", verdict.observations[0].tobytes()),
    ]


def _entry(
    asked: Asked, verdict: Verdict, attributes: bytes, policy: str
) -> list[bytes | str | int]:
    """What the journal is told of a decision."""
    return [
        *("decision", asked.decision_id),
        *("time", asked.now),
        *("scene", asked.scene),
        *("action", int(verdict.actions[0])),
        *("propensity", repr(float(verdict.propensities[0]))),
        *("observation", verdict.observations[0].tobytes()),
        *("mask", np.packbits(verdict.mask[0]).tobytes()),
        *("attributes", attributes),
        *("degraded", int(verdict.degraded[0])),
        *("policy", policy),
    ]
