"""Traces for OpenTelemetry, where the surroundings ask for them.

A call is a span; its round trips to Redis and the policy are spans below it. As with logs there is
one tracing for the whole process: ``start`` turns it on, and until then a ``traced`` function costs
one look at a name. No span says anything of a user: no path of a call, no text of an error.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from envs.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Function = TypeVar("Function", bound=Callable[..., Any])

PROBES: Final = ("/healthz", "/readyz", "/metrics")
"""Asked every few seconds by machines: no traces of these."""
CONTEXT: Final = (b"traceparent", b"tracestate")
"""Headers of a caller who traces too."""
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Tracing:
    """Makes spans and sends them, from a thread of its own."""

    def __init__(self, exporter: SpanExporter, service: str) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._api = trace
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("scenelift")
        self._caller = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str) -> Iterator[Span]:
        """A span below the present one."""
        with self._within(self._tracer.start_span(name)) as span:
            yield span

    @contextmanager
    def call(self, method: str, headers: Mapping[bytes, bytes]) -> Iterator[Span]:
        """The span of a call, below that of a caller who traces too."""
        given = (name for name in CONTEXT if name in headers)
        carrier = {name.decode(): headers[name].decode("latin-1") for name in given}
        context, kind = self._caller.extract(carrier), self._api.SpanKind.SERVER
        started = self._tracer.start_span(method, context, kind, {"http.request.method": method})
        with self._within(started) as span:
            yield span

    @contextmanager
    def _within(self, span: Span) -> Iterator[Span]:
        """End the span with the block; an error leaves its kind there, never its text."""
        with self._api.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._api.StatusCode.ERROR)
                raise

    def describe(self, attributes: Mapping[str, str | bool]) -> None:
        """Say more of the present span."""
        self._api.get_current_span().set_attributes(attributes)

    def end(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


_now: Tracing | None = None
"""The tracing of this process, None as long as nobody wants any."""


def start(environment: Mapping[str, str]) -> None:
    """Trace from now on, if ``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_TRACES_EXPORTER`` say so.

    OpenTelemetry reads all else from the environment of the process: headers, sampling, limits.

    Raises:
        InputError: an exporter that is unknown or not installed.
    """
    global _now
    exporter = _exporter(environment) if _now is None else None
    if exporter is not None:
        _now = Tracing(exporter, environment.get("OTEL_SERVICE_NAME", "scenelift"))


def end() -> None:
    """Send what is left, and trace no more."""
    global _now
    ended, _now = _now, None
    if ended is not None:
        ended.end()


def on() -> bool:
    """Whether this process traces."""
    return _now is not None


def _exporter(environment: Mapping[str, str]) -> SpanExporter | None:
    given = any(environment.get(name) for name in ENDPOINTS)
    kind = environment.get("OTEL_TRACES_EXPORTER") or ("otlp" if given else "none")
    if kind == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stdout)
    if kind != "otlp":
        raise InputError(f"OTEL_TRACES_EXPORTER is {kind!r}: use otlp, console or none")
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        raise InputError(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: use http/protobuf")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise InputError("traces by OTLP need the extra otel: pip install -e '.[otel]'") from None
    return OTLPSpanExporter()


def traced(name: str) -> Callable[[Function], Function]:
    """Decorator: each call of a function, or of a coroutine function, is a span of this name."""

    def around(function: Function) -> Function:
        async def waited(tracing: Tracing, *args: Any, **kwargs: Any) -> Any:
            with tracing.span(name):
                return await function(*args, **kwargs)

        def called(tracing: Tracing, *args: Any, **kwargs: Any) -> Any:
            with tracing.span(name):
                return function(*args, **kwargs)

        with_span = waited if inspect.iscoroutinefunction(function) else called

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if _now is None:
                return function(*args, **kwargs)
            return with_span(_now, *args, **kwargs)

        return cast(Function, call)

    return around


def describe_answer(answer: bytes) -> None:
    """Let the span of this call say what was decided, if there is one."""
    if _now is None:
        return
    told = json.loads(answer)
    names = ("decision_id", "scene", "policy", "arm", "degraded")
    _now.describe({f"scenelift.{name}": told[name] for name in names if told[name] is not None})


class TracedCalls:
    """ASGI middleware: a span for each call but probes, named by its route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the call within a span."""
        tracing = _now
        if tracing is None or scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        with tracing.call(scope["method"], dict(scope["headers"])) as span:

            async def tell_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, tell_status)
            route = getattr(scope.get("route"), "path", None)  # with names where ids would be
            if route is not None:
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
