"""Letters leave by SMTP, up to the last dot, and only then for good. Against a real server that fails at every verb."""

import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller

from engine.errors import MailboxError, NoAnswer, PermanentFailure, TemporaryFailure
from engine.model import Enclosure, Letter, Sent, Withdrawn
from engine.seams import Trace
from mailroom.smtp_out import SmtpSettings, SmtpTransport, dot_stuffed
from tests.doubles import FrozenClock
from tests.smtp_server import (
    Fault,
    SmtpServer,
    at_the,
    drip,
    go_deaf,
    hang_up,
    hang_up_in_mid_letter,
    refuse,
    reset,
    say,
    say_and_hang_up,
    slip_in_before_the_handshake,
    stay_silent,
)

PASSWORD = "correct-horse-battery"


class Gate:
    """Counts how often it is asked, and may look around."""

    def __init__(self, answer: bool = True, look: Callable[[], None] = lambda: None) -> None:
        self.asked, self.answer, self.look = 0, answer, look

    def __call__(self) -> bool:
        self.asked += 1
        self.look()
        return self.answer


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("smtp") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def certified(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def plain() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture
def careful(authority: trustme.CA) -> Iterator[SmtpServer]:
    """As providers are: STARTTLS first, then a login."""
    with SmtpServer(tls="starttls", context=certified(authority), login=("sam", PASSWORD)) as server:
        yield server


@pytest.fixture
def quick(authority: trustme.CA) -> Iterator[SmtpServer]:
    """The same, and it takes several commands at once."""
    with SmtpServer(
        tls="starttls", context=certified(authority), login=("sam", PASSWORD), offers=("PIPELINING",)
    ) as server:
        yield server


@contextmanager
def transport(server: SmtpServer, **more: Any) -> Iterator[SmtpTransport]:
    usual: dict[str, Any] = {
        "host": server.host,
        "port": server.port,
        "tls": server.tls,
        "timeout": 2.0,
        "answer_timeout": 2.0,
        "helo": "here.example",
    }
    carrier = SmtpTransport(SmtpSettings(**usual | more), FrozenClock())
    try:
        yield carrier
    finally:
        carrier.rest()


@pytest.fixture
def login(ca_file: str) -> dict[str, Any]:
    return {"username": "sam", "password": PASSWORD, "ca_file": ca_file}


def letter(**more: Any) -> Letter:
    usual: dict[str, Any] = {
        "key": "drf_1",
        "message_id": "<one@acme.example>",
        "sender": "sam@acme.example",
        "to": "ida@nordic.example",
        "subject": "Quick question",
        "text": "Hello Ida\n",
    }
    return Letter(**usual | more)


def test_a_letter_arrives_and_the_server_is_quoted(plain):
    gate = Gate()
    with transport(plain) as carrier:
        assert carrier.send(letter(), gate) == Sent("250 2.0.0 Ok: queued as Q1")

    [taken] = plain.accepted
    assert (taken.sender, taken.to) == ("<sam@acme.example>", "<ida@nordic.example>")
    assert message_from_bytes(taken.data).get_payload() == "Hello Ida\r\n"
    assert gate.asked == 1
    assert plain.verbs[-1] == "QUIT"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_letter_arrives_encrypted_and_logged_in(tls, authority, login):
    with SmtpServer(tls=tls, context=certified(authority), login=("sam", PASSWORD)) as server:
        with transport(server, **login) as carrier:
            carrier.send(letter(), Gate())

        assert len(server.accepted) == 1
        assert server.verbs.count("EHLO here.example") == (2 if tls == "starttls" else 1)


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_the_gate_is_asked_once_when_the_server_has_everything_but_the_dot(tls, authority, ca_file):
    with SmtpServer(tls=tls, context=certified(authority)) as server:

        def look() -> None:
            assert server.has_heard(b"last words\r\n")
            assert server.dots == 0
            assert server.accepted == []
            seen.append(server.data)

        seen: list[bytes] = []
        gate = Gate(look=look)
        with transport(server, ca_file=ca_file) as carrier:
            carrier.send(letter(text="Hello\nlast words"), gate)

        assert gate.asked == 1
        assert server.chunks[-1] == b".\r\n"
        assert server.data == seen[0] + b".\r\n"


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_a_letter_called_back_at_the_gate_never_gets_its_dot(tls, authority, ca_file):
    with (
        SmtpServer(tls=tls, context=certified(authority)) as server,
        transport(server, ca_file=ca_file) as carrier,
    ):
        gate = Gate(False, look=lambda: assert_heard(server))

        assert carrier.send(letter(), gate) == Withdrawn()

        assert server.quiet()
        assert server.dots == 0
        assert server.accepted == []
        assert server.verbs[-1] == "DATA"


def assert_heard(server: SmtpServer) -> None:
    assert server.has_heard(b"Hello Ida\r\n")


def test_after_a_letter_that_was_called_back_the_next_one_leaves(plain):
    with transport(plain) as carrier:
        carrier.send(letter(), Gate(False))
        carrier.send(letter(message_id="<two@acme.example>"), Gate())

    [taken] = plain.accepted
    assert message_from_bytes(taken.data)["Message-ID"] == "<two@acme.example>"


@pytest.mark.parametrize(
    "error", [RuntimeError, OSError, TimeoutError, smtplib.SMTPException, KeyboardInterrupt]
)
def test_a_gate_that_breaks_breaks_the_line_and_its_error_is_its_own(error, plain):
    def look() -> None:
        raise error("the gate broke")

    with transport(plain) as carrier:
        with pytest.raises(error, match="the gate broke"):
            carrier.send(letter(), Gate(look=look))

        assert plain.quiet()
    assert plain.dots == 0
    assert plain.accepted == []


_VERBS = ["BANNER", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "DOT"]
_ABOUT_THE_LETTER = ["MAIL", "RCPT", "DATA", "DOT"]
_FAULTS: dict[str, Fault] = {
    "4xx": say("451 4.3.0 later"),
    "5xx": say("554 5.7.1 never"),
    "421": say_and_hang_up("421 4.3.2 shutting down"),
    "close": hang_up,
    "reset": reset,
    "hang": stay_silent,
    "garbage": say(b"\x00\xff\x1b[2J what is this\r\n"),
    "words without a number": say("hello there"),
    "two minds": say("250-yes", "550 no"),
    "half an answer": say_and_hang_up("250-2.0.0 and further"),
    "a number that is none": say("2500 fine"),
    "354 to everything else": say("399 go on"),
    "slow drip": drip("250 2.0.0 ok\r\n", 0.08),
}


def _expected(verb: str, fault: str) -> type[MailboxError]:
    if fault == "5xx":
        return PermanentFailure if verb in _ABOUT_THE_LETTER else TemporaryFailure
    if verb == "DOT" and fault not in ("4xx", "421"):
        return NoAnswer
    return TemporaryFailure


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("verb", _VERBS)
def test_whatever_the_server_does_the_letters_fate_is_known_or_honestly_unknown(verb, fault, careful, login):
    careful.faults[verb] = _FAULTS[fault]
    gate = Gate()

    patience = 0.2 if fault in ("hang", "slow drip") else 2.0
    with transport(careful, **login, timeout=patience, answer_timeout=patience) as carrier:
        with pytest.raises(MailboxError) as caught:
            carrier.send(letter(), gate)

        assert type(caught.value) is _expected(verb, fault)
        assert str(caught.value).startswith(f"{careful.host}:{careful.port}: ")
        assert str(caught.value).isprintable()
        assert PASSWORD not in str(caught.value)
        assert gate.asked == (1 if verb == "DOT" else 0)
        assert careful.quiet()
    assert careful.accepted == []


@pytest.mark.parametrize("verb", _VERBS)
def test_after_a_failure_a_letter_leaves_over_a_new_line(verb, careful, login):
    careful.faults[verb] = say("451 4.3.0 later")
    with transport(careful, **login) as carrier:
        with pytest.raises(TemporaryFailure):
            carrier.send(letter(), Gate())
        careful.faults.clear()
        carrier.send(letter(), Gate())

    assert len(careful.accepted) == 1
    assert careful.connections == 2


@pytest.mark.parametrize("fault", [go_deaf, hang_up_in_mid_letter])
def test_a_server_that_does_not_read_to_the_end_never_sees_the_gate_asked(fault, plain):
    plain.faults["DATA"] = fault
    content = b"x" * 20_000_000  # more than anybody's buffers hold
    file = Enclosure(name="large.bin", content_type="application/octet-stream", content=content)

    with transport(plain, timeout=0.5) as carrier, pytest.raises(TemporaryFailure):
        carrier.send(letter(attachments=(file,)), gate := Gate())

    assert gate.asked == 0
    assert plain.dots == 0


@pytest.mark.parametrize("code", [530, 534, 535, 538])
@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_missing_login_is_no_fault_of_the_letter(verb, code, plain):
    plain.faults[verb] = say(f"{code} 5.7.0 authentication required")

    with transport(plain) as carrier, pytest.raises(TemporaryFailure, match="authentication required"):
        carrier.send(letter(), Gate())


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (say("250-2.0.0 queued", "250 2.0.0 as Q7"), "250 2.0.0 queued 2.0.0 as Q7"),
        (say("250"), "250"),
        (say("251 whatever"), "251 whatever"),
        (say(b"250 bare line feed\n"), "250 bare line feed"),
        (say("250 " + "x" * 100_000), "250 " + "x" * 296),
        (say(*["250-more"] * 5000, "250 done"), None),
        (say("250 \x1b[2Jcleared"), "250 [2Jcleared"),
        (say("250 queued", "421 and goodbye"), "250 queued"),
        (drip("250 slow\r\n", 0.02), "250 slow"),
    ],
)
def test_a_yes_to_the_dot_is_a_yes_however_it_is_put(fault, note, plain):
    plain.faults["DOT"] = fault
    with transport(plain) as carrier:
        answer = carrier.send(letter(), Gate())

    assert isinstance(answer, Sent)
    assert note is None or answer.note == note


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
def test_a_second_answer_is_not_taken_for_the_answer_to_the_next_verb(verb, plain):
    plain.faults[verb] = say("250 ok", "250 ok")

    with transport(plain) as carrier, pytest.raises(TemporaryFailure, match="out of turn"):
        carrier.send(letter(), gate := Gate())

    assert gate.asked == 0


