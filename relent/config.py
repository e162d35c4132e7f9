"""What a user may set: one source for config.yaml, the environment and the reference in docs/.

Any key can come from the environment, `RELENT_DATABASE__URL`, and secrets should; the environment wins.
"""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from engine.addresses import domain, valid_address
from engine.calls import WAITS
from engine.errors import ConfigError, Refused
from engine.measures import parse_wait

#: Where pydantic speaks of Python, we speak of YAML.
_OUR_WORDS = {
    "tuple_type": "write a list: [one, another]",
    "too_short": "write at least one",
    "model_type": "write keys and values under it",
    "string_type": "write a text",
    "int_parsing": "write a number",
    "int_type": "write a number",
}
_SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2}
_SQLITE_PLACE = re.compile(r"(sqlite:///)(?!/)(.+)")
_SIZE = re.compile(r"(\d{1,6})\s*(B|KiB|MiB)")


def _duration(value: object) -> object:
    if not isinstance(value, str):
        return value
    wait = parse_wait(value)
    if wait.in_business_days:
        raise ValueError(f'"{value}" is no duration here. Write 45s, 30m, 4h, 3d or 2w')
    return wait.delta


def _as_wait(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _size(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SIZE.fullmatch(value.strip())
    if not found:
        raise ValueError(f'"{value}" is no size. Write 512KiB or 1MiB')
    return int(found[1]) * _SIZES[found[2]]


def _as_size(value: int) -> str:
    for unit in ("MiB", "KiB"):
        if value % _SIZES[unit] == 0:
            return f"{value // _SIZES[unit]}{unit}"
    return f"{value}B"


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(_as_wait), Field(gt=timedelta(0))]
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(_as_size), Field(gt=0)]
Secrets = Annotated[
    tuple[SecretStr, ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) and value else value),
]


