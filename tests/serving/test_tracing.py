"""Spans as a collector receives them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from envs.errors import InputError
from serving.watching import tracing
from tests.serving.live import running

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Takes spans by OTLP over HTTP, on a free port of this machine."""

    def __init__(self):
        received = self.requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self):
        return [
            span
            for _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def attributes(span):
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


@pytest.fixture
def collector(monkeypatch):
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "shop"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        tracing.start(environment)
        yield collector
        tracing.end()


def test_a_call_its_round_trips_and_the_policy_arrive_as_spans(bundled_redis, catalogue, collector):
    with running(bundled_redis.url, catalogue, redis_timeout_ms=5_000) as service:
        body = {"request_id": "traced", "user_id": "jane.doe", "scene": "commute"}
        answer = service.client.post("/v1/offers", json=body, headers={"traceparent": CALLER})
        decision = answer.json()
        service.client.get(f"/v1/decisions/{decision['decision_id']}")
        service.client.get("/healthz")
        service.client.get("/jane.doe")
    tracing.end()
    spans = {span.name: span for span in collector.spans}
    call = spans["POST /v1/offers"]
    for name in ("redis read", "policy", "redis commit"):
        assert spans[name].parent_span_id == call.span_id
        assert spans[name].trace_id == call.trace_id
    assert call.trace_id.hex() == CALLER.split("-")[1]
    assert call.parent_span_id.hex() == CALLER.split("-")[2]
    told = attributes(call)
    assert told["scenelift.decision_id"] == decision["decision_id"]
    assert told["scenelift.scene"] == "commute"
    assert told["scenelift.policy"] == decision["policy"] == "uniform"
    assert (told["http.response.status_code"], told["http.route"]) == (200, "/v1/offers")
    assert "GET /v1/decisions/{decision_id}" in spans
    assert not any("healthz" in name for name in spans)
    ((path, request), *_) = collector.requests
    assert path == "/v1/traces"
    assert "shop" in str(request.resource_spans[0].resource)
    assert "jane" not in str(collector.requests)


def test_an_error_leaves_its_kind_and_not_its_text(collector):
    @tracing.traced("failing")
    def fail():
        raise ValueError("jane.doe")

    with pytest.raises(ValueError, match="jane"):
        fail()
    tracing.end()
    (span,) = collector.spans
    assert attributes(span) == {"error.type": "ValueError"}
    assert not span.events and "jane" not in str(span)


def test_nothing_is_traced_and_nothing_made_without_being_asked_for():
    tracing.start({})
    tracing.start({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})
    tracing.start({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})
    assert not tracing.on()
    seen = []
    traced = tracing.traced("span")(seen.append)
    traced(1)
    tracing.describe_answer(b"no JSON is read")
    assert seen == [1]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            },
            "grpc",
        ),
    ],
)
def test_an_exporter_that_is_not_known_is_refused(environment, named):
    with pytest.raises(InputError, match=named):
        tracing.start(environment)
    assert not tracing.on()


def test_the_console_is_an_exporter_too(capsys):
    tracing.start({"OTEL_TRACES_EXPORTER": "console"})
    tracing.traced("a span of the console")(lambda: None)()
    tracing.end()
    assert '"name": "a span of the console"' in capsys.readouterr().out
