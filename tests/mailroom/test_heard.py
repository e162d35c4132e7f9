"""What AgentMail says, and what we make of it."""

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import Any

import agentmail
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UnreadableEvent
from engine.events import AutoReply, Bounce, Complaint, Event, Incoming, Reply
from mailroom.heard import _PLAIN, read_event
from mailroom.telling import bounced_event, received_event

AT = datetime(2026, 2, 1, 9, 0, tzinfo=UTC)

RECEIVED = received_event(
    event_id="evt_1",
    inbox_id="sam@acme.example",
    thread_id="thr_1",
    message_id="<r1@nordic.example>",
    sender="Ida <ida@nordic.example>",
    to="sam@acme.example",
    subject="Re: Quick question",
    text="Yes, let us talk.",
    at=AT,
    in_reply_to="<a1@acme.example>",
    references=["<a0@acme.example>", "<a1@acme.example>"],
)

BOUNCED = bounced_event(
    event_id="evt_2",
    inbox_id="sam@acme.example",
    thread_id="thr_1",
    message_id="<a1@acme.example>",
    recipient="ida@nordic.example",
    at=AT,
)


def heard(event: Any) -> Event | None:
    return read_event(json.dumps(event).encode())


def letter(**message: Any) -> Incoming:
    """The usual reply, with this of it changed; `...` takes a field away."""
    whole = RECEIVED["message"] | {
        name.replace("from_field", "from"): value for name, value in message.items()
    }
    event = heard(RECEIVED | {"message": {name: value for name, value in whole.items() if value is not ...}})
    assert isinstance(event, Incoming)
    return event


def bounce(**changed: Any) -> Bounce:
    event = heard(BOUNCED | {"bounce": BOUNCED["bounce"] | changed})
    assert isinstance(event, Bounce)
    return event


# --- what the events become ---


def test_a_letter_is_a_reply() -> None:
    assert heard(RECEIVED) == Reply(
        id="evt_1",
        inbox_id="sam@acme.example",
        thread_id="thr_1",
        message_id="<r1@nordic.example>",
        at=AT,
        sender="ida@nordic.example",
        to=("sam@acme.example",),
        subject="Re: Quick question",
        text="Yes, let us talk.",
        in_reply_to="<a1@acme.example>",
        references=("<a0@acme.example>", "<a1@acme.example>"),
    )


@pytest.mark.parametrize("kind", ["spam", "blocked", "unauthenticated", "some.day", "Ω"])
def test_a_letter_that_the_provider_does_not_vouch_for_is_an_unverified_reply(kind: str) -> None:
    event = heard(RECEIVED | {"event_type": f"message.received.{kind}"})

    assert isinstance(event, Reply)
    assert not event.verified


def test_an_unverified_letter_cannot_pass_for_a_machines() -> None:
    forged = RECEIVED["message"] | {"headers": {"Auto-Submitted": "auto-replied"}}

    event = heard(RECEIVED | {"event_type": "message.received.unauthenticated", "message": forged})

    assert isinstance(event, Reply)
    assert not event.verified


def test_a_bounce_says_who_was_not_reached() -> None:
    assert heard(BOUNCED) == Bounce(
        id="evt_2",
        inbox_id="sam@acme.example",
        thread_id="thr_1",
        message_id="<a1@acme.example>",
        at=AT,
        permanent=True,
        recipients=("ida@nordic.example",),
    )


@pytest.mark.parametrize(
    ("kind", "status", "permanent"),
    [
        ("Permanent", "5.1.1", True),
        ("PERMANENT", "", True),
        ("permanent", None, True),
        ("Undetermined", "", False),
        ("undetermined", "4.4.7", False),
        ("Transient", "4.2.2", False),
        ("Transient", "5.2.2", True),
        ("", "5", False),
        (None, "5.7.1", True),
        (7, 5.1, False),
        ("Permanently?", "55.1", False),
    ],
)
def test_a_bounce_is_for_good_when_the_provider_or_the_mail_server_says_so(
    kind: object, status: object, permanent: bool
) -> None:
    event = bounce(type=kind, recipients=[{"address": "ida@nordic.example", "status": status}])

    assert event.permanent is permanent
    assert event.recipients == ("ida@nordic.example",)


def test_who_was_only_delayed_is_not_lost_with_the_others() -> None:
    event = bounce(
        type="Transient",
        recipients=[
            {"address": "ida@nordic.example", "status": "4.2.2"},
            {"address": "gone@nordic.example", "status": "5.1.1"},
        ],
    )

    assert event.permanent
    assert event.recipients == ("gone@nordic.example",)