def test_an_answer_to_the_dot_that_came_before_the_dot_is_not_believed(plain):
    plain.faults["DATA"] = say("354 go on", "250 2.0.0 queued already")

    with (
        transport(plain) as carrier,
        pytest.raises(TemporaryFailure, match=r"out of turn: 250 2\.0\.0 queued already"),
    ):
        carrier.send(letter(), gate := Gate())

    assert gate.asked == 0


def test_a_server_that_gives_up_while_the_gate_is_asked_gets_no_dot(plain):
    gate = Gate(look=lambda: plain.blurt_out(b"421 4.4.2 you took too long\r\n"))

    with transport(plain) as carrier:
        with pytest.raises(TemporaryFailure, match=r"421 4\.4\.2 you took too long"):
            carrier.send(letter(), gate)
        assert plain.quiet()

    assert plain.dots == 0


def test_a_server_that_hangs_up_while_the_gate_is_asked_gets_no_dot(plain):
    gate = Gate(look=plain.hang_up_on_everybody)

    with transport(plain) as carrier, pytest.raises(TemporaryFailure, match="the server hung up"):
        carrier.send(letter(), gate)

    assert plain.dots == 0


def test_the_answer_to_the_dot_may_take_longer_than_any_other(plain):
    plain.faults["DOT"] = drip("250 ok\r\n", 0.05)

    with transport(plain, timeout=0.2, answer_timeout=3.0) as carrier:
        assert carrier.send(letter(), Gate()) == Sent("250 ok")


