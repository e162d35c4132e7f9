"""JSON that everybody reads in the same way, and all other JSON."""

import pytest

from mailroom.strict import NotStrict, read_object


def test_an_object_is_read() -> None:
    assert read_object(b' {"a": [1, 2.5, null, true, "\xc3\xa9", {"b": {}}]}\n') == {
        "a": [1, 2.5, None, True, "é", {"b": {}}]
    }


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "it is not JSON"),
        (b'{"a": 1} x', "it is not JSON"),
        (b"[]", "it is no JSON object."),
        (b"\xff", "it is not UTF-8."),
        (b"\xef\xbb\xbf{}", "it starts with a byte order mark"),
        (b'{"a": 1, "a": 2}', "an object in it has the same name twice."),
        (b'{"a": NaN}', "NaN is no number in JSON."),
        (b'{"a": 1e999}', "a number in it is beyond all reason."),
        (b'{"a": ' + b"1" * 5000 + b"}", "a number in it is beyond all reason."),
        (b'{"a": "\\ud800"}', "a text in it has half a character"),
        (b"[" * 100_000, "it is nested more than 50 levels deep."),
    ],
)
def test_what_two_could_read_in_two_ways_is_not_read(body: bytes, complaint: str) -> None:
    with pytest.raises(NotStrict) as refusal:
        read_object(body)

    assert str(refusal.value).startswith(complaint)
