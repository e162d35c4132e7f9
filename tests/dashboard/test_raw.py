"""Bytes of strangers, looked at."""

from dashboard.raw import MOST, peek


def test_what_a_screen_would_obey_is_written_out():
    seen = peek("a\u202eb\x1b[2J\r\n\u200bc\td".encode())

    assert seen.text == "a\\u202eb\\u001b[2J\\u000d\n\\u200bc\td"


def test_what_is_no_text_is_shown_all_the_same():
    assert peek(b"\xff\xfe\x00").text == "\ufffd\ufffd\\u0000"


def test_of_much_a_part_is_shown_and_the_rest_is_counted():
    seen = peek(b"x" * (MOST + 5))

    assert len(seen.text) == MOST
    assert seen.left_out == 5
