"""Real mail: a letter travels by SMTP up to its last dot, and the gate is asked before that dot is written.

RFC 5321, section 4.1.1.10: a server whose connection breaks before the dot must forget the letter. That is what makes
calling back possible, and it is why the DATA phase is ours: smtplib writes the dot together with the text.
"""

import base64
import re
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Literal

from engine.compose import outside
from engine.errors import NoAnswer, PermanentFailure, TemporaryFailure
from engine.model import Letter, Sent, Withdrawn
from engine.seams import Clock, Gate, Trace
from mailroom.mime import bare_address, to_bytes
from mailroom.smtp_line import Answer, Line, TlsLine

_MOST_WORDS = 300
_GOODBYE = 2.0  # seconds that a server gets to answer QUIT; nothing depends on it
#: The server wants a login or TLS (RFC 4954, RFC 3207). That is ours to mend, and no fault of the letter.
_ABOUT_US = frozenset({530, 534, 535, 538})
_CLOSING = 421  # RFC 5321, section 3.8: whatever it was asked, the server is leaving


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The server that takes our letters, and how to speak to it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    timeout: float = 30.0  #: seconds for one whole answer, up to the dot
    answer_timeout: float = 600.0  #: RFC 5321, section 4.5.3.2.6: ten minutes for the answer to the dot
    fresh: float = 2.0  #: seconds after a letter was taken in which the next may follow at once
    helo: str | None = None  #: what we call ourselves; None: this machine's name
    ca_file: str | None = None  #: an authority of one's own; None: those that this machine trusts


@dataclass(frozen=True, slots=True)
class _Ready:
    """All but the dot is with the server; or there is nobody for whom it would take the letter."""

    line: Line
    taken: int  #: how many readers the server delivers to
    refused: dict[str, str]  #: and to whom it will not, in its own words

    @property
    def told(self) -> list[str]:
        return [f"the answer to RCPT for {address} was {words}" for address, words in self.refused.items()]


