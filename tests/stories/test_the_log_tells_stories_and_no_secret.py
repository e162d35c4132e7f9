"""A whole day's log, written by real processes: a JSON object a line, one id through each story, and no secret anywhere."""

import base64
import json
import re
import secrets
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from relent.config import load_config
from relent.logs import secrets_of
from tests.makers import IDA, received, signed
from tests.relent.processes import Folder
from tests.smtp_server import Conversation, SmtpServer


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _with_a_password(url: str) -> str:
    """Our own PostgreSQL trusts whoever comes through its socket, also with a password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" or parsed.password:
        return url
    return parsed.set(password=secrets.token_urlsafe(12)).render_as_string(hide_password=False)


def _repeat(conversation: Conversation) -> None:
    """A server that says again what it was told: there are such."""
    conversation.write(f"535 5.7.8 {conversation.asked} is wrong\r\n".encode())


@pytest.fixture
def mail_server() -> Any:
    with SmtpServer(login=("sam", "nobody knows")) as server:
        server.faults["AUTH"] = _repeat
        yield server


@pytest.fixture
def folder(tmp_path: Path, database_url: str, mail_server: SmtpServer) -> Folder:
    folder = Folder(tmp_path / "house", database_url)
    config = {
        "database": {"url": _with_a_password(database_url)},
        "webhooks": {"secrets": [_secret(), _secret()], "outbound": {"secret": _secret()}},
        "server": {"port": folder.port, "api_keys": [secrets.token_urlsafe(24), secrets.token_urlsafe(24)]},
        "mailbox": {
            "transport": "smtp",
            "smtp": {
                "host": mail_server.host,
                "port": mail_server.port,
                "tls": "none",
                "username": "sam",
                "password": secrets.token_urlsafe(12),
            },
        },
        "redis": {"url": f"redis://relent:{secrets.token_urlsafe(12)}@127.0.0.1:1/0"},  # nobody answers there
        "log": {"level": "debug"},
    }
    (folder.path / "config.yaml").write_text(json.dumps(config))
    return folder


def _ask(folder: Folder, path: str, key: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{folder.port}{path}")
    request.add_header("Authorization", f"Bearer {key}")
    try:
        urllib.request.urlopen(request, timeout=15).close()
    except urllib.error.HTTPError as error:
        error.close()


def test_a_day_is_logged_as_stories_and_without_secrets(folder, mail_server):
    config = load_config(folder.path / "config.yaml")
    [new, old] = [each.get_secret_value() for each in config.webhooks.secrets]
    key = config.server.api_keys[0].get_secret_value()
    folder.run("enroll", "seconds.yaml", "--email", IDA, "--var", "first_name=Ida")
    with folder.serving():
        folder.wait_for(lambda: "AUTH PLAIN" in " ".join(mail_server.verbs))
        mail_server.faults.clear()
        [draft] = folder.json("drafts")
        for number, secret in enumerate((new, old)):
            post = signed(
                received(draft["thread_id"], event_id=f"evt_{number}"),
                datetime.now(UTC),
                secret=secret,
                delivery_id=f"msg_{number}",
            )
            assert folder.post(post["content"], post["headers"]) == 204
        unreadable = signed(b"[]", datetime.now(UTC), secret=new, delivery_id="msg_9")
        assert folder.post(unreadable["content"], unreadable["headers"]) == 422
        assert folder.post(b"{}", {"svix-id": "x", "svix-signature": new}) == 401
        for path in ("/v0/inboxes", f"/v0/inboxes?api_key={key}", f"/v0/{key}", f"/{key}", "/metrics"):
            _ask(folder, path, key)
        _ask(folder, "/v0/inboxes", key + "x")
        folder.wait_for(lambda: folder.get("/readyz") == 200)

    text = (folder.path / "log.txt").read_text()
    text = re.sub(r"Nobody may come in yet\. .*\n.*/welcome/.*\n", "", text)  # for people, on standard output
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "event", "logger"} <= set(line) for line in lines)
    assert not [secret for secret in secrets_of(config) if secret in text]
    assert "[secret]" not in text, "nobody should have needed the net"
    assert any("login failed" in line["event"] for line in lines)

    [postponed] = [line for line in lines if line["event"].startswith("postponed ")]
    assert (postponed["draft_id"], postponed["enrollment_id"]) == (draft["draft_id"], draft["enrollment_id"])
    heard = {
        line["event_id"]: line["story"]
        for line in lines
        if line["logger"] == "relent.webhooks" and "event_id" in line
    }
    assert set(heard) == {"evt_0", "evt_1"}
    assert len({*heard.values(), postponed["story"]}) == 3
