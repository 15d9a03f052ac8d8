"""One business served: its users in Redis, its policy, and the calls that touch them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from redis.exceptions import RedisError

from agents.baselines import is_baseline
from agents.policy import load_bundle, load_policy
from envs.catalogue import Catalogue, load_catalogue
from envs.clock import to_datetime
from envs.decisions import Policy
from envs.errors import InputError
from envs.users import UserState
from serving.admission import Limits
from serving.bodies import DecisionAnswer, LinkedEvent, OfferAnswer, Why
from serving.decide import Decider, stand
from serving.events import Happenings
from serving.failures import Failure
from serving.metrics import Metrics
from serving.offers import Offers
from serving.security import Keys
from serving.settings import Settings
from serving.state import Store

logger = logging.getLogger(__name__)

DECISION_ID: Final = re.compile(r"[0-9a-f]{32}-[0-9a-f]{20}")

PATIENCE_S: Final = 1.0
"""How long probes and explanations wait for Redis."""


class Service:
    """Everything behind the HTTP calls, for one catalogue."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self.keys = Keys.parse(settings.api_keys)
        self.limits = Limits(settings.rate_limit)
        self.metrics = Metrics(settings.metrics_dir)
        self.store = Store(catalogue, settings)
        self.offers = Offers(catalogue, settings, self.store, self.metrics)
        self.happenings = Happenings(catalogue, settings, self.store, self.metrics)
        self.refused_policy: str | None = None
        """Why the policy that was last asked for does not serve."""

    def serve_policy(self, policy: Policy) -> None:
        """Let another policy decide from now on."""
        decider = Decider(self.catalogue, policy)
        nobody = UserState.empty(self.catalogue, 1)
        decider.decide(nobody, stand(0, 0, self.settings.time_zone), np.zeros(1))  # warms up
        self.offers.decider = decider
        self.refused_policy = None

    async def warm_up(self) -> None:
        """Do before the first call what would make it late; without Redis, do nothing."""
        with suppress(RedisError, OSError):
            async with asyncio.timeout(PATIENCE_S):
                await self.store.load_scripts()

    def change_policy(self, spec: str) -> bool:
        """Let the policy that ``spec`` names decide; one that is refused changes nothing.

        Args:
            spec: folder of a bundle, or the name of a baseline.

        Returns:
            Whether it decides now; if not, ``refused_policy`` says why.
        """
        try:
            policy = load_policy(spec, self.catalogue, served=True)
        except (InputError, OSError) as error:
            running = self.offers.decider.policy_name
            logger.error("policy %s is refused, %s goes on: %s", spec, running, error)
            self.refused_policy = str(error)
            return False
        self.serve_policy(policy)
        logger.info("policy %s serves", policy.name)
        return True

    async def status(self) -> dict[str, str | bool | None]:
        """What serves, once decisions are possible.

        Raises:
            Failure: 503 while they are not.
        """
        decider = self.offers.decider
        if decider.policy is None:
            raise Failure(503, "not_ready", f"no policy serves: {self.refused_policy}")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.store.ping()
        except (RedisError, OSError):
            raise Failure(503, "not_ready", "Redis does not answer") from None
        return {
            "ready": True,
            "policy": decider.policy_name,
            "catalogue": self.catalogue.name,
            "catalogue_hash": self.catalogue.hash,
            "refused_policy": self.refused_policy,
        }

    async def metrics_text(self) -> bytes:
        """The metrics of this service."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                lag = await self.store.journal_lag()
        except (RedisError, OSError):
            lag = None
        return self.metrics.text(lag, lag is not None and self.offers.decider.policy is not None)

    async def explain(self, decision_id: str) -> DecisionAnswer:
        """A decision, why it was taken, and what came of it.

        Raises:
            Failure: 404 for an id that is not known, 503 when Redis does not answer.
        """
        if not DECISION_ID.fullmatch(decision_id):
            raise _unknown()
        try:
            async with asyncio.timeout(PATIENCE_S):
                fields = await self.store.decision(decision_id)
        except (RedisError, OSError):
            raise Failure(503, "not_ready", "Redis does not answer: ask again") from None
        if fields is None or "answer" not in fields:
            raise _unknown()
        linked = (value for name, value in fields.items() if name.startswith("event:"))
        events = sorted((json.loads(text) for text in linked), key=_time)
        return DecisionAnswer(
            decision=OfferAnswer.model_validate_json(fields["answer"]),
            scene=self.catalogue.scenes[int(fields["scene"])].name,
            time=_iso(int(fields["time"])),
            time_zone=fields["zone"].decode(),
            why=self._why(fields),
            events=[LinkedEvent(**event | {"time": _iso(event["time"])}) for event in events],
        )

    def _why(self, fields: dict[str, bytes]) -> Why:
        actions, decider = self.catalogue.actions, self.offers.decider
        refusals = np.frombuffer(fields["refusals"], np.uint32).tolist()
        chances = np.frombuffer(fields["probabilities"], np.float64).tolist()
        seen = np.frombuffer(fields["observation"], np.float32).tolist()
        return Why(
            refusals={
                action.name: list(decider.rules.explain(bits))
                for action, bits in zip(actions, refusals, strict=True)
                if bits
            },
            probabilities={
                action.name: chance
                for action, chance in zip(actions, chances, strict=True)
                if chance > 0
            },
            observation={
                name: value
                for name, value in zip(decider.encoding.names, seen, strict=True)
                if value
            },
        )


def catalogue_of(policy: str, catalogue: Path | None) -> Catalogue:
    """The catalogue to serve: the one given, else the bundle's own, else the default one.

    The policy is loaded once here, so that what is wrong with it is known before anything starts.

    Raises:
        InputError: a catalogue or a policy that is refused.
    """
    if catalogue is not None or is_baseline(policy) or not Path(policy).is_dir():
        found = load_catalogue(catalogue)
        load_policy(policy, found, served=True)
        return found
    return load_bundle(Path(policy), served=True).catalogue


def _unknown() -> Failure:
    message = "no such decision: it was never taken, was degraded, or is no longer kept"
    return Failure(404, "unknown_decision", message, "decision_id")


def _time(event: dict[str, Any]) -> int:
    return int(event["time"])


def _iso(seconds: int) -> str:
    return f"{to_datetime(seconds):%Y-%m-%dT%H:%M:%SZ}"
