"""What the service counts of itself, as Prometheus reads it.

Several replicas on one machine share a folder in which the client library adds their counts up, so
that any of them can answer for all. No label says anything of a user.
``docs/deploy/observability/README.md`` explains each metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.watching.breaker import STATES, State
from serving.watching.metrics_folder import MetricsFolder

NO_POLICY: Final = "none"
"""What decisions call it when there is no policy."""
REASONS: Final = ("redis", "breaker", "race", "error", "policy")
DEFERRAL_STATES: Final = ("deferred", "activated", "lapsed")
SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
BUDGET: Final = {
    "budget_cents": "What may be spent in this period.",
    "plan_cents": "What the plan would have spent by now.",
    "settled_cents": "What the settled leases of this period have spent.",
    "open_cents": "What replicas hold in leases that are not settled yet.",
    "price": "Lambda, what a cent of budget costs a decision, in cents.",
}
"""Keys of ``Budget.state()``, each a gauge ``scenelift_budget_KEY``."""


class Metrics:
    """The counts of one service, seen from one replica."""

    def __init__(self, shared_folder: str = "") -> None:
        self._folder = MetricsFolder(Path(shared_folder)) if shared_folder else None
        disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asks for these times
        self.registry = CollectorRegistry()
        self._children: dict[tuple[str, ...], Counter] = {}
        self._took: dict[str, Histogram] = {}
        self._add_counters()
        self._add_gauges()
        self.seconds = Histogram(
            "scenelift_seconds",
            "Time to answer a call.",
            ("call",),
            buckets=SECONDS,
            registry=self.registry,
        )

    def _add_counters(self) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"scenelift_{name}", meaning, labels, registry=self.registry)

        self.decisions = counter(
            "decisions", "Decisions taken.", "scene", "channel", "policy", "arm"
        )
        self.refusals = counter("refusals", "Actions refused, by rule.", "rule")
        self.degraded = counter(
            "degraded", "Answers with silence in the place of a decision, by reason.", "reason"
        )
        self.repeated = counter(
            "repeated_requests", "Requests that got the answer of an earlier one."
        )
        self.events = counter("events", "Events told.", "kind", "result")
        self.outcomes = counter("outcomes", "What came of decisions, each once.", "kind")
        self.deferrals = counter(
            "deferrals", "Decisions deferred, and what became of them.", "state"
        )
        self.races = counter("lost_races", "Commits refused because the user had changed.")
        self.reserved = counter("reserved_cents", "Cents that decisions have set aside.")
        self.openings = counter("breaker_openings", "Times that Redis was found to be gone.")
        for reason in REASONS:  # from 0 on, so that the first one is a rise
            self.degraded.labels(reason)
        for state in DEFERRAL_STATES:
            self.deferrals.labels(state)

    def _add_gauges(self) -> None:
        """Each replica says how it is; the sum over those alive is how many are like that."""

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(
                f"scenelift_{name}",
                meaning,
                labels,
                registry=self.registry,
                multiprocess_mode="livesum",
            )

        self.replicas = gauge("replicas", "Replicas alive.")
        self.replicas_ready = gauge("replicas_ready", "Replicas that have a policy.")
        self.breakers = gauge("breaker_replicas", "Replicas, by state of the breaker.", "state")
        self.policies = gauge(
            "policy_replicas", "Replicas, by policy and what it does there.", "policy", "role"
        )
        self.refused_policies = gauge(
            "policy_refused_replicas", "Replicas that refuse the policy last asked for."
        )
        self.version = Gauge(
            "scenelift_policy_version",
            "Version of the policies that a replica follows, 0 for none.",
            registry=self.registry,
            multiprocess_mode="liveall",
        )
        self._roles: dict[str, str] = {}
        self._breaker: State = "closed"
        self.replicas.set(1)
        self.replicas_ready.set(0)
        self.refused_policies.set(0)
        self.breaker_is("closed")

    def count_decisions(
        self, scene: str, channel: str, policy: str, arm: str, number: int = 1
    ) -> None:
        """Decisions of one kind were taken and written.

        Args:
            scene: name of the scene.
            channel: name of the channel, or silence.
            policy: name of the policy.
            arm: arm of the experiment.
            number: how many.
        """
        self._child(self.decisions, "d", scene, channel, policy, arm).inc(number)

    def count_refusals(self, refused: Mapping[str, int], cents: int = 0) -> None:
        """What rules refused, and what decisions set aside.

        Args:
            refused: rule to actions it refused.
            cents: set aside of the budget.
        """
        for rule, count in refused.items():
            self._child(self.refusals, "r", rule).inc(count)
        if cents:
            self.reserved.inc(cents)

    def count_degraded(self, reason: str, number: int = 1) -> None:
        """Answers were silence because something is not as it should be."""
        self._child(self.degraded, "g", reason).inc(number)

    def count_events(self, kind: str, result: str, number: int = 1) -> None:
        """Events were told: ``accepted`` or ``repeated``."""
        self._child(self.events, "e", kind, result).inc(number)

    def count_outcome(self, kind: str, number: int = 1) -> None:
        """Something came of a decision: it was offered, clicked, bought, ..."""
        self._child(self.outcomes, "o", kind).inc(number)

    def count_deferral(self, state: str, number: int = 1) -> None:
        """Decisions were ``deferred``, or those that had been were ``activated`` or ``lapsed``."""
        self._child(self.deferrals, "f", state).inc(number)

    def observe(self, call: str, seconds: float) -> None:
        """A call was answered."""
        took = self._took.get(call)
        if took is None:
            took = self._took[call] = self.seconds.labels(call)
        took.observe(seconds)

    def _child(self, parent: Counter, *key: str) -> Counter:
        """The counter of some labels, without the library's work to look it up.

        Args:
            parent: the counter of all labels.
            key: one letter for the parent, and the labels.
        """
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = parent.labels(*key[1:])
        return child

    def breaker_is(self, state: State) -> None:
        """The breaker of this replica has changed."""
        if state == "open" and self._breaker == "closed":
            self.openings.inc()
        self._breaker = state
        for other in STATES:
            self.breakers.labels(other).set(other == state)

    def policy_is(self, role: str, policy: str | None) -> None:
        """Another policy has a role in this replica: ``serving``, ``canary`` or ``shadow``."""
        before = self._roles.pop(role, None)
        if before is not None:
            self.policies.labels(before, role).set(0)
        if policy is not None:
            self._roles[role] = policy
            self.policies.labels(policy, role).set(1)
        self.replicas_ready.set(self._roles.get("serving", NO_POLICY) != NO_POLICY)

    def policy_refused(self, refused: bool) -> None:
        """Whether this replica refuses the policy that it was last asked to serve."""
        self.refused_policies.set(refused)

    def version_is(self, version: int) -> None:
        """This replica follows another version of the policies."""
        self.version.set(version)

    def text(
        self,
        journal_lag: int | None,
        ready: bool,
        budget: Mapping[str, float] | None = None,
        replicas: int = 1,
    ) -> bytes:
        """Everything in Prometheus' text format.

        Args:
            journal_lag: entries that are not in Parquet yet, None when Redis does not say.
            ready: whether this replica could decide now.
            budget: ``Budget.state()``, None without a budget.
            replicas: how many there should be.
        """
        counts = self._folder.text() if self._folder else generate_latest(self.registry)
        now = CollectorRegistry()
        now.register(_Now(journal_lag, ready, budget or {}, replicas))
        return counts + generate_latest(now)


class _Now(Collector):
    """What is measured when asked for, not counted."""

    def __init__(
        self, journal_lag: int | None, ready: bool, budget: Mapping[str, float], replicas: int
    ) -> None:
        self._journal_lag, self._ready = journal_lag, ready
        self._budget, self._replicas = budget, replicas

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self._journal_lag is not None:
            yield GaugeMetricFamily(
                "scenelift_journal_lag", "Journal entries not in Parquet yet.", self._journal_lag
            )
        yield GaugeMetricFamily("scenelift_ready", "1 when decisions are possible.", self._ready)
        yield GaugeMetricFamily(
            "scenelift_replicas_wanted", "Replicas that there should be.", self._replicas
        )
        for key, meaning in BUDGET.items():
            if key in self._budget:
                name = f"scenelift_budget_{key.removeprefix('budget_')}"
                yield GaugeMetricFamily(name, meaning, self._budget[key])
