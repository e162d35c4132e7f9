"""The scripts of docs/examples against a real server: what they print, and what is in the mailbox afterwards."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from agentmail import AgentMail, AgentMailEnvironment, NotFoundError
from agentmail.inboxes.types import CreateInboxRequest

from tests.api import test_the_recipe as recipe
from tests.api.house import DOMAIN, KEY, Running
from tests.api.tools import PROSPECT, at, eventually

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
VOICES = ("", "_async")
#: The published words say `utcnow`; and a client of the SDK cannot be closed.
ALLOWED = ("ignore:datetime.datetime.utcnow:DeprecationWarning", "ignore:unclosed:ResourceWarning")
ID = r"drf_[a-z0-9]+"
_IMPORT = "from datetime import datetime, timedelta"  # it stands at the top


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("examples"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[AgentMail]:
    with httpx.Client(timeout=60, follow_redirects=True) as http:
        environment = AgentMailEnvironment(http=server.url, websockets=server.url.replace("http", "ws", 1))
        yield AgentMail(environment=environment, api_key=KEY, httpx_client=http)


@pytest.fixture
def inbox(client: AgentMail) -> str:
    """An inbox that nobody has used yet."""
    wanted = CreateInboxRequest(username=f"box-{uuid4().hex[:12]}", domain=DOMAIN)
    return client.inboxes.create(request=wanted).inbox_id


@pytest.fixture
def environment(server: Running, inbox: str) -> dict[str, str]:
    """What docs/examples/README.md asks a reader to set, and nothing else of ours."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("RELENT_")}
    return others | {
        "RELENT_URL": server.url,
        "AGENTMAIL_API_KEY": KEY,
        "INBOX_ID": inbox,
        "PYTHONUTF8": "1",
    }


class Listening:
    """It runs, and what it prints can be read."""

    def __init__(self, port: int, file: Path) -> None:
        self.port, self._file = port, file

    @property
    def said(self) -> str:
        return self._file.read_text("utf-8")


Run = Callable[[str], str]
Listen = Callable[[str], Listening]