def _pools(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("write a name and its addresses under it: [sam@acme.example, kim@acme.example]")
    return {str(name): _addresses(str(name), listed) for name, listed in value.items()}


def _addresses(name: str, listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list | tuple) or not listed:
        raise ValueError(f"{name}: write its addresses as a list: [sam@acme.example, kim@acme.example]")
    try:
        return tuple(dict.fromkeys(valid_address(str(address)) for address in listed))
    except Refused as error:
        raise ValueError(f"{name}: {error}") from error


def _domains(value: object) -> object:
    """One needs no brackets, as one secret needs none."""
    listed = value if isinstance(value, list | tuple) else [value] if value else []
    return tuple(dict.fromkeys(_domain(str(each)) for each in listed))


def _domain(text: str) -> str:
    try:
        return domain(valid_address(f"somebody@{text.strip()}"))
    except Refused as error:
        raise ValueError(f'"{text}" is no domain. Write acme.example') from error


#: How somebody comes by a key.
MAKE_A_KEY = "`relent key create NAME` makes one, and `relent init` in an empty folder writes one"


def _no_keys_of_everybody(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in (each.get_secret_value().strip() for each in value):
        if not key:
            raise ValueError("one of them is empty, and opens nothing")
        if key.startswith("change-"):
            raise ValueError(f"one of them is the example's, which everybody knows. {MAKE_A_KEY}")
        if not key.isascii():
            raise ValueError(f"one of them has letters that no header carries. {MAKE_A_KEY}")
    return value


def _networks(value: object) -> object:
    """`10.0.0.0/8`, or one address alone."""
    listed = value if isinstance(value, list | tuple) else [value] if value else []
    return tuple(_network(str(each)) for each in listed)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError as error:
        raise ValueError(
            f'"{text}" is no network. Write 10.0.0.0/8, or one address like 192.168.1.7'
        ) from error


_REDIS = "write redis://user:password@host:6379/0, rediss://… (with TLS) or unix:///path/redis.sock"
_REDIS_OPTIONS = ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")


def _redis_url(value: SecretStr | None) -> SecretStr | None:
    """What is wrong is told without what is written there: it may be half a password."""
    if value is None or not value.get_secret_value().strip():
        return None
    try:
        parts = urlsplit(value.get_secret_value())
        found = parts.path if parts.scheme == "unix" else parts.hostname
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        _ = parts.port
    except ValueError:
        found, options, parts = None, {}, urlsplit("")
    if parts.scheme not in {"redis", "rediss", "unix"} or not found or parts.fragment:
        raise ValueError(
            f"this is no address of a Redis: {_REDIS}. In a password / # ? @ : are %2F %23 %3F %40 %3A"
        )
    if unknown := sorted(set(options) - set(_REDIS_OPTIONS)):
        raise ValueError(f'unknown option "{unknown[0]}". Known: {", ".join(_REDIS_OPTIONS)}')
    number = options.get("db", "" if parts.scheme == "unix" else parts.path.strip("/"))
    if number and not number.isdecimal():
        raise ValueError("the database of a Redis is a number: redis://host:6379/0")
    return value


RedisUrl = Annotated[SecretStr | None, AfterValidator(_redis_url)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
Domains = Annotated[tuple[str, ...], BeforeValidator(_domains)]
Pools = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_pools)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Database(_Part):
    """Where everything is kept."""

    url: str = Field("sqlite:///relent.db", description="or postgresql://user:password@host/name")
    state: str | None = Field(
        None, description="folder of the state file; null: beside the database, or this file"
    )


class Redis(_Part):
    """Optional: carries hints to `relent work`, on this machine and on others. Nothing is kept there."""

    url: RedisUrl = Field(None, description="redis://user:password@host:6379/0; better: RELENT_REDIS__URL")


class Smtp(_Part):
    """The mail server that takes our letters."""

    host: str = Field("localhost", description="its name, as its certificate says it")
    port: int = Field(587, ge=1, le=65535, description="587 for starttls, 465 for implicit")
    username: str | None = Field(None, description="null: no login")
    password: SecretStr | None = Field(None, description="better: RELENT_MAILBOX__SMTP__PASSWORD")
    tls: Literal["starttls", "implicit", "none"] = Field("starttls", description="starttls, implicit, none")
    ca_file: str | None = Field(None, description="null: the authorities that this machine trusts")


class Mailbox(_Part):
    """How letters leave."""

    type: Literal["local"] = Field("local", description="our own inboxes, in our own database")
    transport: Literal["capture", "smtp"] = Field("capture", description="capture: nothing leaves; or smtp")
    smtp: Smtp = Field(Smtp(), description="used when transport is smtp")


class Outbound(_Part):
    """Where our own webhooks may go, who they say that they are, and how often they are tried."""

    secret: SecretStr | None = Field(
        None, description="whsec_…: signs those of sequences; never one of webhooks.secrets"
    )
    allow: Networks = Field((), description="networks inside that they may reach: [10.1.0.0/16]")
    retries: tuple[Duration, ...] = Field(
        WAITS, min_length=1, description="waits after each try that failed; then it is over"
    )


class Webhooks(_Part):
    """How we are told that somebody answered."""

    secrets: Secrets = Field((), description="whsec_…, newest first; several while rotating")
    tolerance: Duration = Field(timedelta(minutes=5), description="how old a signature may be")
    max_body: Size = Field(1024**2, description="a larger body is refused")
    outbound: Outbound = Field(Outbound(), description="webhooks that we call: anywhere in the world")


class Server(_Part):
    """Where `relent serve` listens."""

    host: str = Field("127.0.0.1", description="beyond this machine only with an api key")
    port: int = Field(8025, ge=0, le=65535, description="0: any free one")
    public_url: str | None = Field(None, description="how the world reaches it; null: http://host:port")
    api_keys: Annotated[Secrets, AfterValidator(_no_keys_of_everybody)] = Field(
        (), description="keys that may do everything; or make others: relent key"
    )
    domains: Domains = Field((), description="of new inboxes, the usual first; []: any, while nothing leaves")
    rate: int = Field(200, ge=1, le=1_000_000, description="requests a second with one key, at most")


class Sequences(_Part):
    """Where sequences are looked for."""

    path: str = Field("./sequences", description="`relent check` without a file checks all of these")


def _rate(rate: int | None) -> int | None:
    if rate is not None and rate < 1:
        raise ValueError(
            f"{rate} letters a minute would never leave. `relent stop --all` lets nothing leave; null: no limit"
        )
    return rate


ARate = Annotated[int | None, AfterValidator(_rate)]


class Dispatch(_Part):
    """How sending goes about its work."""

    batch: int = Field(100, ge=1, le=10_000, description="letters taken at once")
    lines: int | None = Field(
        None,
        ge=1,
        le=16,
        description="connections over which one worker sends at once; null: 4, or on PostgreSQL 1, where more workers are more lines",
    )
    lease: Duration = Field(timedelta(minutes=2), description="after this, a dead worker's letters are free")
    max_lateness: Duration = Field(timedelta(days=2), description="later than this, a human decides")
    rate: ARate = Field(
        None, le=1_000_000, description="letters a minute at most, from all inboxes; null: no limit"
    )
    retries: tuple[Duration, ...] = Field(
        tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)),
        min_length=1,
        description='waits after "not now"; the last repeats',
    )


