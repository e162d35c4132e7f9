"""config.yaml: what it says, and what is wrong with it."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.keys import Keyring
from relent.assemble import House, assemble, check_listening, sender, verifier
from relent.config import load_config
from relent.first_day import set_up
from tests.doubles import FrozenClock
from tests.makers import SECRET


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("RELENT_"):
            monkeypatch.delenv(name)


def _config(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return path


def test_what_is_left_out_has_its_default(tmp_path):
    config = load_config(_config(tmp_path, "webhooks: {tolerance: 90s}\n"))
    assert config.webhooks.tolerance == timedelta(seconds=90)
    assert (config.mailbox.transport, config.server.port, config.dispatch.batch) == ("capture", 8025, 100)


def test_an_empty_file_is_all_defaults(tmp_path):
    assert load_config(_config(tmp_path, "")).server.host == "127.0.0.1"


def test_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("RELENT_SERVER__PORT", "9999")
    monkeypatch.setenv("RELENT_WEBHOOKS__SECRETS", f'["{SECRET}"]')
    config = load_config(_config(tmp_path, "server: {port: 1, host: 127.0.0.2}\n"))
    assert (config.server.port, config.server.host) == (9999, "127.0.0.2")
    assert verifier(config)


def test_the_environment_is_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELENT_DATABASE__URL", "postgresql://x/y")
    assert load_config(None).database.url == "postgresql://x/y"


def test_another_file_can_be_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("RELENT_CONFIG", str(_config(tmp_path, "server: {port: 7}\n")))
    assert load_config(None).server.port == 7


def test_a_relative_database_lies_beside_its_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    config = load_config(_config(tmp_path, "database: {url: 'sqlite:///here.db'}\n"))
    assert config.database.url == f"sqlite:///{tmp_path}/here.db"
    absolute = load_config(_config(tmp_path, "database: {url: 'sqlite:////var/there.db'}\n"))
    assert absolute.database.url == "sqlite:////var/there.db"


COMPLAINTS = {
    "databse: {url: x}": 'unknown key databse. Did you mean "database"?',
    "webhooks: {secret: x}": 'unknown key webhooks.secret. Did you mean "secrets"?',
    "mailbox: {smtp: {hots: x}}": 'unknown key mailbox.smtp.hots. Did you mean "host"?',
    "server: {zzz: 1}": "Known here: host, port, public_url, api_keys, domains, rate.",
    "webhooks: {tolerance: soon}": 'webhooks.tolerance: "soon" is no duration',
    "webhooks: {max_body: big}": 'webhooks.max_body: "big" is no size',
    "redis: {url: 'http://127.0.0.1'}": "write redis://user:password@host:6379/0",
    "redis: {url: localhost}": "write redis://",
    "redis: {url: 'redis://'}": "write redis://",
    "redis: {url: 'redis://:half/of@it:6379'}": "%2F",
    "redis: {url: 'redis://localhost:high'}": "write redis://",
    "redis: {url: 'redis://localhost/one'}": "the database of a Redis is a number",
    "redis: {url: 'redis://localhost?protcol=3'}": 'unknown option "protcol"',
    "redis: {uri: x}": 'unknown key redis.uri. Did you mean "url"?',
    "redis: {queue: x}": "Known here: url.",
    "dispatch: {batch: 0}": "dispatch.batch",
    "dispatch: {rate: 0}": "dispatch.rate: 0 letters a minute would never leave. `relent stop --all` lets nothing",
    "dispatch: {rate: 1000001}": "dispatch.rate",
    "dispatch: {lease: 0s}": "dispatch.lease",
    "dispatch: {retries: []}": "dispatch.retries",
    "mailbox: {transport: pigeon}": "mailbox.transport",
    "server: {port: 99999}": "server.port",
    "server: 7": "server",
    "- a list": "write keys and values",
    "server: {port: 1": "config.yaml",
    "server: {port: 1}\nserver: {port: 2}": "server is there twice",
    "server: {port: 1, port: 2}": "port is there twice",
    "a: !!python/object/apply:os.system [id]": "config.yaml",
}


@pytest.mark.parametrize(("text", "words"), COMPLAINTS.items())
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        load_config(_config(tmp_path, text))
    assert words in str(caught.value)
    assert str(tmp_path / "config.yaml") in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(_config(tmp_path, "databse: {}\nserver: {port: x}\n"))
    assert len(str(caught.value).splitlines()) == 2


def test_no_file_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="relent init"):
        load_config(None)
    with pytest.raises(ConfigError, match=r"there is no .*none\.yaml"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "secrets", ["[]", "['']", "['short']", "['whsec_AAAA']", "['v1,whsec_x']", "['whsec_ü']"]
)
def test_without_a_good_secret_nobody_serves(tmp_path, secrets):
    config = load_config(_config(tmp_path, f"webhooks: {{secrets: {secrets}}}\n"))
    with pytest.raises(ConfigError, match=r"secret"):
        verifier(config)


def test_a_complaint_about_a_secret_does_not_tell_it(tmp_path):
    config = load_config(_config(tmp_path, "webhooks: {secrets: [hunter2hunter2]}\n"))
    with pytest.raises(ConfigError) as caught:
        verifier(config)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(config)


@contextmanager
def _assembled(folder: Path, server: str) -> Iterator[House]:
    house = assemble(load_config(_config(folder, f"server: {server}\n")))
    try:
        yield house
    finally:
        house.store.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "relent.example"])
def test_beyond_this_machine_only_with_a_key(tmp_path, host):
    with (
        _assembled(tmp_path, f"{{host: '{host}'}}") as house,
        pytest.raises(ConfigError, match="api_keys"),
    ):
        check_listening(house)
    with _assembled(tmp_path, f"{{host: '{host}', api_keys: [{'k' * 16}]}}") as house:
        check_listening(house)


def test_a_key_that_can_be_guessed_is_for_this_machine_alone(tmp_path):
    with (
        _assembled(tmp_path, f"{{host: 0.0.0.0, api_keys: [{'k' * 16}, am_test]}}") as house,
        pytest.raises(ConfigError, match=r"fewer than 16 letters.*relent key create") as caught,
    ):
        check_listening(house)
    assert "am_test" not in str(caught.value)
    with _assembled(tmp_path, "{host: 127.0.0.1, api_keys: [am_test]}") as house:
        check_listening(house)


@pytest.mark.parametrize("key", ["change-to-am_0123456789", "am_…", "schlüssel-schlüssel"])
def test_a_key_that_is_everybodys_or_no_header_carries_is_refused(tmp_path, key):
    with pytest.raises(ConfigError, match=r"server\.api_keys: one of them.*relent key create") as caught:
        load_config(_config(tmp_path, f"server: {{api_keys: [{key}]}}\n"))
    assert key not in str(caught.value)


def test_a_key_that_somebody_made_is_one_until_it_is_revoked(tmp_path):
    with _assembled(tmp_path, "{host: 0.0.0.0}") as house:
        ring = Keyring(store=house.store, clock=house.clock)
        made = ring.make("ours")
        check_listening(house)

        ring.revoke(made.key.id)

        with pytest.raises(ConfigError, match="relent key create"):
            check_listening(house)


def test_a_key_that_has_expired_is_none(tmp_path):
    with _assembled(tmp_path, "{host: 0.0.0.0}") as house:
        now = house.clock.now()
        Keyring(store=house.store, clock=house.clock).make("ours", expires_at=now + timedelta(days=1))

        later = replace(house, clock=FrozenClock(now + timedelta(days=2)))

        with pytest.raises(ConfigError, match="api_keys"):
            check_listening(later)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_without(tmp_path, host):
    with _assembled(tmp_path, f"{{host: '{host}'}}") as house:
        check_listening(house)


def test_an_empty_key_is_told_of(tmp_path):
    with pytest.raises(ConfigError, match=r"server\.api_keys: one of them is empty"):
        load_config(_config(tmp_path, "server: {api_keys: ['']}\n"))


@pytest.mark.parametrize(
    ("written", "least"), [("every: 1m", "2m"), ("every: 119s", "2m"), ("every: 5m, limit: 5m", "6m")]
)
def test_a_canary_is_home_before_the_next_one_flies(tmp_path, written, least):
    with pytest.raises(ConfigError, match=f"canary: every: .* Write {least} or longer"):
        load_config(_config(tmp_path, f"canary: {{{written}}}\n"))


@pytest.mark.parametrize("written", ["every: null, limit: 1h", "every: 2m", "every: 6m, limit: 5m"])
def test_whoever_has_time_may_keep_one(tmp_path, written):
    assert load_config(_config(tmp_path, f"canary: {{{written}}}\n")).canary


@pytest.mark.parametrize(
    ("written", "read"),
    [("[]", ()), ("acme.example", ("acme.example",)), ("[ACME.example, acme.example]", ("acme.example",))],
)
def test_domains_are_a_list_or_one(tmp_path, written, read):
    assert load_config(_config(tmp_path, f"server: {{domains: {written}}}\n")).server.domains == read


@pytest.mark.parametrize("written", ["[no domain]", "['@']", "['a..b']", "['sam@acme.example']", "['']"])
def test_what_is_no_domain_is_told_of(tmp_path, written):
    with pytest.raises(ConfigError, match="is no domain"):
        load_config(_config(tmp_path, f"server: {{domains: {written}}}\n"))


def test_a_password_never_travels_in_the_clear(tmp_path):
    text = "mailbox: {transport: smtp, smtp: {host: mail.example, tls: none, password: x}}\n"
    with pytest.raises(ConfigError, match="in the clear"):
        assemble(load_config(_config(tmp_path, text)))


def test_init_writes_what_can_be_loaded_and_keeps_what_is_there(tmp_path):
    first = list(set_up(tmp_path / "new"))
    config = load_config(tmp_path / "new" / "config.yaml")
    text = (tmp_path / "new" / "config.yaml").read_text("utf-8")

    second = list(set_up(tmp_path / "new"))

    assert [written.new for written in first] == [True] * 3
    assert [written.new for written in second] == [False] * 3
    assert (tmp_path / "new" / "config.yaml").read_text("utf-8") == text
    assert stat.S_IMODE((tmp_path / "new" / "config.yaml").stat().st_mode) == 0o600
    assert verifier(config)
    assert config.server.api_keys


def test_two_inits_have_two_secrets(tmp_path):
    for name in ("a", "b"):
        list(set_up(tmp_path / name))
    secrets = {load_config(tmp_path / name / "config.yaml").webhooks.secrets[0] for name in ("a", "b")}
    assert len(secrets) == 2


def test_what_we_sign_for_others_is_never_signed_with_what_we_believe(tmp_path):
    """Whoever can check a signature can make one: they could forge an answer."""
    config = load_config(
        _config(tmp_path, f"webhooks: {{secrets: [{SECRET}], outbound: {{secret: {SECRET}}}}}\n")
    )
    with pytest.raises(ConfigError, match=r"outbound\.secret is one of webhooks\.secrets"):
        sender(config)


def test_pools_are_addresses_under_a_name(tmp_path):
    config = load_config(_config(tmp_path, "pools: {north: [sam@acme.example, kim@acme.example]}\n"))
    assert config.pools == {"north": ("sam@acme.example", "kim@acme.example")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a]", "write a name"),
        ("{north: sam@acme.example}", "north: write its addresses"),
        ("{north: [sam]}", "sam"),
    ],
)
def test_pools_that_are_none_are_told_in_words(tmp_path, text, words):
    with pytest.raises(ConfigError, match=words):
        load_config(_config(tmp_path, f"pools: {text}\n"))


# --- redis ---


@pytest.mark.parametrize(
    "url", ["redis://sam:se%2Fcret@r.example:6380/1", "rediss://r", "unix:///run/r.sock?db=2"]
)
def test_an_address_of_a_redis_is_kept_to_ourselves(tmp_path, monkeypatch, url):
    monkeypatch.setenv("RELENT_REDIS__URL", url)
    config = load_config(_config(tmp_path, ""))
    assert config.redis.url
    assert config.redis.url.get_secret_value() == url
    assert "se%2Fcret" not in repr(config)


@pytest.mark.parametrize(
    "url", ["redis://:qz/ss@host", "redis://:qz#ss@host", "http://x:qzss@host", "redis://u:qzss@host:port"]
)
def test_a_wrong_address_is_told_without_its_password(tmp_path, url):
    with pytest.raises(ConfigError) as caught:
        load_config(_config(tmp_path, f"redis: {{url: '{url}'}}\n"))
    assert "qz" not in str(caught.value)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_address_is_none(tmp_path, monkeypatch, empty):
    monkeypatch.setenv("RELENT_REDIS__URL", empty)
    assert load_config(_config(tmp_path, "")).redis.url is None


def test_without_its_client_redis_is_told_how_to_be_had(tmp_path):
    """In a process of its own, that cannot find it."""
    script = (
        "import sys; sys.modules['rq'] = None; sys.modules['redis'] = None\n"
        "from relent.cli import main; sys.argv = ['relent', 'work', '--burst']; main()"
    )
    environment = {"PATH": "/usr/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= {
        "RELENT_DATABASE__URL": f"sqlite:///{tmp_path}/r.db",
        "RELENT_REDIS__URL": "redis://localhost",
    }
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "pip install 'relent-engine[redis]'" in ran.stderr.replace("\n", " ")
    assert "Traceback" not in ran.stderr
    del environment["RELENT_REDIS__URL"]
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (0, "0 looked after\n")


def test_an_sqlite_file_and_a_redis_elsewhere_are_wondered_at(tmp_path, caplog):
    config = load_config(_config(tmp_path, "redis: {url: 'redis://r.example'}\n"))
    assemble(config).store.close()
    assert "workers elsewhere need PostgreSQL" in caplog.text