@pytest.mark.parametrize(
    "text", [".", "..", "a\n.\nb", ".\n", "\n.\n", ".hidden\n..more\n.", "a\r.\rb", "..\r\n.\r\n"]
)
def test_lines_that_begin_with_a_dot_neither_end_the_letter_nor_lose_it(text, plain):
    with transport(plain) as carrier:
        carrier.send(letter(text=text), Gate())

    [taken] = plain.accepted
    sent = "\r\n".join(text.splitlines()) + "\r\n"
    body = taken.data.partition(b"\r\n\r\n")[2].replace(b"\r\n..", b"\r\n.")
    assert (body[1:] if body.startswith(b"..") else body).decode() == sent
    assert plain.verbs[-1] == "QUIT"  # nothing of the letter was taken for a command


def test_only_a_dot_at_the_beginning_of_a_line_is_doubled():
    assert dot_stuffed(b".a.\r\n.\r\nb.\r\n") == b"..a.\r\n..\r\nb.\r\n"


def test_two_letters_travel_over_one_connection(careful, login):
    with transport(careful, **login) as carrier:
        carrier.send(letter(), Gate())
        carrier.send(letter(to="ole@nordic.example"), Gate())

    assert [taken.to for taken in careful.accepted] == ["<ida@nordic.example>", "<ole@nordic.example>"]
    assert careful.connections == 1


@pytest.mark.parametrize(
    "verdict",
    [
        say("421 4.4.2 idle"),
        say("502 what?"),
        hang_up,
        reset,
        say("hello"),
        stay_silent,
    ],
)
def test_a_line_that_went_stale_between_two_letters_is_opened_anew(verdict, plain):
    plain.faults["RSET"] = verdict
    with transport(plain, timeout=0.5, fresh=-1.0) as carrier:
        carrier.send(letter(), Gate())
        carrier.send(letter(), Gate())

    assert len(plain.accepted) == 2
    assert plain.connections == 2