class Log(_Part):
    """What `relent serve` and `relent work` write to standard error: docs/observability.md."""

    format: Literal["auto", "json", "plain"] = Field(
        "auto", description="json: an object a line; auto: plain on a terminal"
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="and what is worse")


def _endpoint(url: str | None) -> str | None:
    if url is not None and (not url.startswith(("http://", "https://")) or not urlsplit(url).netloc):
        raise ValueError(f'"{url}" is nothing to send to. Write http://localhost:4318/v1/traces')
    return url


class Traces(_Part):
    """Where OpenTelemetry's spans go: how long each part of a story takes."""

    endpoint: Annotated[str | None, AfterValidator(_endpoint)] = Field(
        None, description="OTLP over HTTP: http://localhost:4318/v1/traces; null: nowhere"
    )


class Watch(_Part):
    """How the house looks after itself. See docs/doctor.md."""

    sweep: Duration = Field(
        timedelta(minutes=5), description="how often database, drafts and labels are compared"
    )
    skewed: int | None = Field(
        3,
        ge=1,
        le=1000,
        description="signed webhooks in an hour by a wrong clock: then nothing leaves; null: only told",
    )
    silence: Duration | None = Field(
        None, description="letters leave, and no webhook comes for so long: the same; null: never mind"
    )


class Canary(_Part):
    """Somebody made up, who is written to and answers, so that you know how fast an answer stops a follow-up."""

    every: Duration | None = Field(None, description="how often: 2m or longer; null: never")
    limit: Duration = Field(
        timedelta(seconds=5),
        description="an answer that takes longer brakes the whole house, until one is in time",
    )

    @model_validator(mode="after")
    def _one_at_a_time(self) -> Self:
        """Two in the air at once would take each other's drafts away, and brake the house."""
        least = max(timedelta(minutes=2), self.limit + timedelta(minutes=1))
        if self.every is not None and self.every < least:
            raise ValueError(
                f"every: {_as_wait(self.every)} is too often, she may still be on her way. Write {_as_wait(least)} or longer"
            )
        return self