def test_a_complaint_is_heard() -> None:
    complaint = BOUNCED["bounce"] | {"recipients": ["Ida <ida@nordic.example>"]}
    event = heard({"event_type": "message.complained", "event_id": "evt_3", "complaint": complaint})

    assert isinstance(event, Complaint)
    assert event.recipients == ("ida@nordic.example",)


def test_a_rejected_letter_did_not_arrive_and_will_not() -> None:
    reject = BOUNCED["bounce"] | {"reason": "virus"}
    del reject["recipients"]
    event = heard({"event_type": "message.rejected", "event_id": "evt_4", "reject": reject})

    assert isinstance(event, Bounce)
    assert event.permanent


@pytest.mark.parametrize(
    "kind",
    [
        "message.sent",
        "message.delivered",
        "message.opened",
        "domain.verified",
        "message.security.review",
        "x",
    ],
)
def test_what_concerns_nobody_of_ours_is_nothing_whatever_is_in_it(kind: str) -> None:
    assert heard({"event_type": kind}) is None
    assert heard(RECEIVED | {"event_type": kind, "event_id": 7}) is None


def test_an_event_without_a_name_has_the_deliverys() -> None:
    for nameless in (None, "", "  ", 7, ["evt_1"], "e" * 999):
        event = read_event(json.dumps(RECEIVED | {"event_id": nameless}).encode(), "msg_1")
        assert event is not None
        assert event.id == "msg_1"


