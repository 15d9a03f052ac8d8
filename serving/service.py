"""One business served: its users in Redis, its policies, and the calls that touch them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.baselines import is_baseline
from agents.policy import is_folder, load_bundle, load_policy
from envs.catalogue import Catalogue, load_catalogue
from envs.decisions import Policy
from serving.access.admission import Limits
from serving.budgets.budget import Budget
from serving.decisions.deferrals import Deferrals, unknown_decision
from serving.decisions.events import Happenings
from serving.decisions.explain import DECISION_ID, Explaining
from serving.decisions.offers import Offers
from serving.people.people import People
from serving.personalizer.personalizer import Personalizer
from serving.policies.policies import Policies
from serving.policies.standing import ROLES
from serving.security import Keys
from serving.settings import Settings
from serving.store.connect import GONE
from serving.store.state import DAY_S, Store
from serving.watching.breaker import Breaker
from serving.watching.metrics import Metrics
from serving.words.bodies import DecisionAnswer
from serving.words.failures import Failure
from serving.words.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PATIENCE_S: Final = 1.0
"""How long probes and explanations wait for Redis."""


class Service:
    """Everything behind the HTTP calls, for one catalogue."""

    def __init__(self, catalogue: Catalogue, settings: Settings) -> None:
        self.catalogue = catalogue
        self.settings = settings
        self.keys = Keys.parse(settings.api_keys)
        self.limits = Limits(settings.rate_limit)
        self.metrics = metrics = Metrics(settings.metrics_dir)
        self.store = store = Store(catalogue, settings)
        self.policies = Policies(catalogue, settings, store.space)
        self.budget = Budget(catalogue, settings, store.redis, store.space)
        self.people = People(catalogue, store.space, store.redis, settings.user_days * DAY_S)
        self.policies.told = self._tell_metrics
        self.breaker = Breaker(changed=metrics.breaker_is)
        self.offers = Offers(
            catalogue,
            settings,
            store,
            metrics,
            self.policies,
            self.budget,
            self.people,
            self.breaker,
        )
        self.happenings = Happenings(catalogue, settings, store, metrics, self.people)
        self.deferrals = Deferrals(catalogue, settings, store, metrics, self.budget, self.people)
        self.personalizer = Personalizer(catalogue, settings, store, self.offers, self.deferrals)
        self._vocabulary = Vocabulary(catalogue)
        self._explaining = Explaining(catalogue)

    async def start(self) -> None:
        """Do before the first call what would make it late, and begin what goes on beside calls."""
        with suppress(*GONE):
            async with asyncio.timeout(PATIENCE_S):
                await self.store.load_scripts()
        await self.policies.start()
        await self.budget.start()
        await self.deferrals.start()

    async def stop(self) -> None:
        """End what goes on beside the calls, and give back what is held."""
        await self.deferrals.stop()
        await self.budget.stop()
        await self.policies.stop()
        await self.store.close()

    def serve_policy(self, policy: Policy) -> None:
        """Let a policy decide from now on, on this replica alone."""
        self.policies.fix(policy)

    def _tell_metrics(self, policies: Policies) -> None:
        named = policies.names()
        for role in ROLES:
            self.metrics.policy_is(role, named.get(role))
        self.metrics.policy_refused(policies.refused_policy is not None)
        self.metrics.version_is(policies.version)

    async def status(self) -> dict[str, str | bool | int | None]:
        """What serves, once decisions are possible.

        Raises:
            Failure: 503 while they are not.
        """
        serving = self.policies.serving
        if serving.policy is None:
            raise Failure(503, "not_ready", "no policy serves: the log says why")
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.store.ping()
        except GONE:
            raise Failure(503, "not_ready", "Redis does not answer") from None
        return {
            "ready": True,
            "policy": serving.policy_name,
            "policies_version": self.policies.version,
            "catalogue": self.catalogue.name,
            "catalogue_hash": self.catalogue.hash,
            "refused_policy": self.policies.refused_policy is not None,
        }

    async def metrics_text(self) -> bytes:
        """The metrics of this service."""
        lag, budget = None, None
        with suppress(*GONE):
            async with asyncio.timeout(PATIENCE_S):
                lag = await self.store.journal_lag()
                budget = await self.budget.state() if self.settings.budget_cents else None
        ready = lag is not None and self.policies.serving.policy is not None
        # In a thread: it may wait for other replicas that share the folder.
        return await asyncio.to_thread(
            self.metrics.text, lag, ready, budget, self.settings.replicas
        )

    async def activate(self, decision_id: str, told: str | None) -> None:
        """Count a deferred decision as shown.

        Args:
            decision_id: of the decision.
            told: when it is shown, as the caller says; now if None.

        Raises:
            Failure: see ``Deferrals.activate``; 422 for a time that is none.
        """
        now = None if told is None else self._vocabulary.time(told, "time")
        if not DECISION_ID.fullmatch(decision_id):
            raise unknown_decision()
        await self.deferrals.activate(decision_id, now)

    async def explain(self, decision_id: str) -> DecisionAnswer:
        """A decision, why it was taken, and what came of it.

        Raises:
            Failure: 404 for an id that is not known, 503 when Redis does not answer.
        """
        if not DECISION_ID.fullmatch(decision_id):
            raise unknown_decision()
        try:
            async with asyncio.timeout(PATIENCE_S):
                fields = await self.store.decision(decision_id)
        except GONE:
            raise Failure(503, "not_ready", "Redis does not answer: ask again") from None
        if fields is None or "record" not in fields:
            raise unknown_decision()
        return self._explaining.explain(fields)


def catalogue_of(policy: str, catalogue: Path | None) -> Catalogue:
    """The catalogue to serve: the one given, else the bundle's own, else the default one.

    The policy is loaded once here, so that what is wrong with it is known before anything starts.

    Raises:
        InputError: a catalogue or a policy that is refused.
    """
    if catalogue is not None or is_baseline(policy) or not is_folder(policy):
        found = load_catalogue(catalogue)
        load_policy(policy, found, served=True)
        return found
    return load_bundle(Path(policy), served=True).catalogue
