"""Whether spans are drawn: only for whoever names a collector, and only if what draws them is installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import ConfigError
from engine.trail import draw_spans


@contextmanager
def drawing(endpoint: str | None) -> Iterator[None]:
    """While this lasts, spans go there. None: nobody draws any, and that costs nothing."""
    if endpoint is None:
        yield
        return
    try:
        from relent import spans
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise ConfigError(
            "traces.endpoint is set, but OpenTelemetry is not installed: pip install 'relent-engine[traces]'"
        ) from error
    with spans.sent_to(endpoint) as tracer:
        draw_spans(tracer)
        try:
            yield
        finally:
            draw_spans(None)