def test_whoever_has_just_taken_a_letter_is_not_asked_whether_it_starts_afresh(plain):
    with transport(plain) as carrier:
        for number in range(3):
            carrier.send(letter(message_id=f"<{number}@acme.example>"), Gate())

    verbs = [verb.partition(" ")[0] for verb in plain.verbs]
    assert verbs == ["EHLO", *["MAIL", "RCPT", "DATA"] * 3, "QUIT"]
    assert len(plain.accepted) == 3


@pytest.mark.parametrize(
    "verdict",
    [
        say("421 4.4.2 idle"),
        say("451 4.3.0 later"),
        say("502 what?"),
        say("503 5.5.1 nested MAIL command"),
        say_and_hang_up("421 4.3.2 shutting down"),
        hang_up,
        reset,
        say("hello"),
        stay_silent,
    ],
)
@pytest.mark.parametrize("offers", [(), ("PIPELINING",)], ids=["one by one", "at once"])
def test_what_a_line_in_use_does_not_take_is_asked_once_more_on_a_new_one(verdict, offers):
    with SmtpServer(offers=offers) as server:
        server.faults["MAIL"] = at_the(2, "MAIL", verdict)
        with transport(server, timeout=0.5) as carrier:
            carrier.send(letter(), Gate())
            assert isinstance(carrier.send(letter(to="ole@nordic.example"), gate := Gate()), Sent)

    assert gate.asked == 1
    assert [taken.to for taken in server.accepted] == ["<ida@nordic.example>", "<ole@nordic.example>"]
    assert server.connections == 2


def test_what_a_new_line_does_not_take_either_is_refused(plain):
    plain.faults["MAIL"] = at_the(1, "MAIL", say("553 5.7.1 sam is not known here"))
    with transport(plain) as carrier:
        with pytest.raises(PermanentFailure, match="sam is not known here"):
            carrier.send(letter(), Gate())
        carrier.send(letter(), Gate())
        plain.faults["MAIL"] = say("553 5.7.1 sam is not known any more")
        with pytest.raises(PermanentFailure, match="not known any more"):
            carrier.send(letter(), gate := Gate())

    assert gate.asked == 0
    assert len(plain.accepted) == 1
    assert plain.connections == 3  # asked twice, and not for ever


def test_after_a_letter_that_was_not_taken_the_line_is_new(plain):
    plain.faults["DOT"] = at_the(1, "DOT", say("451 4.3.0 later"))
    with transport(plain) as carrier:
        with pytest.raises(TemporaryFailure):
            carrier.send(letter(), Gate())
        carrier.send(letter(), Gate())

    assert plain.connections == 2


# --- several commands at once ---


def test_a_server_that_offers_it_hears_a_whole_group_at_once_and_the_dot_alone(quick, login):
    heard = []

    def look(conversation: Any) -> None:
        heard.append(conversation.unread)
        conversation.do("MAIL")

    quick.faults["MAIL"] = look
    with transport(quick, **login) as carrier:
        carrier.send(letter(bcc=("crm@acme.example",)), Gate(look=lambda: assert_heard(quick)))
        carrier.send(letter(), Gate())

    assert heard == [
        ["RCPT TO:<ida@nordic.example>", "RCPT TO:<crm@acme.example>", "DATA"],
        ["RCPT TO:<ida@nordic.example>", "DATA"],
    ]
    assert quick.chunks[-1] == b".\r\n"
    assert [taken.copies for taken in quick.accepted] == [("<crm@acme.example>",), ()]


def test_a_crowd_of_readers_is_named_one_by_one(quick, login):
    """What fits into nobody's buffers could have both sides wait for each other."""
    heard = []

    def look(conversation: Any) -> None:
        heard.extend(conversation.unread)
        conversation.do("MAIL")

    quick.faults["MAIL"] = look
    crowd = tuple(f"reader-number-{number}@somewhere.example" for number in range(120))
    with transport(quick, **login) as carrier:
        carrier.send(letter(bcc=crowd), Gate())

    assert heard == []
    assert len(quick.accepted[0].copies) == 120


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("verb", _ABOUT_THE_LETTER)
def test_whatever_such_a_server_does_the_letters_fate_is_known_or_honestly_unknown(verb, fault, quick, login):
    quick.faults[verb] = _FAULTS[fault]
    gate = Gate()

    patience = 0.2 if fault in ("hang", "slow drip") else 2.0
    with transport(quick, **login, timeout=patience, answer_timeout=patience) as carrier:
        with pytest.raises(MailboxError) as caught:
            carrier.send(letter(), gate)

        assert type(caught.value) is _expected(verb, fault)
        assert gate.asked == (1 if verb == "DOT" else 0)
        assert quick.quiet()
    assert quick.accepted == []
    assert quick.dots == (1 if verb == "DOT" else 0)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_an_answer_too_many_from_such_a_server_is_no_answer_to_the_next_question(verb, quick, login):
    quick.faults[verb] = say("354 go on" if verb == "DATA" else "250 ok", "250 ok")
    with transport(quick, **login) as carrier, pytest.raises(TemporaryFailure):
        carrier.send(letter(), gate := Gate())

    assert gate.asked == 0
    assert quick.dots == 0


