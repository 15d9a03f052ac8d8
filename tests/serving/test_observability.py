"""The dashboard, the alerts and the table of metrics, held against what a service really tells."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from serving.security import Naming
from tests.serving.live import NOON, SECRET, running

FOLDER = Path(__file__).parent.parent.parent / "docs" / "deploy" / "observability"
USER = "jane.doe"
PARTS = ("_total", "_bucket", "_count", "_sum")
AUTOMATIC = {"job", "instance", "le"}
"""Labels that Prometheus itself gives."""


@pytest.fixture(scope="module")
def text(bundled_redis, catalogue):
    """The metrics of a service that has had all kinds of calls."""
    settings = {"redis_timeout_ms": 5_000, "budget_cents": 10_000_000}
    with running(bundled_redis.url, catalogue, **settings) as service:
        decisions = [service.offer(f"r{number}", USER) for number in range(20)]
        service.offer("r1", USER)
        offers = [{"request_id": f"b{n}", "user_id": f"u{n}", "scene": "commute"} for n in range(9)]
        service.client.post("/v1/offers:batch", json={"offers": offers}).raise_for_status()
        deferred = service.offer("deferred", USER, defer=True)
        path = f"/v1/decisions/{deferred['decision_id']}:activate"
        service.client.post(path).raise_for_status()
        event = {"event_id": "e1", "user_id": USER, "kind": "clicked", "time": NOON}
        service.tell(event | {"decision_id": decisions[0]["decision_id"]})
        yield service.client.get("/metrics").text


@pytest.fixture(scope="module")
def families(text):
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
        if family.name.startswith("scenelift")
    }


def labels(family):
    return {label for sample in family.samples for label in sample.labels} - AUTOMATIC


def queries():
    """Each query of the dashboard and the alerts, with its title."""
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "5m")
            yield pytest.param(query, target["legendFormat"], id=panel["title"])
    for rule in rules():
        yield pytest.param(rule["expr"], "", id=rule["alert"])


def rules():
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(query):
    """Metrics of a query, each with the labels that it is selected by."""
    found = []
    promql_parser.walk(promql_parser.parse(query), lambda node: found.append(node))
    for node in found:
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name, {matcher.name for matcher in node.matchers.matchers}


def family_of(name, families):
    stem = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
    return families.get(name) or families.get(stem)


@pytest.mark.promise("alerts-are-real")
@pytest.mark.parametrize(("query", "legend"), list(queries()))
def test_a_query_asks_only_for_metrics_and_labels_that_there_are(query, legend, families):
    found = list(selectors(query))
    assert found
    known = set()
    for name, selected in found:
        family = family_of(name, families)
        assert family is not None, f"{name} is no metric of the service"
        assert family.samples, f"{name} has no samples"
        assert selected - AUTOMATIC <= labels(family), name
        known |= labels(family) | AUTOMATIC
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    assert {label for group in grouped for label in group.split(", ")} <= known
    shown = set(re.findall(r"{{(\w+)}}", legend))
    assert shown <= {label for group in grouped for label in group.split(", ")}


def test_every_metric_is_explained_with_its_labels_and_none_is_made_up(families):
    rows = re.findall(
        r"^\| `(scenelift_\w+)` \|([^|]*)\|", (FOLDER / "README.md").read_text(), re.M
    )
    explained = {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}
    assert explained == {name: labels(family) for name, family in families.items()}


@pytest.mark.promise("alerts-are-real")
def test_every_metric_is_shown_or_watched(families):
    asked = {
        family_of(name, families).name
        for query in queries()
        for name, _ in selectors(query.values[0])
    }
    assert asked == {family.name for family in families.values()}


@pytest.mark.promise("nothing-personal")
def test_no_label_says_anything_of_a_user(text):
    hashed = Naming(SECRET.encode()).user(USER)
    assert USER not in text and hashed not in text


def test_every_alert_has_what_prometheus_and_a_reader_need():
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert {"summary", "description"} == set(rule["annotations"])
        assert promql_parser.parse_duration(rule.get("for", "1m"))
    table = re.findall(r"^\| (SceneLift\w+) \|", (FOLDER / "README.md").read_text(), re.M)
    assert table == names


@pytest.mark.parametrize("what", [("check", "alerts.yaml"), ("test", "alerts_test.yaml")])
def test_the_alerts_pass_promtool(what):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    verb, name = what
    run = subprocess.run([promtool, verb, "rules", FOLDER / name], capture_output=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_dashboard_can_be_imported_for_any_data_source():
    dashboard = json.loads((FOLDER / "grafana.json").read_text())
    assert {"uid", "title", "schemaVersion", "templating", "panels"} <= set(dashboard)
    kinds = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
    assert kinds["datasource"] == "datasource"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not mine & cells, panel["title"]
        cells |= mine
        sources = [panel, *panel.get("targets", ())] if panel["type"] != "row" else []
        assert all(each["datasource"]["uid"] == "${datasource}" for each in sources)