# --- what cannot be read ---


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "not JSON"),
        (b"\0", "not JSON"),
        (b"hello", "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"a": "\x01"}', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "not UTF-8"),
        (b'{"a": "\xe9"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b"[]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"null", "no JSON object"),
        (b"1", "no JSON object"),
        (b'{"a": 1, "a": 1}', "same name twice"),
        (b'{"a": [{"b": 1, "\\u0062": 2}]}', "same name twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "beyond all reason"),
        (b'{"a": -1e999}', "beyond all reason"),
        (b'{"a": ' + b"9" * 5000 + b"}", "beyond all reason"),
        (b'{"a": "\\ud800"}', "lone surrogate"),
        (b'{"a": "\\udc00\\ud800"}', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'{"a": [["\\uD83D"]]}', "lone surrogate"),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", "50 levels"),
        (b"[" * 100_000, "50 levels"),
        (b'{"a":' * 100_000, "50 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "50 levels"),
        (b"{}", '"event_type"'),
        (b'{"event_type": null}', '"event_type"'),
        (b'{"event_type": ""}', '"event_type"'),
        (b'{"event_type": ["message.received"]}', '"event_type"'),
        (b'{"event_type": "message.received"}', '"message"'),
        (b'{"event_type": "message.received.spam", "message": []}', '"message"'),
        (b'{"event_type": "message.bounced", "message": {}}', '"bounce"'),
        (b'{"event_type": "message.complained", "complaint": null}', '"complaint"'),
        (b'{"event_type": "message.rejected", "reject": "no"}', '"reject"'),
        (b'{"event_type": "message.received", "message": {}}', '"event_id"'),
        (b'{"event_type": "message.received", "message": {}, "event_id": 7}', '"event_id"'),
    ],
)
def test_what_two_could_read_in_two_ways_nobody_reads(body: bytes, complaint: str) -> None:
    started = time.perf_counter()
    with pytest.raises(UnreadableEvent) as refusal:
        read_event(body)

    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith("Signed, but ")
    assert str(refusal.value).isprintable()
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize("name", ["inbox_id", "thread_id"])
@pytest.mark.parametrize("value", [..., None, "", "  ", "\0", 7, True, ["thr_1"], {}, "x" * 999, "é" * 500])
def test_without_knowing_whose_conversation_it_is_an_event_cannot_be_read(name: str, value: object) -> None:
    for event, key in ((RECEIVED, "message"), (BOUNCED, "bounce")):
        payload = event[key] | {name: value}
        if value is ...:
            del payload[name]
        with pytest.raises(UnreadableEvent, match=f'"{key}.{name}"'):
            heard(event | {key: payload})


def test_what_looks_strange_and_is_sound_is_read() -> None:
    deep: Any = '\U0001f600 { [ \\ " ] }'
    for _ in range(48):  # in an object, and around one: fifty levels in all
        deep = [deep, {}]
    strange = RECEIVED | {"extra": deep, "": 1, "numbers": [10**4000, -0.0, 1e308, 5e-324]}
    body = b"\r\n\t " + json.dumps(strange).encode() + b" \n"

    assert read_event(body) == heard(RECEIVED)
    assert letter(text="[" * 1000 + '\\"{').text == "[" * 1000 + '\\"{'


# --- what is of the wrong kind is not there ---


@pytest.mark.parametrize(
    "value", [..., None, 7, 1.5, True, {}, [], {"a": ["b"]}, [None, 7, {}, [[]]], "", "\0"]
)
@pytest.mark.parametrize(
    ("name", "field", "absent"),
    [
        ("message_id", "message_id", None),
        ("timestamp", "at", None),
        ("from_field", "sender", None),
        ("to", "to", ()),
        ("subject", "subject", ""),
        ("in_reply_to", "in_reply_to", None),
        ("references", "references", ()),
    ],
)
def test_what_is_of_the_wrong_kind_is_not_there(value: object, name: str, field: str, absent: object) -> None:
    event = letter(**{name: value})

    assert isinstance(event, Reply)
    assert getattr(event, field) == absent


@pytest.mark.parametrize(
    ("written", "sender"),
    [
        ("ida@nordic.example", "ida@nordic.example"),
        (" Ida@Nordic.example ", "Ida@Nordic.example"),
        ("Ida <ida@nordic.example>", "ida@nordic.example"),
        ("Doe, Ida <ida@nordic.example>", "ida@nordic.example"),
        ('"Doe, Ida" <ida@nordic.example>', "ida@nordic.example"),
        ('"sam@acme.example" <ida@nordic.example>', "ida@nordic.example"),
        ("Ída Ðóe <ida@nordic.example>", "ida@nordic.example"),
        ("x" * 5000 + " <ida@nordic.example>", "ida@nordic.example"),
        (["Ida <ida@nordic.example>", "b@nordic.example"], "ida@nordic.example"),
        ([None, {}, "nobody", "ida@nordic.example"], "ida@nordic.example"),
        ([{"email": "ida@nordic.example", "name": "Ida"}], "ida@nordic.example"),
        ({"email": "Ida <ida@nordic.example>"}, "ida@nordic.example"),
        ({"address": "ida@nordic.example"}, "ida@nordic.example"),
        ("ida@nordic\0.example", "ida@nordic.example"),
        ("nobody", None),
        ("<>", None),
        ("<", None),
        ("a@[", "a@[]"),
        ("(" * 50_000, None),
        ("<" * 50_000, None),
        ("a" * 400 + "@nordic.example", None),
    ],
)
def test_a_sender_is_an_address_however_it_is_written(written: object, sender: str | None) -> None:
    assert letter(from_field=written).sender == sender
    assert letter(from_field=..., from_=written).sender == sender


@pytest.mark.parametrize(
    ("written", "references"),
    [
        ("<a@x> <b@x>", ("<a@x>", "<b@x>")),
        ("<a@x>\r\n\t<b@x>,<c@x>", ("<a@x>", "<b@x>", "<c@x>")),
        (["<a@x>", "<b@x>", "<a@x>"], ("<a@x>", "<b@x>")),
        (["<a@x> <b@x>", None, 7, "<c@x>"], ("<a@x>", "<b@x>", "<c@x>")),
        ("a@x b@x", ("<a@x>", "<b@x>")),
        ("<>", ()),
        ("<a b@x>", ()),
        ("<a<b@x>", ("<b@x>",)),
        ("<" + "a" * 251 + ">", ()),
    ],
)
def test_references_are_message_ids_however_they_are_written(
    written: object, references: tuple[str, ...]
) -> None:
    assert letter(references=written).references == references


def test_whoever_answers_several_letters_at_once_answers_all_of_them() -> None:
    event = letter(in_reply_to="<a@x> <b@x>", references=None)

    assert event.in_reply_to == "<a@x>"
    assert event.references == ("<b@x>",)


def test_of_a_long_conversation_the_first_and_the_last_letters_are_remembered() -> None:
    ids = [f"<{n}@x>" for n in range(50_000)]

    assert letter(references=ids).references == (*ids[:50], *ids[-50:])
    assert letter(references=" ".join(ids)).references == (*ids[:50], *ids[-50:])


def test_a_letter_to_ten_thousand_is_still_a_letter() -> None:
    event = letter(to=[f"Somebody <{n}@x.example>" for n in range(10_000)])

    assert event.to == tuple(f"{n}@x.example" for n in range(100))


def test_a_text_is_cut_before_it_is_a_burden() -> None:
    event = letter(text="x" * 200_000, subject="y" * 200_000)

    assert (len(event.text), len(event.subject)) == (100_000, 100_000)


@pytest.mark.parametrize("text", [..., None, "", 7, ["x"]])
def test_without_the_whole_text_the_new_part_of_it_will_do(text: object) -> None:
    assert letter(text=text, extracted_text="Yes").text == "Yes"
    assert letter(text=text, extracted_text=None).text == ""


def test_a_nul_is_left_out_since_no_database_keeps_it() -> None:
    event = letter(
        text="a\0b",
        subject="\0c",
        message_id="<d\0@x>",
        thread_id="thr\0_1",
        to=["e\0@x"],
        references="<f\0@x>",
    )

    assert "\0" not in repr(event).replace("\\x00", "\0")
    assert (event.text, event.subject, event.thread_id) == ("ab", "c", "thr_1")


def test_a_message_id_too_long_for_an_index_is_no_message_id() -> None:
    assert letter(message_id="<" + "😀" * 300 + "@x>").message_id is None


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-02-01T09:00:00.000Z", AT),
        ("2026-02-01T09:00:00z", AT),
        ("2026-02-01T10:00:00+01:00", AT),
        ("2026-02-01T09:00:00", AT),
        ("20260201T090000Z", AT),
        ("2026-02-01T09:00:00.123456Z", AT + timedelta(microseconds=123456)),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("yesterday", None),
        ("2026-02-30T09:00:00Z", None),
    ],
)
def test_a_time_is_read_in_many_forms_and_never_invented(written: str, at: datetime | None) -> None:
    assert letter(timestamp=written).at == at