def test_a_letter_called_back_at_the_gate_of_such_a_server_never_gets_its_dot(quick, login):
    with transport(quick, **login) as carrier:
        assert carrier.send(letter(), Gate(False, look=lambda: assert_heard(quick))) == Withdrawn()
        assert quick.quiet()

    assert (quick.dots, quick.accepted) == (0, [])


@pytest.mark.parametrize("refused", ["ida@nordic.example", "crm@acme.example"])
def test_whom_such_a_server_refuses_is_told_and_no_dot_is_written_for_nobody(refused, quick, login):
    """It may say 354 all the same, for the others: who it was to must be among them."""
    quick.faults["RCPT"] = refuse(refused)
    with transport(quick, **login) as carrier:
        if refused.startswith("ida"):
            with pytest.raises(PermanentFailure, match="no such user"):
                carrier.send(letter(bcc=("crm@acme.example",)), Gate())
            assert quick.quiet()
        else:
            answer = carrier.send(letter(bcc=("crm@acme.example",)), Gate())
            assert isinstance(answer, Sent)
            assert list(answer.refused) == [refused]

    assert quick.dots == (0 if refused.startswith("ida") else 1)


def test_when_such_a_server_knows_nobody_out_there_nothing_is_handed_over(quick, login):
    quick.faults["RCPT"] = refuse("ole@nordic.example")
    inside = frozenset({"ida@nordic.example"})
    with transport(quick, **login) as carrier:
        answer = carrier.send(letter(also_to=("ole@nordic.example",), inside=inside), gate := Gate())
        assert isinstance(answer, Sent)
        assert quick.quiet()

    assert gate.asked == 1
    assert quick.dots == 0


def test_a_server_that_hung_up_between_two_letters_is_called_again(careful, login):
    with transport(careful, **login) as carrier:
        carrier.send(letter(), Gate())
        careful.hang_up_on_everybody()
        assert careful.quiet()
        carrier.send(letter(), Gate())

    assert len(careful.accepted) == 2
    assert careful.connections == 2


def test_after_a_rest_the_line_is_new(plain):
    with transport(plain) as carrier:
        carrier.send(letter(), Gate())
        carrier.rest()
        carrier.rest()
        carrier.send(letter(), Gate())

    assert plain.connections == 2


def test_a_server_that_does_not_say_goodbye_keeps_nobody(plain):
    plain.faults["QUIT"] = stay_silent
    with transport(plain, timeout=0.2) as carrier:
        carrier.send(letter(), Gate())
        began = monotonic()
        carrier.rest()

    assert monotonic() - began < 1


def test_a_certificate_of_an_unknown_authority_is_refused(careful):
    with (
        transport(careful) as carrier,
        pytest.raises(TemporaryFailure, match="certificate cannot be trusted"),
    ):
        carrier.send(letter(), Gate())

    assert not any(verb.startswith(("AUTH", "MAIL")) for verb in careful.verbs)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_for_another_name_is_refused(tls, authority, ca_file):
    with SmtpServer(tls=tls, context=certified(authority, "elsewhere.example")) as server:
        with (
            transport(server, ca_file=ca_file) as carrier,
            pytest.raises(TemporaryFailure, match="host's name"),
        ):
            carrier.send(letter(), Gate())

        assert not any(verb.startswith("MAIL") for verb in server.verbs)


def test_a_server_that_does_not_offer_starttls_gets_neither_letter_nor_password(plain, login):
    plain.login = ("sam", PASSWORD)

    with (
        transport(plain, tls="starttls", **login) as carrier,
        pytest.raises(TemporaryFailure, match="STARTTLS"),
    ):
        carrier.send(letter(), Gate())

    assert plain.verbs == ["EHLO here.example"]


def test_what_was_slipped_in_before_the_handshake_is_not_believed(careful, login):
    careful.faults["STARTTLS"] = slip_in_before_the_handshake

    with transport(careful, **login) as carrier, pytest.raises(TemporaryFailure, match="handshake"):
        carrier.send(letter(), Gate())

    assert careful.verbs == ["EHLO here.example", "STARTTLS"]