class SmtpTransport:
    """Carries one letter after the other over one connection, for one thread at a time."""

    def __init__(self, settings: SmtpSettings, clock: Clock) -> None:
        self.name = f"smtp {settings.host}"
        self._settings = settings
        self._clock = clock
        self._line: Line | None = None
        self._taken_at = -inf  #: when the server took a letter over this connection
        self._locked_out = ""  #: until the next rest: a hundred wrong logins in a row look like a burglar

    def send(self, letter: Letter, gate: Gate) -> Sent | Withdrawn:
        """Everything but the dot, the gate, the dot. Whatever goes wrong, the connection goes with it."""
        try:
            ready = self._up_to_the_dot(letter)
            if not ready.taken:
                self._hang_up()
                return Sent("; ".join(ready.told), ready.refused) if gate() else Withdrawn()
            if gate():
                return self._let_go(ready)
        except BaseException:
            self._hang_up()
            raise
        self._hang_up()
        return Withdrawn()

    def find(self, message_id: str) -> Trace:
        """SMTP forgets what it carried."""
        return Trace.UNKNOWN

    def rest(self) -> None:
        """Say goodbye. A connection must not outlive the claim that it was opened for."""
        if self._line is not None:
            self._line.timeout = min(self._settings.timeout, _GOODBYE)
            with suppress(OSError):
                self._line.docmd("QUIT")
        self._hang_up()
        self._locked_out = ""

    def try_out(self) -> str:
        """As far as one can go without a letter: the server, TLS, the login. Raises TemporaryFailure, in words."""
        try:
            with self._nothing_has_left():
                self._dial()
        finally:
            self.rest()
        secured = {"starttls": "with STARTTLS", "implicit": "with TLS", "none": "in the clear"}[
            self._settings.tls
        ]
        known = f", logged in as {self._settings.username}" if self._settings.username else ""
        return f"{self._settings.host}:{self._settings.port} answers, {secured}{known}"

    def _up_to_the_dot(self, letter: Letter) -> _Ready:
        sender = bare_address("From", letter.sender)
        readers = [bare_address(_field(letter, address), address) for address in outside(letter)]
        text = dot_stuffed(to_bytes(letter, date=self._clock.now()))
        asked = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{address}>" for address in readers), "DATA"]
        with self._nothing_has_left():
            line, answers = self._begin(asked)
            refused = {}
            for number, address in enumerate(readers):
                if number == 0 and address == letter.everybody[0]:
                    self._expect("RCPT", next(answers), 250, 251)
                elif words := self._refusal(address, next(answers)):
                    refused[address] = words
            ready = _Ready(line, len(readers) - len(refused), refused)
            if ready.taken:
                self._expect("DATA", next(answers), 354)
                line.send(text)
            elif any(words.startswith("4") for words in refused.values()):
                raise TemporaryFailure(self._tell("; ".join(ready.told)))
        return ready

    def _begin(self, asked: list[str]) -> tuple[Line, Iterator[Answer]]:
        """The first question is answered with yes. What a line that was in use says no to is asked once more on a new one."""
        if (line := self._line_in_use()) is not None:
            answers = line.converse(asked)
            with suppress(OSError, ValueError):
                if next(answers)[0] == 250:
                    return line, answers
            self._hang_up()
        line = self._dial()
        answers = line.converse(asked)
        self._expect("MAIL", next(answers), 250)
        return line, answers

    def _refusal(self, address: str, answer: Answer) -> str | None:
        """A letter is for whom it is to: that anybody else cannot get it is worth a note, and does not stop it."""
        code, words = answer
        if code in (250, 251):
            return None
        told = self._quote(code, words)
        if code // 100 not in (4, 5) or code == _CLOSING:
            raise TemporaryFailure(self._tell(f"the answer to RCPT for {address} was {told}"))
        return told

    def _let_go(self, ready: _Ready) -> Sent:
        """From the first byte of the dot on, only the server knows."""
        line = ready.line
        with self._nothing_has_left():
            line.stay_in_turn()  # a server that hung up, or gave up, while the gate was asked
        try:
            code, words = line.finish(self._settings.answer_timeout)
        except OSError as error:
            raise NoAnswer(self._tell(f"the letter was handed over, and then {self._why(error)}")) from None
        if code // 100 == 2:
            self._taken_at = monotonic()
            return Sent("; ".join([self._quote(code, words), *ready.told]), ready.refused)
        told = self._tell(f"the answer to the letter was {self._quote(code, words)}")
        raise {4: TemporaryFailure, 5: PermanentFailure}.get(code // 100, NoAnswer)(told)

    def _expect(self, verb: str, answer: Answer, *wanted: int) -> None:
        code, words = answer
        if code in wanted:
            return
        told = self._tell(f"the answer to {verb} was {self._quote(code, words)}")
        if code // 100 == 5 and code not in _ABOUT_US:
            raise PermanentFailure(told)
        raise TemporaryFailure(told)

    def _line_in_use(self) -> Line | None:
        """The connection of the letter before, if the server still holds the other end and starts afresh.

        RFC 5321, section 4.1.1.4: when it has taken a letter it does. Who has just heard that need not ask.
        """
        if self._line is None:
            return None
        if monotonic() - self._taken_at <= self._settings.fresh:
            return self._line
        with suppress(OSError):
            if self._line.docmd("RSET")[0] == 250:
                return self._line
        self._hang_up()
        return None

    def _dial(self) -> Line:
        if self._locked_out:
            raise TemporaryFailure(self._locked_out)
        line = self._line = self._connect()
        line.tune(self._settings.answer_timeout)
        self._greet(line)
        if self._settings.tls == "starttls":
            self._encrypt(line)
        if self._settings.username is not None:
            self._log_in(line, self._settings.username, self._settings.password or "")
        return line

    def _connect(self) -> Line:
        host, port, helo = self._settings.host, self._settings.port, self._settings.helo
        if self._settings.tls == "implicit":
            return TlsLine(host, port, helo, timeout=self._settings.timeout, context=self._trust())
        return Line(host, port, helo, timeout=self._settings.timeout)

    def _trust(self) -> ssl.SSLContext:
        """Whose certificates are believed; and they must be for this very host."""
        return ssl.create_default_context(cafile=self._settings.ca_file)

    def _greet(self, line: Line) -> None:
        code, words = line.ehlo()
        if code != 250:
            raise TemporaryFailure(self._tell(f"the answer to EHLO was {self._quote(code, words)}"))

    def _encrypt(self, line: Line) -> None:
        """Without TLS there is no letter and no password: somebody on the way may have struck out the offer."""
        if not line.has_extn("starttls"):
            raise TemporaryFailure(
                self._tell("STARTTLS is not offered, and nothing is sent in the clear. Is the port right?")
            )
        line.starttls(context=self._trust())
        if line.heard:  # CVE-2011-0411: words slipped in before the handshake would count as said after it
            raise TemporaryFailure(self._tell("somebody spoke between STARTTLS and the handshake"))
        self._greet(line)  # RFC 3207, section 4.2: what was offered in the clear is forgotten

    def _log_in(self, line: Line, username: str, password: str) -> None:
        if not line.has_extn("auth"):
            raise TemporaryFailure(
                self._tell("no login is offered. Remove username and password, or use another port")
            )
        if not (username + password).isascii():  # smtplib's limit; its own complaint would quote the password
            raise TemporaryFailure(self._tell("username and password can only be plain ASCII"))
        try:
            line.login(username, password)
        except (OSError, ValueError) as error:
            told = self._tell(f"the login failed, {self._why(error)}. Are username and password right?")
            if isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500:
                self._locked_out = told
            raise TemporaryFailure(told) from None

    @contextmanager
    def _nothing_has_left(self) -> Iterator[None]:
        """Whatever breaks in here, the letter is still ours and may go later."""
        try:
            yield
        except (OSError, ValueError) as error:
            raise TemporaryFailure(self._tell(self._why(error))) from None

    def _tell(self, what: str) -> str:
        return f"{self._settings.host}:{self._settings.port}: {what}"

    def _quote(self, code: int | str, words: bytes | str) -> str:
        text = printable(words if isinstance(words, str) else words.decode("utf-8", "replace"))
        kept = kept_back(text, self._settings.username, self._settings.password)
        return f"{code} {kept}".strip()[:_MOST_WORDS]

    def _why(self, error: Exception) -> str:
        match error:
            case ssl.SSLCertVerificationError():
                return (
                    f"the certificate cannot be trusted ({error.verify_message}). Is the host's name right? "
                    "An authority of your own goes into ca_file"
                )
            case smtplib.SMTPResponseException():
                return f"the server said {self._quote(error.smtp_code, error.smtp_error)}"
            case smtplib.SMTPServerDisconnected():
                return "the server hung up"
            case TimeoutError():
                return "the server took too long to answer"
            case socket.gaierror():
                return "there is no such host"
            case _:
                return self._quote("", str(error) or type(error).__name__)

    def _hang_up(self) -> None:
        line, self._line, self._taken_at = self._line, None, -inf
        if line is not None:
            line.close()


def _field(letter: Letter, address: str) -> str:
    """Where it stands, for whoever has to mend it."""
    if address in letter.cc:
        return "Cc"
    return "Bcc" if address in letter.bcc else "To"


def dot_stuffed(message: bytes) -> bytes:
    """RFC 5321, section 4.5.2: a line that begins with a dot gets another, so that only we can end the letter."""
    return re.sub(rb"(?m)^\.", b"..", message)


def printable(text: str) -> str:
    """On one line and harmless in a terminal: what a server says ends up in front of a human."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def kept_back(text: str, username: str | None, password: str | None) -> str:
    """The text, unless it repeats the password: there are servers that quote the line which they refuse."""
    if not password:
        return text
    coded = [base64.b64encode(form.encode()).decode() for form in (password, f"\0{username}\0{password}")]
    secrets = ["".join(form.split()) for form in (password, *coded)]
    pieces = re.findall(r"[A-Za-z0-9+/=]{6,}", text)
    squeezed = "".join(text.split())
    if any(secret in squeezed or any(piece in secret for piece in pieces) for secret in secrets):
        return "the server's words are kept back, since they hold the password"
    return text