class _PlainEnvironment(EnvSettingsSource):
    """One secret needs no brackets and quotes: what is no JSON is text."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Config(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="RELENT_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    database: Database = Database()
    redis: Redis = Redis()
    mailbox: Mailbox = Mailbox()
    webhooks: Webhooks = Webhooks()
    server: Server = Server()
    sequences: Sequences = Sequences()
    pools: Pools = Field({}, description="senders who take turns, by name: emea-sdr: [sam@acme.example, …]")
    dispatch: Dispatch = Dispatch()
    log: Log = Log()
    traces: Traces = Traces()
    watch: Watch = Watch()
    canary: Canary = Canary()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return _PlainEnvironment(settings_cls), init_settings


def load_config(path: Path | None) -> Config:
    """From this file, or the one that RELENT_CONFIG names, or ./config.yaml; and the environment on top."""
    named = path or (Path(os.environ["RELENT_CONFIG"]) if os.environ.get("RELENT_CONFIG") else None)
    file = named or Path("config.yaml")
    if not file.is_file():
        if named or "RELENT_DATABASE__URL" not in os.environ:
            raise ConfigError(f"there is no {file}. `relent init` writes one.")
        return _with_state(Path.cwd(), _validate({}, "the environment"))
    try:
        data = yaml.load(file.read_text("utf-8"), Loader=_OnceLoader)  # noqa: S506 (it is a SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file}: {' '.join(str(error).split())}") from error
    if not isinstance(data or {}, dict):
        raise ConfigError(f"{file}: write keys and values, like `relent init` does")
    return _beside(file, _validate(data or {}, str(file)))


def _beside(file: Path, config: Config) -> Config:
    """A relative place is meant from where the file lies: from elsewhere it would be another, empty database."""
    folder = file.resolve().parent
    found = _SQLITE_PLACE.match(config.database.url)
    url = f"{found[1]}{folder / found[2]}" if found else config.database.url
    config = config.model_copy(
        update={
            "database": config.database.model_copy(update={"url": url}),
            "sequences": config.sequences.model_copy(update={"path": str(folder / config.sequences.path)}),
        }
    )
    return _with_state(folder, config)


def _with_state(folder: Path, config: Config) -> Config:
    """A database that is a file has its state file beside it; one on a server has none but here."""
    state, url = config.database.state, config.database.url
    if state is None and url.startswith("sqlite"):
        return config
    place = folder / state if state else folder
    return config.model_copy(update={"database": config.database.model_copy(update={"state": str(place)})})


def render_config(config: Config) -> str:
    """A config.yaml that says what every key is for."""
    lines = [
        "# Every key has its default here; a key that is left out has it too. Any key can come from the",
        "# environment instead: RELENT_DATABASE__URL. The environment wins, and is the better place for secrets.",
    ]
    for name in type(config).model_fields:
        part = getattr(config, name)
        if not isinstance(part, BaseModel):
            plain = config.model_dump(mode="json", include={name})
            lines += ["", f"# {type(config).model_fields[name].description}", _flow(plain)]
            continue
        lines += ["", f"# {type(part).__doc__}", f"{name}:", *_render_part(part, "  ")]
    return "\n".join(lines) + "\n"


def _flow(plain: dict[str, Any]) -> str:
    return yaml.safe_dump(plain, default_flow_style=None, width=1000).strip()


def _render_part(part: BaseModel, indent: str) -> Iterator[str]:
    plain = part.model_dump(mode="json")
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:  # {field.description}"
            yield from _render_part(value, indent + "  ")
        else:
            shown = _reveal(value) if _is_secret(value) else plain[name]
            text = yaml.safe_dump(shown, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
            yield f"{f'{indent}{name}: {text}':<42}  # {field.description}"


def _is_secret(value: object) -> bool:
    return isinstance(value, SecretStr) or (isinstance(value, tuple) and any(map(_is_secret, value)))


def _reveal(value: Any) -> Any:
    return (
        [each.get_secret_value() for each in value] if isinstance(value, tuple) else value.get_secret_value()
    )


class _OnceLoader(yaml.SafeLoader):
    """Of two equal keys YAML keeps the last in silence; we say so."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is one word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _validate(data: dict[Any, Any], whence: str) -> Config:
    _check_environment()
    try:
        return Config(**{str(key): value for key, value in data.items()})
    except ValidationError as error:
        raise ConfigError("\n".join(_complaint(detail, whence) for detail in error.errors())) from error


def _check_environment() -> None:
    """A misspelt name would be a setting that is silently not there."""
    known = ["RELENT_CONFIG", "RELENT_URL", *(f"RELENT_{name.upper()}" for name in Config.model_fields)]
    for name in os.environ:
        top = name.partition("__")[0]
        if name.startswith("RELENT_") and top not in known and not name.startswith("RELENT_TEST_"):
            close = get_close_matches(top, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
            raise ConfigError(f"the environment: unknown {name}. {hint}")


def _complaint(detail: ErrorDetails, whence: str) -> str:
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] != "extra_forbidden":
        message = _OUR_WORDS.get(detail["type"]) or detail["msg"].removeprefix("Value error, ")
        return f"{whence}: {place}: {message[0].lower()}{message[1:]}"
    known = _keys_at(detail["loc"][:-1])
    close = get_close_matches(str(detail["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f'Did you mean "{close[0]}"?' if close else f"Known here: {', '.join(known)}."
    return f"{whence}: unknown key {place}. {hint}"


def _keys_at(path: tuple[int | str, ...]) -> list[str]:
    model: Any = Config
    for name in path:
        model = model.model_fields[name].annotation
    return list(getattr(model, "model_fields", ()))