def test_a_server_without_a_login_says_so(plain):
    sam = {"username": "sam", "password": PASSWORD}

    with transport(plain, **sam) as carrier, pytest.raises(TemporaryFailure, match="no login is offered"):
        carrier.send(letter(), Gate())


def test_a_wrong_password_says_so_without_the_password(careful, login):
    wrong = login | {"password": "not-so-secret-after-all"}

    with transport(careful, **wrong) as carrier, pytest.raises(TemporaryFailure) as caught:
        carrier.send(letter(), Gate())

    assert "the login failed, the server said 535 5.7.8 bad credentials" in str(caught.value)
    assert "not-so-secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_wrong_password_is_tried_once_a_batch(careful, login):
    with transport(careful, **login | {"password": "wrong"}) as carrier:
        for _ in range(3):
            with pytest.raises(TemporaryFailure, match="the login failed"):
                carrier.send(letter(), Gate())
        assert careful.connections == 1

        carrier.rest()
        with pytest.raises(TemporaryFailure, match="the login failed"):
            carrier.send(letter(), Gate())
        assert careful.connections == 2


_CODED = b64encode(f"\0sam\0{PASSWORD}".encode()).decode()


@pytest.mark.parametrize("verb", ["AUTH", "MAIL", "DOT"])
@pytest.mark.parametrize(
    "echo",
    [PASSWORD, _CODED, _CODED[:24] + "...", f"AUTH PLAIN {_CODED}", b64encode(PASSWORD.encode()).decode()],
)
def test_a_server_that_repeats_the_password_is_not_quoted(verb, echo, careful, login):
    careful.faults[verb] = say(f"535 5.5.4 cannot make sense of {echo}")

    with transport(careful, **login) as carrier, pytest.raises(MailboxError) as caught:
        carrier.send(letter(), Gate())

    assert "535 the server's words are kept back" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert _CODED[:24] not in str(caught.value)


def test_a_password_beyond_ascii_is_refused_without_quoting_it(careful, login):
    secret = login | {"password": "geheimnisträger"}

    with transport(careful, **secret) as carrier, pytest.raises(TemporaryFailure, match=r"plain ASCII$"):
        carrier.send(letter(), Gate())


def test_the_settings_do_not_show_the_password():
    assert PASSWORD not in repr(SmtpSettings("mail.example", 587, "sam", PASSWORD))


def test_nobody_listening_is_a_matter_of_time():
    with SmtpServer() as server:
        pass

    with transport(server) as carrier, pytest.raises(TemporaryFailure, match="refused"):
        carrier.send(letter(), Gate())


def test_an_authority_that_is_not_there_is_a_matter_of_time(careful):
    with (
        transport(careful, ca_file="/nowhere/ca.pem") as carrier,
        pytest.raises(TemporaryFailure, match="No such file"),
    ):
        carrier.send(letter(), Gate())


@pytest.mark.parametrize("field", ["sender", "to"])
@pytest.mark.parametrize(
    "address", ["a@b.example\r\nRSET", "a@b.example> SIZE=1", "a b@c.example", "<a@b.example>", ""]
)
def test_an_envelope_takes_one_plain_address(field, address, plain):
    with transport(plain) as carrier, pytest.raises(PermanentFailure, match="plain address"):
        carrier.send(letter(**{field: address}), Gate())

    assert plain.connections == 0


# --- copies, and letters of more than text ---

COPIES: dict[str, Any] = {"cc": ("kim@acme.example", "ola@acme.example"), "bcc": ("crm@acme.example",)}


def test_everybody_gets_the_letter_and_nobody_sees_the_blind_copy(plain):
    with transport(plain) as carrier:
        assert carrier.send(letter(**COPIES), Gate()) == Sent("250 2.0.0 Ok: queued as Q1")

    [taken] = plain.accepted
    assert taken.to == "<ida@nordic.example>"
    assert taken.copies == ("<kim@acme.example>", "<ola@acme.example>", "<crm@acme.example>")
    assert message_from_bytes(taken.data)["Cc"].split() == ["kim@acme.example,", "ola@acme.example"]
    assert b"crm" not in taken.data


def test_nobody_gets_it_twice(plain):
    more = {"cc": ("IDA@nordic.example", "kim@acme.example"), "bcc": ("Kim@acme.example", "kim@acme.example")}
    with transport(plain) as carrier:
        carrier.send(letter(**more), Gate())

    [taken] = plain.accepted
    assert [copy.lower() for copy in taken.copies] == ["<kim@acme.example>"]


