"""What `relent init` puts into an empty folder: enough to see a follow-up being cancelled, and nothing that can do harm."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from pydantic import SecretStr

from engine.errors import Unavailable
from relent.config import Config, Outbound, Server, Webhooks, render_config

_PEOPLE = """\
email,first_name,company,timezone
ida@nordic.example,Ida,Nordic Mills,Europe/Oslo
tom@harbour.example,Tom,Harbour & Sons,Europe/London
"""


@dataclass(frozen=True, slots=True)
class Written:
    """A file, and whether it is new."""

    path: Path
    new: bool


def new_secret() -> str:
    """A signing secret, as AgentMail and Svix write them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def set_up(folder: Path) -> Iterator[Written]:
    """What is there already stays as it is."""
    config = Config.model_construct(
        webhooks=Webhooks(
            secrets=(SecretStr(new_secret()),), outbound=Outbound(secret=SecretStr(new_secret()))
        ),
        server=Server(api_keys=(SecretStr("am_" + secrets.token_urlsafe(32)),)),
    )
    sequence = files("sequences").joinpath("quick-question.yaml").read_text("utf-8")
    try:
        (folder / "sequences").mkdir(parents=True, exist_ok=True)
        yield _write(folder / "config.yaml", render_config(config), private=True)
        yield _write(folder / "sequences" / "quick-question.yaml", sequence)
        yield _write(folder / "people.csv", _PEOPLE)
    except OSError as error:
        raise Unavailable(f"{folder}: {error.strerror or error}") from error


def _write(path: Path, text: str, *, private: bool = False) -> Written:
    try:
        with path.open("x", encoding="utf-8") as file:
            if private:  # it holds secrets
                path.chmod(0o600)
            file.write(text)
    except FileExistsError:
        return Written(path, new=False)
    return Written(path, new=True)
