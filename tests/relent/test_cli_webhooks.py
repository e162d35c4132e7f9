"""The commands for those who are told what happens: what they show, what they do, and what they keep to themselves."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import typer
from svix.webhooks import Webhook
from typer.testing import CliRunner

from engine.calls import Answer
from engine.errors import ConfigError, NotFound, Refused, Unavailable
from engine.outbox import PATIENCE, Turns, tell_next
from engine.subscribers import Subscription, subscribe
from relent.assemble import SystemClock, render_telling
from relent.cli import status
from relent.cli_webhooks import register
from tests.api.tools import eventually, listening
from tests.makers import SAM, SECRET
from tests.relent.processes import Folder

URL = "https://crm.example/hook?key=secret-token"


@pytest.fixture
def relent(tmp_path, database_url, monkeypatch):
    """The commands, in a folder that has a configuration."""
    (tmp_path / "config.yaml").write_text(
        json.dumps(
            {
                "database": {"url": database_url},
                "webhooks": {"secrets": [SECRET], "outbound": {"allow": ["127.0.0.0/8"]}},
            }
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    app = typer.Typer(pretty_exceptions_enable=False)
    register(app)
    app.command()(status)

    def relent(*words):
        result = CliRunner().invoke(app, [words[0]] if words == ("status",) else list(words))
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return " ".join(result.stdout.split())

    return relent


@pytest.fixture
def hears(store):
    def hears(url=URL, **more):
        wanted = Subscription(url=url, event_types=["message.sent"], **more)
        return subscribe(wanted, by="a test", judge=lambda url: None, store=store, clock=SystemClock())

    return hears


@pytest.fixture
def happens(store):
    def happens():
        with store.transaction(datetime.now(UTC), "a test") as ledger:
            ledger.outbox.tell("message.sent", inbox_id=SAM)

    return happens


@pytest.fixture
def tell(store):
    def tell(*answers, now=None):
        said = list(answers)

        class Clock:
            def now(self):
                return now or datetime.now(UTC)

        return tell_next(
            store=store,
            clock=Clock(),
            post=lambda call, now: said.pop(0),
            render=render_telling,
            turns=Turns(),
        )

    return tell


def test_they_are_listed_and_the_rest_of_a_url_is_not_shown(relent, hears, happens):
    made = hears()
    happens()
    shown = relent("webhook", "list")
    assert made.id in shown
    assert "crm.example" in shown
    assert "secret-token" not in shown
    [listed] = json.loads(relent("webhook", "list", "--json"))
    assert listed["to"] == URL
    assert (listed["state"], listed["waiting"], listed["event_types"]) == ("on", 1, ["message.sent"])
    assert made.secret not in json.dumps(listed)


def test_what_was_told_is_shown_with_what_they_said_to_it(relent, hears, happens, tell):
    assert relent("webhook", "deliveries") == "nothing was told"
    made = hears()
    happens()
    happens()
    tell(Answer(500, "the queue is full"))

    both = json.loads(relent("webhook", "deliveries", "--json"))
    assert [each["state"] for each in both] == ["waits", "waits"]
    failed = both[1]
    assert failed["outcome"] == "answered 500: the queue is full"
    assert [(each["number"], each["status"]) for each in failed["log"]] == [(1, 500)]
    assert json.loads(relent("webhook", "deliveries", made.id, "--last", "1", "--jsonl")) == both[0]
    assert relent("webhook", "deliveries", "ep_nobody") == "nothing was told"
    assert "secret-token" not in relent("webhook", "deliveries")


def test_it_is_told_once_more(relent, hears, happens, tell):
    hears()
    happens()
    [told] = tell(Answer(204, ""))
    assert relent("webhook", "redeliver", told.delivery_id).startswith(
        f"{told.delivery_id} is told again as msg_"
    )
    again = json.loads(relent("webhook", "deliveries", "--json"))[0]
    tell(Answer(500, ""))
    assert relent("webhook", "redeliver", again["delivery_id"]) == f"{again['delivery_id']} is tried at once"
    with pytest.raises(NotFound):
        relent("webhook", "redeliver", "msg_nobody")


def test_a_new_secret_is_shown_once_it_is_made(relent, store, hears):
    made = hears()
    said = relent("webhook", "rotate", made.id)
    with store.reading(datetime.now(UTC)) as ledger:
        assert ledger.subscribers.get(made.id).secret in said
    assert "The old one signs beside it until" in said
    with pytest.raises(NotFound):
        relent("webhook", "rotate", "ep_nobody")


def test_whoever_was_switched_off_is_named_until_somebody_switches_it_on(relent, hears, happens, tell):
    made, begin = hears(), datetime.now(UTC)
    happens()
    tell(Answer(500, ""))
    assert json.loads(relent("status", "--json"))["switched_off"] == []
    assert json.loads(relent("webhook", "list", "--json"))[0]["state"] == "failing"
    tell(Answer(500, ""), now=begin + PATIENCE + timedelta(minutes=1))

    [off] = json.loads(relent("status", "--json"))["switched_off"]
    assert off["webhook_id"] == made.id
    assert off["why_off"].startswith("it has taken nothing since ")
    assert f"`relent webhook enable {made.id}`" in relent("status")
    assert json.loads(relent("webhook", "list", "--json"))[0]["state"] == "off"
    with pytest.raises(Refused):
        relent(
            "webhook", "redeliver", json.loads(relent("webhook", "deliveries", "--json"))[0]["delivery_id"]
        )

    relent("webhook", "enable", made.id)
    assert json.loads(relent("status", "--json"))["switched_off"] == []
    assert "enable" not in relent("status")


def test_a_sample_is_signed_as_everything_is(relent, hears):
    with listening() as ear:
        made = hears(ear.url, headers={"X-Token": "a"})
        assert "answered 204" in relent("webhook", "test", made.id)
        assert "answered 204" in relent("webhook", "test", ear.url)
    for heard in ear.heard:
        Webhook(made.secret).verify(heard.body, heard.headers)
        assert heard.headers["x-token"] == "a"
    assert relent("webhook", "deliveries") == "nothing was told"


def test_a_stranger_is_told_what_it_was_signed_with(relent):
    with listening() as ear:
        relent("webhook", "test", ear.url, "--secret", SECRET)
    Webhook(SECRET).verify(ear.heard[0].body, ear.heard[0].headers)


def test_a_no_is_a_no_for_the_shell_too(relent):
    with listening() as ear:
        ear.answers = [500]
        with pytest.raises(Unavailable, match="answered 500"):
            relent("webhook", "test", ear.url)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://10.0.0.1/", "x.test"])
def test_a_sample_goes_nowhere_else_than_everything_does(relent, url):
    with pytest.raises(ConfigError):
        relent("webhook", "test", url)
    with pytest.raises(NotFound):
        relent("webhook", "test", "ep_nobody")


def test_our_own_door_believes_us(tmp_path, database_url):
    folder = Folder(tmp_path / "house", database_url)
    with folder.serving():
        assert "answered 204" in folder.run("webhook", "test", "--self")
        assert folder.json("status")["webhooks"]["received"] == 0
    assert "cannot be reached" in folder.run("webhook", "test", "--self", code=1)
    assert "name a URL or a webhook" in folder.run("webhook", "test", code=2)


def test_relent_serve_tells_what_happens(tmp_path, database_url, store, hears, happens):
    folder = Folder(tmp_path / "house", database_url)
    folder.environment = {"RELENT_WEBHOOKS__OUTBOUND__ALLOW": "127.0.0.1"}
    with listening() as ear:
        made = hears(ear.url)
        happens()
        with folder.serving():
            assert eventually(lambda: ear.heard, within=20)
            happens()
            assert eventually(lambda: len(ear.heard) == 2, within=20)
    for heard in ear.heard:
        Webhook(made.secret).verify(heard.body, heard.headers)