@pytest.mark.parametrize("words", ["550 5.1.1 no such user", "450 4.2.0 greylisted"])
@pytest.mark.parametrize(
    "unknown", [["kim@acme.example"], ["crm@acme.example"], ["ola@acme.example", "crm@acme.example"]]
)
def test_a_copy_that_is_refused_does_not_stop_the_letter_and_is_noted(unknown, words, plain):
    plain.faults["RCPT"] = refuse(*unknown, words=words)
    with transport(plain) as carrier:
        answer = carrier.send(letter(**COPIES), Gate())

    [taken] = plain.accepted
    assert taken.to == "<ida@nordic.example>"
    assert len(taken.copies) == 3 - len(unknown)
    assert isinstance(answer, Sent)
    assert answer.note == "; ".join(
        ["250 2.0.0 Ok: queued as Q1", *(f"the answer to RCPT for {one} was {words}" for one in unknown)]
    )


def test_whom_the_letter_is_to_is_asked_first_and_decides(plain):
    plain.faults["RCPT"] = refuse("ida@nordic.example")
    with transport(plain) as carrier, pytest.raises(PermanentFailure, match="no such user"):
        carrier.send(letter(**COPIES), gate := Gate())

    assert gate.asked == 0
    assert [verb for verb in plain.verbs if verb.startswith("RCPT")] == ["RCPT TO:<ida@nordic.example>"]
    assert plain.accepted == []


@pytest.mark.parametrize("words", ["421 4.3.2 shutting down", "354 what?", "hello"])
def test_a_server_that_loses_its_wits_over_a_copy_gets_no_letter(words, plain):
    plain.faults["RCPT"] = refuse("crm@acme.example", words=words)
    with transport(plain) as carrier, pytest.raises(TemporaryFailure):
        carrier.send(letter(**COPIES), gate := Gate())

    assert gate.asked == 0
    assert plain.accepted == []


def test_a_refused_copy_does_not_tell_the_password(careful, login):
    careful.faults["RCPT"] = refuse("crm@acme.example", words=f"550 I know {PASSWORD}")
    with transport(careful, **login) as carrier:
        answer = carrier.send(letter(**COPIES), Gate())

    assert isinstance(answer, Sent)
    assert "kept back" in answer.note
    assert PASSWORD not in answer.note


@pytest.mark.parametrize("field", ["cc", "bcc"])
@pytest.mark.parametrize("address", ["a@b.example\r\nRSET", "a@b.example> SIZE=1", "<a@b.example>", ""])
def test_a_copy_takes_one_plain_address(field, address, plain):
    with transport(plain) as carrier, pytest.raises(PermanentFailure, match="plain address"):
        carrier.send(letter(**{field: (address,)}), Gate())

    assert plain.connections == 0


# --- several readers, of whom some live here ---

OLE, PER = "ole@nordic.example", "per@nordic.example"


def rcpts(server: SmtpServer) -> list[str]:
    return [verb.removeprefix("RCPT TO:") for verb in server.verbs if verb.startswith("RCPT")]


def test_everybody_whom_it_is_to_gets_it(plain):
    with transport(plain) as carrier:
        carrier.send(letter(also_to=(OLE, PER, "IDA@nordic.example"), **COPIES), Gate())

    [taken] = plain.accepted
    assert (taken.to, taken.copies[:2]) == ("<ida@nordic.example>", (f"<{OLE}>", f"<{PER}>"))
    assert len(taken.copies) == 5
    assert message_from_bytes(taken.data)["To"].split() == [
        "ida@nordic.example,",
        f"{OLE},",
        f"{PER},",
        "IDA@nordic.example",
    ]


def test_who_is_named_second_and_refused_does_not_stop_it_and_is_told(plain):
    plain.faults["RCPT"] = refuse(OLE, words="550 5.1.1 no such user")
    with transport(plain) as carrier:
        answer = carrier.send(letter(also_to=(OLE, PER)), Gate())

    assert isinstance(answer, Sent)
    assert answer.refused == {OLE: "550 5.1.1 no such user"}
    assert (
        answer.note == f"250 2.0.0 Ok: queued as Q1; the answer to RCPT for {OLE} was 550 5.1.1 no such user"
    )
    assert plain.accepted[0].copies == (f"<{PER}>",)


def test_who_lives_here_is_not_carried_to_but_stands_in_the_letter(plain):
    inside = frozenset({"ida@nordic.example", "crm@acme.example"})
    with transport(plain) as carrier:
        carrier.send(letter(to="Ida@Nordic.example", also_to=(OLE,), inside=inside, **COPIES), Gate())

    assert rcpts(plain) == [f"<{OLE}>", "<kim@acme.example>", "<ola@acme.example>"]
    assert message_from_bytes(plain.accepted[0].data)["To"].split() == ["Ida@Nordic.example,", OLE]