@pytest.fixture(params=VOICES, ids=["sync", "async"])
def voice(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def run(environment: dict[str, str], voice: str) -> Run:
    """What an example prints; any warning but two is an error."""

    def one(name: str) -> str:
        ran = subprocess.run(
            _command(name, voice),
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert not ran.stderr
        return ran.stdout

    return one


def _command(name: str, voice: str) -> list[str]:
    warnings = [word for each in ("error", *ALLOWED) for word in ("-W", each)]
    return [sys.executable, *warnings, str(EXAMPLES / f"{name}{voice}.py")]


@pytest.fixture
def running(environment: dict[str, str], voice: str, tmp_path: Path, client: AgentMail) -> Iterator[Listen]:
    """An example that listens for webhooks."""
    started: list[subprocess.Popen[bytes]] = []

    def one(name: str) -> Listening:
        port = _free_port()
        said = tmp_path / f"{name}.txt"
        with said.open("wb") as file:
            started.append(
                subprocess.Popen(
                    _command(name, voice),
                    env=environment | {"PORT": str(port)},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
        assert eventually(lambda: _is_open(port)), said.read_text("utf-8")
        return Listening(port, said)

    yield one
    for process in started:
        process.terminate()
        process.wait(10)
    for webhook in client.webhooks.list().webhooks:
        client.webhooks.delete(webhook.webhook_id)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_open(port: int) -> bool:
    with socket.socket() as door:
        return door.connect_ex(("127.0.0.1", port)) == 0


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    assert found, said
    return found[1]


def answer(server: Running, inbox: str, **mail: object) -> None:
    """Somebody outside writes to this inbox."""
    server.deliver(
        inbox,
        {
            "message_id": f"<{uuid4().hex}@mail.prospect.test>",
            "sender": f"Pat Prospect <{PROSPECT}>",
            "to": [inbox],
            "subject": "Re: Quick question about your workflow",
            "text": "Let us talk on Thursday.",
            **mail,
        },
    )


def is_gone(client: AgentMail, inbox: str, draft_id: str) -> bool:
    try:
        client.inboxes.drafts.get(inbox, draft_id)
    except NotFoundError:
        return True
    return False


# --- from the outside, as a newcomer ---


def test_two_inboxes_are_enough_to_see_a_follow_up_called_off(run: Run):
    said = run("two_inboxes").splitlines()

    assert said == [
        "Scheduled: 1",
        "Scheduled: 0",
        f"sam@{DOMAIN}: Shall we talk?",
        f"pat@{DOMAIN}: Thursday suits me.",
    ]


def test_the_page_for_newcomers_shows_that_script():
    script = (EXAMPLES / "two_inboxes.py").read_text("utf-8")
    page = (EXAMPLES.parent / "from-agentmail.md").read_text("utf-8")

    assert f"```python\n{script}```" in page


# --- as AgentMail publishes it ---


def test_a_draft_is_made_looked_at_and_sent(run: Run, client: AgentMail, inbox: str):
    said = run("draft_lifecycle")

    draft_id = _found(rf"Draft created successfully with ID: ({ID})\n", said)
    message_id = _found(r"Draft sent! New message ID: (<\S+>)\n", said)
    message = client.inboxes.messages.get(inbox, message_id)
    assert (message.to, message.subject) == (
        ["review-team@example.com"],
        "[NEEDS REVIEW] Agent's proposed response",
    )
    assert f"draft:{draft_id}" in message.labels
    assert is_gone(client, inbox, draft_id)


def test_a_scheduled_draft_is_listed_moved_and_called_off(run: Run, client: AgentMail, inbox: str):
    said = run("schedule")

    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    assert f"Draft scheduled for {tomorrow} 09:00:00" in said
    listed = rf"Following up on our conversation — scheduled for {tomorrow} 09:00:00\S+ \(scheduled\)\n"
    assert len(re.findall(listed, said)) == 1
    assert client.inboxes.drafts.list(inbox).count == 0
    assert client.inboxes.messages.list(inbox).count == 0


def test_a_follow_up_waits_and_is_called_off_by_an_answer(
    run: Run, server: Running, client: AgentMail, inbox: str
):
    draft_id = _found(f"Unless they answer, ({ID}) goes out at", run("conditional_follow_up"))

    follow_up = client.inboxes.drafts.get(inbox, draft_id)
    [thread] = client.inboxes.threads.list(inbox).threads
    assert follow_up.send_status == "scheduled"
    assert follow_up.in_reply_to == thread.last_message_id
    assert f"follow-up:{draft_id}" in thread.labels

    answer(server, inbox, in_reply_to=thread.last_message_id)

    assert is_gone(client, inbox, draft_id)
    assert f"follow-up:{draft_id}" not in client.inboxes.threads.get(inbox, thread.thread_id).labels


def test_the_published_handler_hears_of_the_answer(
    run: Run, running: Listen, server: Running, client: AgentMail, inbox: str
):
    draft_id = _found(f"Unless they answer, ({ID}) goes out at", run("conditional_follow_up"))
    [thread] = client.inboxes.threads.list(inbox).threads
    handler = running("cancel_on_reply")

    answer(server, inbox, in_reply_to=thread.last_message_id)

    told = f"Pat Prospect <{PROSPECT}> has answered in {thread.thread_id}\n"
    assert eventually(lambda: told in handler.said), handler.said
    assert is_gone(client, inbox, draft_id)
    assert f"follow-up:{draft_id}" not in client.inboxes.threads.get(inbox, thread.thread_id).labels


def test_the_published_handler_cancels_by_itself_what_the_server_would_not(
    run: Run, running: Listen, server: Running, client: AgentMail, inbox: str
):
    draft_id = _found(f"Unless they answer, ({ID}) goes out at", run("conditional_follow_up"))
    [thread] = client.inboxes.threads.list(inbox).threads
    running("cancel_on_reply")

    away = {"Auto-Submitted": "auto-replied"}
    answer(server, inbox, in_reply_to=thread.last_message_id, headers=away)

    assert eventually(lambda: is_gone(client, inbox, draft_id))


def test_the_published_handler_believes_nobody_who_cannot_sign(running: Listen):
    handler = running("cancel_on_reply")

    forged = httpx.post(f"http://127.0.0.1:{handler.port}/webhooks", json={"event_type": "message.received"})

    assert forged.status_code == 400


def test_the_drafts_of_all_inboxes_are_counted(run: Run, client: AgentMail, inbox: str):
    client.inboxes.drafts.create(inbox, subject="One")
    client.inboxes.drafts.create(inbox, subject="Two")

    assert run("all_drafts") == f"Found {client.drafts.list().count} drafts pending review.\n"


def test_the_block_for_cursor_runs_although_it_names_no_server(run: Run, client: AgentMail, inbox: str):
    said = run("one_shot")

    message_id = _found(r"^(<\S+>)\n", said)
    assert client.inboxes.messages.get(inbox, message_id).subject == "[REVIEW] Proposed reply"
    assert said.endswith("status: scheduled\n")
    [scheduled] = client.inboxes.drafts.list(inbox, labels=["scheduled"]).drafts
    assert scheduled.subject == "Follow up"


def test_the_seven_blocks_do_what_they_say(run: Run, client: AgentMail, inbox: str):
    said = run("draft_blocks").splitlines()

    draft_id = _found(rf"^created ({ID}): send_status None$", said[0])
    scheduled_id = _found(rf"^created ({ID}): send_status scheduled$", said[1])
    assert said[2:5] == [
        "Your order: It is on its way.",
        "Your order, once more, still scheduled, still: It is on its way.",
        "send_status None, send_at None",
    ]
    assert said[5:7] == [f"1 on this page: ['{scheduled_id}']", f"1 on this page: ['{draft_id}']"]
    assert int(_found(r"^(\d+) in all inboxes$", said[7])) >= 2
    message_id = _found(r"^sent: (<\S+>) in \S+$", said[8])
    assert said[9:] == ["0 left"]
    assert client.inboxes.messages.get(inbox, message_id).subject == "Your order"


# --- the engine's own API ---


def test_a_human_says_yes_rewords_and_says_no(run: Run, client: AgentMail, inbox: str):
    said = run("review").splitlines()

    assert said[:2] == ["3 wait for a yes", "to ann@example.com: Dear ann, shall we talk? (0 letters before)"]
    assert said[2:4] == [
        "approved by key_config_1",
        "approved: Dear Bob, have you a minute on Thursday?",
    ]
    assert said[4].startswith("409: ['approval_state', 'at', 'by', 'content_sha', 'state'")
    assert said[5] == "rejected: rejected: she asked us to stop"
    assert eventually(lambda: client.inboxes.messages.list(inbox).count == 2)
    texts = {each.preview for each in client.inboxes.messages.list(inbox).messages}
    assert texts == {"Dear ann, shall we talk?", "Dear Bob, have you a minute on Thursday?"}


# --- the neighbours ---


def test_drafts_as_agentpost_has_them(run: Run, client: AgentMail, inbox: str):
    said = run("agentpost_drafts").splitlines()

    assert re.fullmatch(f"Draft created: {ID}", said[0])
    assert "legal@acmeco.com" in said[1]
    assert "cfo@acmeco.com" in said[1]
    assert said[2].startswith("Draft sent as message: ")
    assert said[3] == "Sent in the same thread: True"
    assert re.match(r"4\d\d: ", said[4])
    [thread] = client.inboxes.threads.list(inbox).threads
    first, second = client.inboxes.threads.get(inbox, thread.thread_id).messages
    assert first.to == ["Legal Team <legal@acmeco.com>"]
    assert first.cc == ["CFO <cfo@acmeco.com>"]
    assert first.text == "Updated: Please review the attached vendor agreement."
    assert (second.to, second.in_reply_to) == (["alice@example.com"], first.message_id)
    assert client.inboxes.drafts.list(inbox).count == 0


def test_drafts_as_feather_lists_them(run: Run, client: AgentMail, inbox: str):
    marks = [uuid4().hex for _ in range(3)]
    for mark in marks[:2]:
        client.inboxes.drafts.create(inbox, to=[PROSPECT], subject=mark, text="Hello")
    client.inboxes.drafts.create(inbox, to=[PROSPECT], subject=marks[2], text="Hello", send_at=at(days=1))

    said = run("feather_list_drafts")

    uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    for mark in marks[:2]:
        assert re.search(rf"^{uuid} draft, unsubmitted: {mark}$", said, re.MULTILINE), said
    assert re.search(rf"^{uuid} approved, \w+: {marks[2]}$", said, re.MULTILINE), said
    assert int(_found(r"\n(\d+) will go out by themselves\n", said)) >= 1
    assert said.splitlines()[-1].startswith("422: ")


# --- webhooks ---


def test_an_agent_hears_of_a_letter(running: Listen, server: Running, client: AgentMail, inbox: str):
    agent = running("webhooks_to_your_agent")

    answer(server, inbox, message_id=(letter := f"<{uuid4().hex}@mail.prospect.test>"), subject="Hello")

    assert eventually(lambda: f"Pat Prospect <{PROSPECT}> wrote to {inbox}: Hello\n" in agent.said), (
        agent.said
    )
    assert eventually(lambda: "unread" not in client.inboxes.messages.get(inbox, letter).labels)
    assert "read-by-my-agent" in client.inboxes.messages.get(inbox, letter).labels


# --- the words ---


def _words(text: str) -> list[str]:
    """The lines of a snippet, but for what a reader puts in: where the inbox stands, and what is waited for."""
    plain = text.replace('"outreach@domain.com"', "inbox_id").replace("await ", "")
    lines = [line.strip() for line in plain.splitlines()]
    return [line for line in lines if line and line not in ("inbox_id = inbox_id", _IMPORT)]


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("schedule", recipe.SCHEDULE),
        ("schedule", recipe.LIST_SCHEDULED),
        ("schedule", recipe.RESCHEDULE_AND_CANCEL),
        ("conditional_follow_up", recipe.SEND_AND_SCHEDULE),
        ("cancel_on_reply", recipe.CANCEL_ON_REPLY),
        ("all_drafts", recipe.ALL_DRAFTS),
    ],
)
def test_the_words_are_those_that_are_published(name: str, published: str, voice: str):
    shown = "\n".join(_words((EXAMPLES / f"{name}{voice}.py").read_text("utf-8")))

    assert "\n".join(_words(published)) in shown


def test_every_example_is_there_in_both_voices_and_told_of():
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    names = {stem.removesuffix("_async") for stem in scripts}
    told = set(re.findall(r"^\| `(\w+)\.py`", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE))

    assert scripts == {f"{name}{voice}" for name in names for voice in VOICES}
    assert told == names
    assert all(f'"{name}"' in Path(__file__).read_text("utf-8") for name in names)