def test_a_time_without_a_zone_is_utc_wherever_we_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert letter(timestamp="2026-02-01T09:00:00").at == AT
    finally:
        monkeypatch.undo()
        time.tzset()


# --- machines ---


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied"},
        {"AUTO-SUBMITTED": " Auto-Replied "},
        {"auto-submitted": "auto-replied; owner-email=ida@nordic.example"},
        {"auto-submitted": "(vacation) auto-replied"},
        {"auto-submitted": "auto-replied (on (very) long \\) leave; really)"},
        {"auto-submitted": "\r\n auto-replied"},
        {"Auto-Submitted": "auto-replied", "auto-submitted": "auto-replied; x=1"},
        {"Auto-Submitted": ["auto-replied"]},
        [{"name": "Auto-Submitted", "value": "auto-replied"}],
        [{"name": "From", "value": "x"}, None, 7, {"name": "auto-submitted ", "value": "auto-replied"}],
    ],
)
def test_a_machine_that_says_so_is_a_machine(headers: object) -> None:
    assert isinstance(letter(headers=headers), AutoReply)


@pytest.mark.parametrize("keyword", ["auto-generated", "auto-notified; x=1"])
def test_a_help_desk_may_be_a_human_so_a_human_looks(keyword: str) -> None:
    event = letter(headers={"Auto-Submitted": keyword})
    assert isinstance(event, Reply)
    assert not event.verified


@pytest.mark.parametrize(
    "headers",
    [
        {},
        None,
        "Auto-Submitted: auto-replied",
        ["Auto-Submitted: auto-replied"],
        [["Auto-Submitted", "auto-replied"]],
        {"Auto-Submitted": "no"},
        {"Auto-Submitted": " NO "},
        {"Auto-Submitted": "no; x=1"},
        {"Auto-Submitted": "(auto-replied) no"},
        {"Auto-Submitted": "no (auto-replied)"},
        {"Auto-Submitted": "no; auto-replied"},
        {"Auto-Submitted": ""},
        {"Auto-Submitted": None},
        {"Auto-Submitted": 1},
        {"Auto-Submitted": {"value": "auto-replied"}},
        {"Auto-Submitted": []},
        {"Auto-Submitted": "yes"},
        {"Auto-Submitted": "auto-replied auto-generated"},
        {"Auto-Submitted": "auto-replied, no"},
        {"Auto-Submitted": "auto-replied-not"},
        {"Auto-Submitted": "auto replied"},
        {"Auto-Submitted": "(auto-replied"},
        {"Auto-Submitted": "auto-replied)"},
        {"Auto-Submitted": "auto-noti\ufb01ed"},
        {"Auto-Submitted": "auto-\0replied"},
        {"Auto-Submitted": "\u00a0auto-replied"},
        {"Auto-Submitted": "(" * 100_000 + "auto-replied"},
        {"Auto-\u017fubmitted": "auto-replied"},
        {"Auto-Submitted": "auto-replied", "auto-submitted": "no"},
        {"Auto-Submitted": "auto-replied", "auto-submitted": "auto-generated"},
        {"Auto-Submitted": ["auto-replied", "no"]},
        {"Auto-Submitted": ["auto-replied"] * 9},
        {"X-Auto-Submitted": "auto-replied"},
        {"X-Autoreply": "yes"},
        {"X-Autorespond": "Re: Quick question"},
        {"X-Auto-Response-Suppress": "All"},
        {"Precedence": "auto_reply"},
        {"Precedence": "bulk", "List-Id": "<list.nordic.example>", "Return-Path": "<>"},
    ],
)
def test_whoever_may_be_a_human_is_one(headers: object) -> None:
    event = letter(
        headers=headers, from_field="no-reply@nordic.example", subject="Automatic reply: out of office"
    )

    assert isinstance(event, Reply)
    assert event.verified