def test_when_whom_it_is_to_lives_here_nobody_elses_refusal_stops_it(plain):
    plain.faults["RCPT"] = refuse(OLE)
    with transport(plain) as carrier:
        answer = carrier.send(letter(also_to=(OLE, PER), inside=frozenset({"ida@nordic.example"})), Gate())

    assert isinstance(answer, Sent)
    assert list(answer.refused) == [OLE]
    assert plain.accepted[0].to == f"<{PER}>"


@pytest.mark.parametrize("opens", [True, False])
def test_when_nobody_out_there_is_known_nothing_is_handed_over(opens, plain):
    plain.faults["RCPT"] = refuse(OLE)
    with transport(plain) as carrier:
        answer = carrier.send(
            letter(also_to=(OLE,), inside=frozenset({"ida@nordic.example"})), gate := Gate(opens)
        )
        assert carrier.send(letter(), Gate())

    assert gate.asked == 1
    if opens:
        assert answer == Sent(
            f"the answer to RCPT for {OLE} was 550 5.1.1 no such user", {OLE: "550 5.1.1 no such user"}
        )
    else:
        assert answer == Withdrawn()
    assert [taken.to for taken in plain.accepted] == ["<ida@nordic.example>"]


def test_when_nobody_out_there_gets_it_now_it_goes_later(plain):
    plain.faults["RCPT"] = refuse(OLE, words="450 4.2.0 greylisted")
    with (
        transport(plain) as carrier,
        pytest.raises(TemporaryFailure, match=f"RCPT for {OLE} was 450 4.2.0 greylisted"),
    ):
        carrier.send(letter(also_to=(OLE,), inside=frozenset({"ida@nordic.example"})), gate := Gate())

    assert gate.asked == 0
    assert plain.accepted == []


def test_a_letter_for_copies_only_goes_to_them(plain):
    with transport(plain) as carrier:
        carrier.send(letter(to="", bcc=("crm@acme.example",)), Gate())

    [taken] = plain.accepted
    assert (taken.to, taken.copies) == ("<crm@acme.example>", ())
    assert b"crm" not in taken.data


@pytest.mark.parametrize("field", ["also_to", "reply_to"])
def test_every_further_address_is_a_plain_one(field, plain):
    with transport(plain) as carrier, pytest.raises(PermanentFailure, match="plain address"):
        carrier.send(letter(**{field: (OLE, "a@b.example\r\nRSET")}), Gate())

    assert plain.connections == 0


@pytest.mark.parametrize("tls", ["none", "starttls"])
def test_a_large_letter_arrives_whole_and_the_gate_is_asked_right_before_the_dot(tls, authority, ca_file):
    content = b"\r\n.\r\nRSET\r\n" * 200_000
    file = Enclosure(name="Größe.bin", content_type="application/octet-stream", content=content)
    with SmtpServer(tls=tls, context=certified(authority)) as server:

        def look() -> None:
            assert server.has_heard(b"--\r\n")
            assert server.dots == 0

        with transport(server, ca_file=ca_file, timeout=10.0) as carrier:
            carrier.send(letter(html="<p>.</p>\n", attachments=(file,)), gate := Gate(look=look))

    assert gate.asked == 1
    [taken] = server.accepted
    parts = list(message_from_bytes(taken.data).walk())
    assert [part.get_content_type() for part in parts] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "application/octet-stream",
    ]
    assert parts[-1].get_payload(decode=True) == content
    assert parts[-1].get_filename() == "Größe.bin"


def test_smtp_does_not_remember_what_left(plain):
    with transport(plain) as carrier:
        assert carrier.find("<one@acme.example>") is Trace.UNKNOWN


class _Inbox:
    """aiosmtpd's side: somebody else's idea of when a letter has arrived."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.letters.append(envelope.content)
        return "250 thank you"


def test_another_server_agrees_about_what_has_left_and_what_has_not():
    inbox = _Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        carrier = SmtpTransport(SmtpSettings("127.0.0.1", port, tls="none"), FrozenClock())
        assert carrier.send(letter(), Gate(False)) == Withdrawn()
        assert carrier.send(letter(text=".\n..\n."), Gate()) == Sent("250 thank you")
        carrier.rest()
    finally:
        controller.stop()

    [content] = inbox.letters
    assert content.endswith(b"\r\n\r\n.\r\n..\r\n.\r\n")
