"""How long each part of a story takes: the story's id is the trace's, and nothing in it is anybody's."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engine.errors import TemporaryFailure
from engine.trail import about, draw_spans, known, span, story
from relent.spans import handed_to
from relent.traces import drawing
from relent.worker import Worker
from tests.makers import IDA, enrolled, pending, received, sequence, signed
from tests.relent.processes import ROOT, Folder

Drawn = Callable[[], list[ReadableSpan]]


@pytest.fixture
def drawn() -> Iterator[Drawn]:
    kept = InMemorySpanExporter()
    with handed_to(SimpleSpanProcessor(kept)) as tracer:
        draw_spans(tracer)
        yield lambda: list(kept.get_finished_spans())
        draw_spans(None)


def _tree(spans: list[ReadableSpan]) -> dict[str, str | None]:
    """Each part, and what it is a part of."""
    names = {each.context.span_id: each.name for each in spans}
    return {each.name: names[each.parent.span_id] if each.parent else None for each in spans}


def _named(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    [found] = [each for each in spans if each.name == name]
    return found


def test_a_webhook_is_received_verified_heard(door, house, store, clock, drawn):
    enrolled(store, clock.now())
    Worker(house).tick()
    [bump] = pending(store, clock.now())
    before = len(drawn())
    assert (
        door.post("/webhooks/agentmail", **signed(received(bump["thread_id"]), clock.now())).status_code
        == 204
    )

    spans = drawn()[before:]
    assert _tree(spans) == {
        "webhook": None,
        "webhook receive": "webhook",
        "webhook verify": "webhook",
        "webhook hear": "webhook",
    }
    assert len({each.context.trace_id for each in spans}) == 1


def test_whoever_is_heard_twice_waits_for_what_is_in_the_air(door, house, store, clock, drawn):
    enrolled(store, clock.now())
    Worker(house).tick()
    [bump] = pending(store, clock.now())
    post = signed(received(bump["thread_id"]), clock.now())
    door.post("/webhooks/agentmail", **post)
    before = len(drawn())
    door.post("/webhooks/agentmail", **post)

    assert _tree(drawn()[before:])["webhook wait"] == "webhook"


def test_a_letter_is_composed_handed_over_and_settled_with_the_gate_in_between(house, store, clock, drawn):
    enrolled(store, clock.now())
    Worker(house).tick()

    letter = [each for each in drawn() if each.name.startswith("letter")]
    assert _tree(letter) == {
        "letter": None,
        "letter compose": "letter",
        "letter hand over": "letter",
        "letter gate": "letter hand over",
        "letter settle": "letter",
    }
    whole = _named(letter, "letter")
    assert whole.attributes
    assert whole.attributes["relent.outcome"] == "Delivered"
    assert str(whole.attributes["relent.draft_id"]).startswith("drf_")
    tick = _named(drawn(), "tick")
    assert whole.context.trace_id != tick.context.trace_id
    assert [link.context.span_id for link in whole.links] == [tick.context.span_id]


def test_a_tick_that_finds_nothing_is_not_told(house, drawn):
    Worker(house).tick()
    assert drawn() == []


def test_an_errand_and_a_telling_are_told(house, store, clock, drawn):
    wants = sequence(
        {"webhook": "https://nowhere.invalid/"}, {"subject": "Hi", "body": "Hello", "after": "1d"}
    )
    enrolled(store, clock.now(), wants=wants)
    Worker(house).tick()

    assert _tree(drawn())["errand"] is None


def test_the_storys_id_is_the_traces(drawn):
    with story(), about(draft_id="drf_1"):
        here = known()["story"]
        with span("letter"):
            pass
    [found] = drawn()
    assert f"{found.context.trace_id:032x}" == here
    assert dict(found.attributes or {}) == {"relent.draft_id": "drf_1"}


def test_a_part_that_failed_says_how_and_not_in_whose_words(drawn):
    with pytest.raises(TemporaryFailure), story(), span("letter hand over"):
        raise TemporaryFailure("450 ida@nordic.example is busy")

    [found] = drawn()
    assert not found.status.is_ok
    assert found.status.description == "TemporaryFailure"
    assert "ida" not in found.to_json()


def test_no_span_names_anybody(door, house, store, clock, drawn):
    enrolled(store, clock.now(), "somebody@very-special.example", first_name="Rumpelstilz")
    Worker(house).tick()
    [bump] = pending(store, clock.now())
    door.post("/webhooks/agentmail", **signed(received(bump["thread_id"]), clock.now()))

    text = json.dumps([each.to_json() for each in drawn()])
    assert "very-special" not in text
    assert "Rumpelstilz" not in text
    assert "acme" not in text


def test_without_a_collector_nothing_is_drawn_and_nothing_is_needed():
    """The extra is not even looked for."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from relent.traces import drawing\n"
            "with drawing(None):\n"
            "    assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
            "import relent.web, relent.cli\n"
            "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_collector_without_the_extra_is_told_in_words(tmp_path):
    """As it is for somebody who has not installed it."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "sys.modules['opentelemetry'] = None\n"
            "from relent.cli import main\n"
            "sys.argv = ['relent', 'work', '--burst']\n"
            "main()\n",
        ],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(ROOT),
            "RELENT_DATABASE__URL": f"sqlite:///{tmp_path}/relent.db",
            "RELENT_TRACES__ENDPOINT": "http://localhost:4318/v1/traces",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pip install 'relent-engine[traces]'" in done.stderr
    assert "Traceback" not in done.stderr


class _Collector(BaseHTTPRequestHandler):
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_a_worker_sends_its_spans_to_the_collector_before_it_leaves(tmp_path, empty_sqlite):
    import shutil

    bodies: list[bytes] = []
    folder = Folder(tmp_path / "house", f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'relent.db')}")
    folder.run("enroll", "seconds.yaml", "--email", IDA, "--var", "first_name=Ida")
    with HTTPServer(("127.0.0.1", 0), type("Collector", (_Collector,), {"bodies": bodies})) as server:
        listening = Thread(target=server.serve_forever, daemon=True)
        listening.start()
        folder.environment["RELENT_TRACES__ENDPOINT"] = f"http://127.0.0.1:{server.server_port}/v1/traces"
        folder.run("work", "--burst")
        server.shutdown()
        listening.join()

    told = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    resources = [each for one in told for each in one.resource_spans]
    names = {each.name for one in resources for scope in one.scope_spans for each in scope.spans}
    assert {"tick", "letter", "letter gate"} <= names
    services = {
        each.value.string_value
        for one in resources
        for each in one.resource.attributes
        if each.key == "service.name"
    }
    assert services == {"relent"}


def test_whatever_was_drawn_before_is_drawn_no_more(drawn):
    with pytest.raises(ValueError, match="no"), drawing(None):
        raise ValueError("no")
    draw_spans(None)
    with span("letter"):
        pass
    assert drawn() == []
