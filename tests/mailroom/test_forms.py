"""What a caller may write, and what is wrong with what they may not."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from mailroom import forms

HOUR = datetime(2099, 2, 1, 9, 0, tzinfo=UTC)


def wrong(model: type[BaseModel], **said: Any) -> dict[str, str]:
    """Where something is wrong, and what."""
    with pytest.raises(ValidationError) as refusal:
        model.model_validate(said)
    return {".".join(map(str, each["loc"])): each["msg"] for each in refusal.value.errors()}


# --- bodies ---


def test_when_something_is_made_null_is_the_same_as_nothing() -> None:
    body = forms.NewDraft.model_validate(dict.fromkeys(forms.NewDraft.model_fields))

    assert body.model_fields_set == set()


def test_on_a_change_null_is_something_and_absence_is_not() -> None:
    body = forms.DraftChange.model_validate({"subject": None})

    assert body.said("subject")
    assert not body.said("text")


def test_what_a_newer_client_says_besides_is_passed_over() -> None:
    assert forms.Send.model_validate({"to": "a@x.test", "colour": "red"}).to[0].address == "a@x.test"


@pytest.mark.parametrize(
    ("written", "address", "name"),
    [
        ("a@x.test", "a@x.test", ""),
        (" a@X.test ", "a@x.test", ""),
        ("Ann <a@x.test>", "a@x.test", "Ann"),
        ('"Doe, Ann" <a@x.test>', "a@x.test", "Doe, Ann"),
        ("Doe, Ann <a@x.test>", "a@x.test", "Doe, Ann"),
        (r'"Ann \"A\" Doe" <a@x.test>', "a@x.test", 'Ann "A" Doe'),
        ("<a@x.test>", "a@x.test", ""),
        ("Änn Dœ <a@x.test>", "a@x.test", "Änn Dœ"),
        ("a+b@x.test", "a+b@x.test", ""),
    ],
)
def test_a_reader_is_an_address_and_perhaps_a_name(written: str, address: str, name: str) -> None:
    assert forms.Send.model_validate({"to": written}).to == [forms.Reader(address, name)]
    assert forms.Send.model_validate({"to": [written]}).to == [forms.Reader(address, name)]


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "nobody",
        "a@",
        "@x.test",
        "a@@x.test",
        "a@x.test, b@x.test",
        "a@x.test\r\nBcc: b@x.test",
        "A\nB <a@x.test>",
        "a\0@x.test",
        "Ann\u2028 <a@x.test>",
        "a" * 300 + "@x.test",
        "A" * 300 + " <a@x.test>",
        7,
        None,
        {},
        ["a@x.test"],
        True,
    ],
)
def test_what_is_no_address_is_refused(written: Any) -> None:
    assert list(wrong(forms.Send, to=[written])) == ["to"]


def test_nobody_is_written_to_twice() -> None:
    assert forms.addresses(forms.Send.model_validate({"to": ["a@x.test", "b@x.test", "A@x.test"]}).to) == (
        "a@x.test",
        "b@x.test",
    )


def test_fifty_readers_are_enough() -> None:
    assert "to" in wrong(forms.Send, to=[f"p{number}@x.test" for number in range(51)])


def test_names_are_gathered_from_everywhere() -> None:
    body = forms.Send.model_validate({"to": "Ann <a@x.test>", "cc": ["b@x.test"], "bcc": "Cy <c@x.test>"})

    assert forms.names(body.to, body.cc, body.bcc, None) == {"a@x.test": "Ann", "c@x.test": "Cy"}


def test_labels_are_kept_in_lower_case_and_may_be_one() -> None:
    assert forms.LabelChange.model_validate({"add_labels": " Very Hot "}).add_labels == ["very hot"]
    assert forms.Send.model_validate({"labels": ["A", "a", "b,c"]}).labels == ["a", "b,c"]


@pytest.mark.parametrize(
    "label", ["sent", "Received", "scheduled", "draft:drf_1", "", " ", "a\nb", 7, "x" * 257, "follow-up:.."]
)
@pytest.mark.parametrize(
    ("model", "field"),
    [(forms.Send, "labels"), (forms.NewDraft, "labels"), (forms.LabelChange, "add_labels")],
)
def test_labels_that_say_what_happened_are_ours(model: type[BaseModel], field: str, label: Any) -> None:
    assert list(wrong(model, **{field: [label]})) == [field]


def test_whatever_is_no_draft_may_be_taken_from_a_follow_up() -> None:
    assert forms.LabelChange.model_validate({"remove_labels": "follow-up:.."}).remove_labels == [
        "follow-up:.."
    ]
    assert "remove_labels" in wrong(forms.LabelChange, remove_labels="sent")


@pytest.mark.parametrize(
    "said",
    [
        "2099-02-01T09:00:00Z",
        "2099-02-01t09:00:00z",
        "2099-02-01T09:00:00.000000Z",
        "2099-02-01T09:00Z",
        "2099-02-01T09Z",
        "2099-02-01T10:00:00+01:00",
        "2099-02-01T10:00:00+0100",
        "2099-02-01T10:00:00+01",
        "2099-02-01T04:00:00-05:00",
        "20990201T090000Z",
        "2099-02-01T09:00:00",
        "2099-02-01 09:00:00Z",
        "2099-W05-7T09:00:00Z",
        "2099W057T090000Z",
        "2099-032T09:00:00Z",
        "2099032T090000Z",
        "2099-02-01T09:00:00,000Z",
        "2099-02-01T08.5-00:30",
        "20990201T08,50-0030",
        "2099-02-01T08:59.5-00:00:30",
        "2099-02-01T0930.0+0030",
        " 2099-02-01T09:00:00Z ",
    ],
)
def test_a_moment_is_understood_in_every_form_of_iso_8601(said: str) -> None:
    assert forms.NewDraft.model_validate({"send_at": said}).send_at == HOUR


@pytest.mark.parametrize(
    "said",
    [
        "2099-02-01",
        "20990201",
        "2099-W05-7",
        "2099-032",
        "2099-01-31T24:00:00Z",
        "20990131T24",
        "2099-031T24:00,0Z",
    ],
)
def test_a_date_alone_is_midnight(said: str) -> None:
    assert forms.NewDraft.model_validate({"send_at": said}).send_at == HOUR.replace(hour=0)


@pytest.mark.parametrize(
    "said",
    [
        "tomorrow",
        "",
        " ",
        "1769936400",
        "2099-13-01T09:00:00Z",
        "2099-02-30T09:00:00Z",
        "2099-02-01X09:00",
        "2099-366",
        "2099-000",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "2099-02-01T25:00Z",
        "2099-02-01T24:00:01Z",
        "2099-02-01T24.5Z",
        "2099-02-01T09:00:00+99:00",
        "2099",
        "2099-02",
        "２０９９-02-01",
        "2099-02-01T09:00:00Z\n2",
        "x" * 100_000,
        1769936400,
        1.5,
        True,
        [],
        {},
    ],
)
def test_a_moment_that_is_none_is_refused(said: Any) -> None:
    assert list(wrong(forms.NewDraft, send_at=said)) == ["send_at"]


@pytest.mark.parametrize("mark", ["", "a@b", "a:b", "a b", "é", "x" * 257, "a\n", 7])
def test_a_client_id_has_signs_that_go_in_an_url(mark: Any) -> None:
    assert list(wrong(forms.NewDraft, client_id=mark)) == ["client_id"]


def test_a_file_is_base64_in_the_request() -> None:
    said = {
        "filename": "plan.txt",
        "content": base64.b64encode(b"one two").decode(),
        "content_type": "Text/Plain; charset=utf-8",
    }
    [file] = forms.Send.model_validate({"attachments": [said]}).attachments
    enclosure = file.enclosure()

    assert (enclosure.name, enclosure.content, enclosure.content_type) == (
        "plan.txt",
        b"one two",
        "text/plain",
    )


@pytest.mark.parametrize(
    "file",
    [
        {},
        {"content": "%%%"},
        {"content": "YQ"},
        {"content": "é"},
        {"url": "http://169.254.169.254/"},
        {"content": 7},
        {"content": "YQ==", "filename": "a\r\nb"},
        {"content": "YQ==", "content_type": "x"},
        {"content": "YQ==", "content_id": "<>"},
        {"content": "YQ==", "content_type": "a/b\r\nX: y"},
        {"content": "YQ==", "content_disposition": "form-data"},
        "YQ==",
        None,
    ],
)
def test_what_is_no_file_is_refused(file: Any) -> None:
    assert all(place.startswith("attachments.0") for place in wrong(forms.Send, attachments=[file]))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nBcc: e@x.test"},
        {"X-A\r\n": "1"},
        {"Bcc": "e@x.test"},
        {"From": "x"},
        {"Content-Type": "text/html"},
        {"": "x"},
        {"X-A": "x" * 2000},
        {"X-A": 7},
        {"X-A": "1", "x-a": "2"},
        {"Received": "x"},
        {"Ünï": "x"},
        [],
        "X-A: 1",
        {f"X-{number}": "x" for number in range(51)},
    ],
)
def test_a_header_that_cannot_go_along_is_refused(headers: Any) -> None:
    assert all(place.startswith("headers") for place in wrong(forms.Send, headers=headers))


def test_a_header_of_ones_own_goes_along() -> None:
    assert forms.Send.model_validate({"headers": {"X-Campaign": "north"}}).headers == {"X-Campaign": "north"}


def test_every_mistake_is_told_at_once() -> None:
    assert set(wrong(forms.NewDraft, to=7, send_at="soon", labels="sent", text=7, reply_all="yes")) == {
        "to",
        "send_at",
        "labels",
        "text",
        "reply_all",
    }


@pytest.mark.parametrize("metadata", [{"a": []}, {"a": {}}, {"a": 2**53}, {"a": -(10**300)}, [], "x"])
def test_metadata_are_names_and_plain_values(metadata: Any) -> None:
    assert "metadata" in wrong(forms.InboxChange, metadata=metadata)


def test_metadata_may_be_taken_away() -> None:
    said = {"team": "north", "size": 3, "share": 0.5, "open": True, "gone": None}

    assert forms.InboxChange.model_validate({"metadata": said}).metadata == said


def test_a_change_of_an_inbox_changes_something() -> None:
    assert wrong(forms.InboxChange) == wrong(forms.InboxChange, colour="red")
    assert forms.InboxChange.model_validate({"display_name": None}).said("display_name")


@pytest.mark.parametrize(("model", "most"), [(forms.Batch, 500), (forms.BatchChange, 50)])
def test_a_batch_has_an_end(model: type[BaseModel], most: int) -> None:
    crowd = [f"<{number}@x.test>" for number in range(most + 1)]

    assert "message_ids" in wrong(model, message_ids=crowd)
    assert model.model_validate({"message_ids": crowd[:-1]})


def test_a_header_of_a_webhook_is_not_set_and_removed_at_once() -> None:
    assert wrong(forms.WebhookHeaders, headers={"X-Token": "1"}, remove_headers=["x-token"])
    assert wrong(forms.WebhookHeaders)


# --- queries ---


def asked(**said: str | list[str]) -> forms.MessageFilter:
    """As the door hands it on: every value as the list of how often it was said."""
    return forms.MessageFilter.model_validate(
        {name: value if isinstance(value, list) else [value] for name, value in said.items()}
    )


@pytest.mark.parametrize(
    "said", ['["a", "b"]', ' ["A","b"]', ["a", "b"], "a,b", ["a,b"], ["a", "", "b"], "a, b", ["A ", " B"]]
)
def test_a_list_may_be_asked_in_many_ways(said: str | list[str]) -> None:
    assert asked(labels=said).labels == ["a", "b"]


@pytest.mark.parametrize("said", ["[]", "", ",", " ", ["", ""]])
def test_an_empty_list_is_no_filter(said: str | list[str]) -> None:
    assert asked(labels=said).labels == []


def test_only_json_has_room_for_a_comma() -> None:
    assert asked(labels='["a,b"]').labels == ["a,b"]


@pytest.mark.parametrize(
    "said", ["[", "[1]", "[null]", '[["a"]]', "[" * 100_000, '["a"', '["\\ud800"]', '["\\u0000"]', "x," * 100]
)
def test_a_list_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        asked(labels=said)


def test_the_list_of_senders_is_called_from() -> None:
    assert asked(**{"from": "ann@"}).sender == ["ann@"]


@pytest.mark.parametrize(
    ("said", "limit"), [("1", 1), ("100", 100), ("1000", 100), (["7", "9"], 9), ("007", 7)]
)
def test_a_limit_is_at_most_a_hundred(said: str | list[str], limit: int) -> None:
    assert asked(limit=said).limit == limit


def test_without_a_limit_it_is_fifty() -> None:
    assert asked().limit == 50


@pytest.mark.parametrize("said", ["0", "-1", "+1", "many", "", "1.5", "1e3", "٣", "9" * 5000, " 1"])
def test_a_limit_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        asked(limit=said)


@pytest.mark.parametrize(
    ("said", "meant"), [("true", True), ("false", False), ("True", True), ("1", True), ("0", False)]
)
def test_yes_and_no(said: str, meant: bool) -> None:
    assert asked(ascending=said).ascending is meant


@pytest.mark.parametrize("said", ["perhaps", "", "2", "[]"])
def test_perhaps_is_neither(said: str) -> None:
    with pytest.raises(ValidationError):
        asked(ascending=said)


def test_what_is_hidden_is_shown_by_name() -> None:
    assert asked(include_spam="true", include_trash="false").hidden == {"spam"}


@pytest.mark.parametrize("said", ["", " ", "\n", "x" * 999])
def test_a_search_for_nothing_is_refused(said: str) -> None:
    assert list(wrong(forms.Found, q=[said])) == ["q"]
    assert list(wrong(forms.Found)) == ["q"]
