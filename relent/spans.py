"""How long each part of a story takes, as OpenTelemetry has it. The extra `traces` brings what is needed here.

The story's id is the trace's id: what stands under `story` in the log is found as a trace, and the other way round. A span
says how it was, and never whom it was about or what somebody wrote.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as LivingSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Status, StatusCode, get_current_span
from opentelemetry.trace import Span as AnySpan
from opentelemetry.trace import Tracer as Pencil

from engine.trail import Span, Tracer, known
from relent import __version__

_PATIENCE = 5.0
#: They come round every second. One that has nothing to say is not told.
_ROUNDS = frozenset({"tick", "recover"})


@contextmanager
def sent_to(endpoint: str) -> Iterator[Tracer]:
    """To a collector that speaks OTLP over HTTP. What is left at the end is sent before it is over."""
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=_PATIENCE)
    with handed_to(BatchSpanProcessor(exporter)) as tracer:
        yield tracer


@contextmanager
def handed_to(processor: SpanProcessor) -> Iterator[Tracer]:
    """To this one, whatever it does with them."""
    resource = Resource.create({"service.name": "relent", "service.version": __version__})
    provider = TracerProvider(resource=resource, id_generator=_Stories(), shutdown_on_exit=False)
    provider.add_span_processor(_WorthTelling(processor))
    pencil = provider.get_tracer("relent", __version__)

    def tracer(name: str) -> AbstractContextManager[Span]:
        return _drawn(name, pencil)

    try:
        yield tracer
    finally:
        provider.shutdown()


class _Stories(RandomIdGenerator):
    """A trace is a story."""

    def generate_trace_id(self) -> int:
        story = known().get("story")
        return int(story, 16) if story else super().generate_trace_id()


class _WorthTelling(SpanProcessor):
    """Passes on what is worth it."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_start(self, span: LivingSpan, parent_context: Context | None = None) -> None:
        self._processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        if span.name not in _ROUNDS or span.attributes:
            self._processor.on_end(span)

    def shutdown(self) -> None:
        self._processor.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._processor.force_flush(timeout_millis)


class _Drawn:
    """What the rooms know of a span."""

    def __init__(self, span: AnySpan) -> None:
        self._span = span

    def says(self, **what: str | int) -> None:
        for name, value in what.items():
            self._span.set_attribute(f"relent.{name}", value)


@contextmanager
def _drawn(name: str, pencil: Pencil) -> Iterator[Span]:
    """A part of the story at hand. A story that begins inside of another one is a trace of its own, that points there."""
    here, around = known(), get_current_span().get_span_context()
    another = around.is_valid and "story" in here and around.trace_id != int(here["story"], 16)
    with pencil.start_as_current_span(
        name,
        context=Context() if another else None,
        links=[Link(around)] if another else [],
        attributes={f"relent.{key}": value for key, value in here.items() if key != "story"},
        record_exception=False,  # its words may be a stranger's
        set_status_on_exception=False,
    ) as span:
        try:
            yield _Drawn(span)
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
