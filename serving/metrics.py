"""What the service counts of itself, as Prometheus reads it.

Several replicas on one machine share a folder in which the client library adds their counts up, so
that any of them can answer for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metrics:
    """The counts of one service."""

    def __init__(self, shared_folder: str = "") -> None:
        self._shared_folder = shared_folder
        self.registry = CollectorRegistry()
        self.decisions = Counter(
            "scenelift_decisions",
            "Decisions taken.",
            ("scene", "channel", "policy"),
            registry=self.registry,
        )
        self.refusals = Counter(
            "scenelift_refusals", "Actions refused, by rule.", ("rule",), registry=self.registry
        )
        self.degraded = Counter(
            "scenelift_degraded",
            "Answers with silence in the place of a decision, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.repeated = Counter(
            "scenelift_repeated_requests",
            "Requests that got the answer of an earlier one.",
            registry=self.registry,
        )
        self.events = Counter(
            "scenelift_events", "Events told.", ("kind", "result"), registry=self.registry
        )
        self.races = Counter(
            "scenelift_lost_races",
            "Commits refused because the user had changed.",
            registry=self.registry,
        )
        self.seconds = Histogram(
            "scenelift_seconds",
            "Time to answer a call.",
            ("call",),
            buckets=SECONDS,
            registry=self.registry,
        )

    def count_decision(
        self, scene: str, channel: str, policy: str, refused: Mapping[str, int]
    ) -> None:
        """One decision was taken and written."""
        self.decisions.labels(scene, channel, policy).inc()
        for rule, count in refused.items():
            self.refusals.labels(rule).inc(count)

    def text(self, journal_lag: int | None, ready: bool) -> bytes:
        """Everything in Prometheus' text format.

        Args:
            journal_lag: entries that are not in Parquet yet, None when Redis does not say.
            ready: whether this replica could decide now.
        """
        counts = self.registry
        if self._shared_folder:
            counts = CollectorRegistry()
            MultiProcessCollector(counts, self._shared_folder)  # type: ignore[no-untyped-call]
        now = CollectorRegistry()
        now.register(_Now(journal_lag, ready))
        return generate_latest(counts) + generate_latest(now)


class _Now(Collector):
    """What is measured when asked for, not counted."""

    def __init__(self, journal_lag: int | None, ready: bool) -> None:
        self._journal_lag, self._ready = journal_lag, ready

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if self._journal_lag is not None:
            yield GaugeMetricFamily(
                "scenelift_journal_lag", "Journal entries not in Parquet yet.", self._journal_lag
            )
        yield GaugeMetricFamily("scenelift_ready", "1 when decisions are possible.", self._ready)
