"""deploy/: what it names exists, what it sets can be set, and what should be closed is."""

import configparser
import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr
from redis.exceptions import RedisError
from typer.main import get_command

from relent.assemble import exposition
from relent.cli import app
from relent.config import Redis, load_config
from relent.exposition import shown_at
from relent.worker import Worker
from tests.makers import enrolled
from tests.redis_server import RedisServer
from tests.relent.processes import free_port

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"] == "relent"}
UNITS = ("relent.service", "relent-work@.service")


def _understood(words: list[str]) -> bool:
    """A command of ours, with options that it has."""
    command = get_command(app).commands[words[0]]
    options = {name for each in command.params for name in each.opts}
    return {word for word in words[1:] if word.startswith("-")} <= options


def _unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(strict=True, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((DEPLOY / name).read_text("utf-8"))
    return unit


def _environment() -> dict[str, str]:
    lines = (DEPLOY / "relent.env.example").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_the_installation_has_a_server_two_workers_a_database_and_a_redis():
    assert set(COMPOSE["services"]) == {"serve", "work", "postgres", "redis"}
    assert OURS["work"]["deploy"]["replicas"] == 2
    assert set(COMPOSE["volumes"]) == {"postgres", "state"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_containers_run_commands_that_exist(name):
    assert _understood(OURS[name]["command"])
    check = OURS[name]["healthcheck"]["test"]
    assert check[1] != "relent" or _understood(check[2:])


def test_everybody_is_looked_after():
    assert all("healthcheck" in each for each in COMPOSE["services"].values())


def test_a_worker_that_has_not_looked_for_half_a_minute_is_not_well(house, clock):
    """By the very words that its container is asked with."""
    port = free_port()
    [_, python, option, words] = OURS["work"]["healthcheck"]["test"]
    assert OURS["work"]["command"][-2:] == ["--metrics", "9108"]
    assert python == "python"
    assert words.count("127.0.0.1:9108") == 1

    def asked() -> int:
        ask = [sys.executable, option, words.replace("9108", str(port))]
        return subprocess.run(ask, timeout=30, check=False, stderr=subprocess.DEVNULL).returncode

    assert asked() != 0, "nobody is there"
    with shown_at(port, exposition(house)):
        assert asked() == 1, "it has not looked yet"
        house.meters.looked(clock.now())
        assert asked() == 0
        clock.pass_(timedelta(seconds=31))
        assert asked() == 1


def test_only_the_server_can_be_reached_and_only_from_this_machine():
    ports = {name: each.get("ports") for name, each in COMPOSE["services"].items()}
    assert ports == {"serve": ["127.0.0.1:8025:8025"], "work": None, "postgres": None, "redis": None}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert (
        COMPOSE["services"]["redis"]["networks"] == COMPOSE["services"]["postgres"]["networks"] == ["inside"]
    )


def test_no_secret_stands_in_what_is_shared():
    for name in ("compose.yaml", "config.yaml", "Dockerfile", *UNITS):
        text = (DEPLOY / name).read_text("utf-8")
        assert not re.search(r"whsec_|am_[\w-]{8}|://[^/\s]*:[^/\s]*@", text), name
    assert {value for key, value in _environment().items() if "change-" not in value} == set()


def test_what_is_set_can_be_set(monkeypatch):
    """By the same reader that a start would use."""
    for key, value in _environment().items():
        monkeypatch.setenv(key, value)
    config = load_config(DEPLOY / "config.yaml")
    assert config.redis.url
    assert config.database.url.startswith("postgresql://")
    assert config.mailbox.transport == "capture", "a fresh installation does no harm"
    assert config.webhooks.secrets
    assert not config.server.api_keys, "what everybody can read here opens nothing"


def test_what_is_remembered_of_the_database_lies_where_it_may_be_written(monkeypatch):
    """Else nobody would notice that its folder was put back."""
    monkeypatch.setenv("RELENT_DATABASE__URL", _environment()["RELENT_DATABASE__URL"])
    folder = load_config(DEPLOY / "config.yaml").database.state
    for each in OURS.values():
        assert each["read_only"]
        assert f"state:{folder}" in each["volumes"]
    made = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert f"--create-home --home-dir {folder} relent" in made, "a new volume belongs to whom its folder does"
    for unit in map(_unit, UNITS):
        assert f"/var/lib/{unit['Service']['StateDirectory']}" == folder


def test_the_image_holds_every_package_and_nobody_in_it_is_root():
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").splitlines()
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    copied = {line.split()[1] for line in lines if re.fullmatch(r"COPY (\w+) \1", line)}
    assert copied == set(packages["packages"])
    assert all(
        (ROOT / name).exists() for line in lines if line.startswith("COPY p") for name in line.split()[1:-1]
    )
    assert "USER relent" in lines[lines.index("FROM python:3.13-slim") :]
    assert any("--constraint constraints.txt '.[postgres,redis]'" in line for line in lines)
    assert {"postgres", "redis"} <= set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    [command] = [
        shlex.split(line.removeprefix("CMD ").strip("[]").replace(",", ""))
        for line in lines
        if line.startswith("CMD ")
    ]
    assert _understood(command)


@pytest.mark.parametrize("name", UNITS)
def test_units_start_commands_that_exist_and_are_shut_in(name):
    unit = _unit(name)
    service = unit["Service"]
    program, *words = service["ExecStart"].split()
    assert Path(program).name == "relent"
    assert _understood(words)
    assert (service["User"], service["Restart"], service["KillMode"]) == ("relent", "always", "mixed")
    assert int(service["TimeoutStopSec"]) > 40, "who hangs is given up after forty seconds, by ourselves"
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "CapabilityBoundingSet="):
        key, value = line.split("=")
        assert service[key] == value
    assert "ProcSubset" not in service
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_both_units_are_shut_in_alike():
    first, second = (dict(_unit(name)["Service"]) for name in UNITS)
    assert {key for key in first if first[key] != second[key]} == {"ExecStart"}


# --- what a Relent may do in Redis ---


@pytest.fixture
def database_url(tmp_path: Path, empty_sqlite: Path) -> str:
    """Which one it is has nothing to do with it."""
    return f"sqlite:///{shutil.copy(empty_sqlite, tmp_path / 'relent.db')}"


@pytest.fixture
def closed_redis(tmp_path: Path):
    """With the example of the rules, and a password."""
    hashed = hashlib.sha256(b"a password").hexdigest()
    rules = (DEPLOY / "redis.acl").read_text("utf-8")
    assert rules.count("0" * 64) == 1
    (tmp_path / "users.acl").write_text(rules.replace("0" * 64, hashed) + "user judge on nopass ~* +@all\n")
    with RedisServer("--aclfile", str(tmp_path / "users.acl"), "--acllog-max-len", "100") as server:
        yield server


def test_the_rules_for_redis_let_a_relent_work_and_nothing_else(closed_redis, house, mailbox):
    url = closed_redis.url.replace("//", "//relent:a%20password@")
    config = house.config.model_copy(update={"redis": Redis(url=SecretStr(url))})
    worker = Worker(replace(house, config=config), listens=True)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        _wait(lambda: worker._patience)
        for number in range(3):
            enrolled(house.store, house.clock.now(), f"p{number}@nordic.example")
        _wait(lambda: len(mailbox.sent) == 3)
        assert worker._patience, "it was told, and it listened"
    finally:
        worker.enough()
        thread.join(30)

    with closed_redis.client(username="judge", password="any") as judge:
        assert judge.acl_log() == [], "it asked for nothing that the rules do not give"
    with closed_redis.client(username="relent", password="a password") as client:
        for words in (
            "FLUSHALL",
            "KEYS *",
            "CONFIG GET *",
            "GET other",
            "SET other 1",
            "EVAL x 0",
            "ACL LOG",
            "MONITOR",
        ):
            with pytest.raises(RedisError, match="permissions"):
                client.execute_command(*words.split())
    with closed_redis.client() as nobody, pytest.raises(RedisError, match="Authentication required"):
        nobody.set("rq:queue:x", 1)


def _wait(look: Any) -> None:
    until = time.monotonic() + 30
    while not look():
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.02)
