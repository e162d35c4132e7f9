"""Log lines: one line each, for programs and for people, with the story they belong to and without a secret."""

import base64
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from engine.dispatch import dispatch_due
from engine.trail import story
from relent.config import Config
from relent.logs import formatter, secrets_of
from relent.worker import Worker
from tests.makers import enrolled, pending, received, signed
from tests.relent.processes import ROOT

#: What a stranger may write: line breaks of all kinds, escape sequences, a text turned around.
HOSTILE = "a\r\nb\u2028c\x85d\x1b[31m\x9b2Je\u202ef\x7fg\x00hi"


@pytest.fixture
def written() -> Iterator[Callable[..., list[str]]]:
    """What was written, a line each; in JSON unless `plain` is said before."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(plain=False))
    log = logging.getLogger("relent")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)

    def lines(*, plain: bool | None = None, secrets: frozenset[str] = frozenset()) -> list[str]:
        if plain is not None:
            handler.setFormatter(formatter(plain=plain, secrets=secrets))
        return stream.getvalue().split("\n")[:-1]

    yield lines
    log.removeHandler(handler)
    log.setLevel(before)


def _lines(written: Callable[..., list[str]]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written()]


def test_a_line_says_when_how_bad_what_and_who(written):
    logging.getLogger("relent.carry").warning("postponed %s: %s", "drf_1", "450 not now")

    [line] = _lines(written)
    assert line["event"] == "postponed drf_1: 450 not now"
    assert line["level"] == "warning"
    assert line["logger"] == "relent.carry"
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2026-03-02T09:00:00.000Z")
    assert isinstance(line["pid"], int)
    assert "story" not in line


def test_a_line_bears_the_story_it_belongs_to(written):
    with story(draft_id="drf_1", enrollment_id="enr_1", event_id=None):
        logging.getLogger("relent.carry").info("sent")

    [line] = _lines(written)
    assert len(line["story"]) == 32
    assert (line["draft_id"], line["enrollment_id"]) == ("drf_1", "enr_1")
    assert "event_id" not in line


def test_what_a_stranger_wrote_stays_one_line_and_moves_no_cursor(written):
    logging.getLogger("relent.x").info("%s", HOSTILE)

    [line] = written()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["event"] == HOSTILE


@pytest.mark.parametrize("plain", [True, False])
def test_half_a_character_is_written_out(plain):
    """Made by hand: who collects the reports of tests could not carry it."""
    said = logging.makeLogRecord({"name": "relent.x", "levelno": logging.INFO, "msg": "half: \ud800"})

    line = formatter(plain=plain).format(said)
    line.encode("utf-8")
    assert "half: \\ud800" in line


def test_a_mistake_of_ours_is_one_line_as_well(written):
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("relent.x").exception("oh")

    [line] = written()
    assert json.loads(line)["exception"].startswith("Traceback")
    assert line.isascii()
    assert line.isprintable()


def test_for_people_a_line_is_short_and_begins_like_one_of_ours_only_if_it_is(written):
    written(plain=True)
    with story():
        logging.getLogger("relent.carry").info("sent %s", "drf_1")
        logging.getLogger("relent.carry").info("said: %s", HOSTILE)
        try:
            raise ValueError("first\n2026-01-01 00:00:00.000 INFO relent: forged")
        except ValueError:
            logging.getLogger("relent.x").exception("oh")

    first, second, *rest = written()
    assert " INFO relent.carry: sent drf_1 [" in first
    assert second.isprintable()
    assert "\\x1b[31m" in second
    head, *trace = rest
    assert " ERROR relent.x: oh [" in head
    assert all(line.startswith("    ") and line.isprintable() for line in trace)
    assert "forged" in trace[-1]


def test_what_is_written_with_structlog_comes_out_alike(written):
    structlog.reset_defaults()
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    with story():
        structlog.get_logger("relent.x").info("it is so", number=3)
    structlog.reset_defaults()

    [line] = _lines(written)
    assert (line["event"], line["number"], line["level"], line["logger"]) == (
        "it is so",
        3,
        "info",
        "relent.x",
    )
    assert line["story"]


# --- secrets ---


def test_a_secret_that_somebody_repeats_is_not_written(written):
    password = 'sesame "open" / wide'
    known = secrets_of(Config(mailbox={"smtp": {"password": password}}))
    for plain in (False, True):
        written(plain=plain, secrets=known)
        logging.getLogger("relent.x").warning("535 no: %s", password)
        logging.getLogger("relent.x").warning("535 no: %s", base64.b64encode(password.encode()).decode())
        try:
            raise ValueError(f"it was {password}")
        except ValueError:
            logging.getLogger("relent.x").exception("oh")

    assert "sesame" not in "".join(written())
    assert base64.b64encode(password.encode()).decode()[:16] not in "".join(written())
    assert sum("[secret]" in line for line in written()) == 6


def test_every_secret_in_the_configuration_is_known():
    config = Config(
        database={
            "url": "postgresql://relent:p%40ssword-of-it@db.example/relent?password=an%6Fther-of-it&sslpassword=of-its-key"
        },
        redis={"url": "redis://:password-of-redis@redis.example/0"},
        mailbox={"smtp": {"password": "password-of-the-mail"}},
        webhooks={
            "secrets": ["whsec_first-secret", "whsec_second-secret"],
            "outbound": {"secret": "whsec_ours"},
        },
        server={"api_keys": ["key-number-one", "key-number-two"]},
    )
    known = secrets_of(config)
    assert {
        "p%40ssword-of-it",
        "p@ssword-of-it",
        "another-of-it",
        "of-its-key",
        "password-of-redis",
        "password-of-the-mail",
        "first-secret",
        "whsec_second-secret",
        "whsec_ours",
        "key-number-one",
        "key-number-two",
    } <= known
    for field in (config.webhooks.secrets, config.server.api_keys):
        assert all(isinstance(each, SecretStr) and each.get_secret_value() in known for each in field)


def test_a_short_word_is_no_secret():
    assert secrets_of(Config(mailbox={"smtp": {"password": "relent"}})).isdisjoint({"relent"})


# --- one id through a story ---


def test_one_id_goes_through_all_that_a_webhook_does(door, store, clock, mailbox, pace, written):
    enrolled(store, clock.now())
    list(dispatch_due(store=store, mailbox=mailbox, clock=clock, pace=pace))
    thread_id = pending(store, clock.now())[0]["thread_id"]
    before = len(written())

    for number in (1, 2):
        event_id = f"evt_{number}"
        assert (
            door.post(
                "/webhooks/agentmail",
                **signed(received(thread_id, event_id=event_id), clock.now(), delivery_id=f"msg_{number}"),
            ).status_code
            == 204
        )

    first, second = _lines(written)[before:]
    assert (first["logger"], first["event_id"]) == ("relent.webhooks", "evt_1")
    assert second["event_id"] == "evt_2"
    assert first["story"] != second["story"]


def test_each_letter_of_a_tick_is_a_story_of_its_own(house, store, clock, written):
    enrolled(store, clock.now(), "ida@nordic.example")
    enrolled(store, clock.now(), "jon@nordic.example")
    Worker(house).tick()

    sent = [line for line in _lines(written) if line["event"].startswith("sent ")]
    assert len({line["story"] for line in sent}) == 2
    for line in sent:
        assert line["event"] == f"sent {line['draft_id']}"
        assert line["enrollment_id"].startswith("enr_")


def test_a_letter_that_is_posted_over_the_api_belongs_to_the_request(house, written):
    from starlette.testclient import TestClient

    from relent.web import create_app

    with TestClient(create_app(house, with_worker=False), base_url="http://localhost") as door:
        door.headers["Authorization"] = "Bearer anybody"
        inbox = door.post("/v0/inboxes", json={}).json()["inbox_id"]
        answer = door.post(
            f"/v0/inboxes/{inbox}/messages/send",
            json={"to": "ida@nordic.example", "subject": "Hello", "text": "Hello"},
        )
    assert answer.status_code == 200, answer.text

    [line] = [line for line in _lines(written) if line["event"].startswith("sent ")]
    assert line["draft_id"].startswith("drf_")
    assert len(line["story"]) == 32


# --- how it is set up ---


def _run(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stderr.splitlines()


def test_where_nobody_sits_lines_are_json_and_a_thread_that_dies_writes_one():
    lines = _run(
        "import logging, threading, warnings\n"
        "from relent.logs import set_up_logs\n"
        "set_up_logs()\n"
        "logging.getLogger('uvicorn.error').info('started')\n"
        "logging.getLogger('alembic.runtime').info('nobody cares')\n"
        "warnings.warn('mind this')\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\n"
        "thread.start(); thread.join()\n"
        "raise RuntimeError('the end')\n"
    )
    said = [json.loads(line) for line in lines]
    assert [line["level"] for line in said] == ["info", "warning", "critical", "critical"]
    assert said[0]["logger"] == "uvicorn.error"
    assert "mind this" in said[1]["event"]
    assert "ZeroDivisionError" in said[2]["exception"]
    assert "the end" in said[3]["exception"]


def test_the_level_is_what_the_configuration_says():
    lines = _run(
        "import logging\n"
        "from relent.logs import set_up_logs\n"
        "set_up_logs('plain', 'warning')\n"
        "logging.getLogger('relent.x').info('hidden')\n"
        "logging.getLogger('relent.x').warning('shown')\n"
    )
    assert len(lines) == 1
    assert lines[0].endswith("WARNING relent.x: shown")