# --- the other way ---


def test_what_we_say_in_agentmails_name_its_own_sdk_understands() -> None:
    event = agentmail.MessageReceivedEvent(**RECEIVED)
    bounced = agentmail.MessageBouncedEvent(**BOUNCED)

    assert (event.message.from_, event.message.timestamp) == ("Ida <ida@nordic.example>", AT)
    assert event.thread.message_count == 3
    assert bounced.bounce.recipients[0].status == "5.1.1"


def test_a_time_is_said_as_agentmail_says_it() -> None:
    assert RECEIVED["message"]["timestamp"] == "2026-02-01T09:00:00.000Z"


# --- whatever comes ---

_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_kinds = st.sampled_from(
    ["message.received", "message.received.spam", "message.bounced", "message.complained", "message.rejected"]
)
_fields = st.sampled_from([*RECEIVED["message"], *BOUNCED["bounce"], "from_", "reason", "extracted_text"])


def understood(body: bytes, fallback_id: str = "") -> None:
    """An event, nothing, or UnreadableEvent: any other exception is a failure."""
    try:
        event = read_event(body, fallback_id)
    except UnreadableEvent:
        return
    if event is not None:
        repr(event).encode()
        assert event.id
        assert event.inbox_id
        assert event.thread_id
        assert event.at is None or event.at.tzinfo is UTC


@given(st.binary(max_size=300))
@settings(deadline=None, database=None)
def test_any_bytes_are_an_event_or_nothing_or_unreadable(body: bytes) -> None:
    understood(body)


@given(_kinds | st.text(), st.dictionaries(_fields, _junk, max_size=8), _junk, st.text(max_size=5))
@settings(deadline=None, database=None, max_examples=300)
def test_any_shape_is_an_event_or_nothing_or_unreadable(
    kind: str, fields: dict[str, Any], event_id: Any, fallback_id: str
) -> None:
    known = RECEIVED["message"] | BOUNCED["bounce"] | fields
    envelope = {"event_type": kind, "event_id": event_id}
    payloads = dict.fromkeys(("message", "bounce", "complaint", "reject"), known)

    understood(json.dumps(envelope | payloads).encode(), fallback_id)


@given(st.data())
@settings(deadline=None, database=None, max_examples=200)
def test_a_damaged_event_is_an_event_or_nothing_or_unreadable(data: st.DataObject) -> None:
    body = bytearray(json.dumps(RECEIVED).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(body) - 1))
        body[where : where + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))

    understood(bytes(body))


@pytest.mark.parametrize(
    "piece", ["<", "(", '"', "@", "<@", "a@", "[", "\\", "a,", "<a@b>,", ":;", "()", "<a"]
)
def test_a_malicious_header_does_not_keep_us_busy(piece: str) -> None:
    long = piece * 50_000
    nested = "(" * 30_000 + ")" * 30_000
    started = time.process_time()
    letter(
        from_field=[long] * 30,
        to=[long[:998]] * 500,
        in_reply_to=long,
        references=[long] * 3,
        headers={"Auto-Submitted": [nested, *[nested[29_600:30_400]] * 100]},
    )
    assert time.process_time() - started < 1


@settings(max_examples=400, deadline=None)
@given(
    st.from_regex(
        r'("?[\w .\'-]{0,12}"?\s{0,2}<?)?[A-Za-z0-9._+-]{1,8}@[A-Za-z0-9.-]{1,12}>?', fullmatch=True
    )
)
def test_the_quick_way_to_read_an_address_reads_what_the_parser_reads(written):
    quick = _PLAIN.fullmatch(written.strip())
    if quick and bool(quick[2]) == ("<" in written) and written.count('"') in (0, 2):
        assert parseaddr(written.strip())[1] == quick[1]
