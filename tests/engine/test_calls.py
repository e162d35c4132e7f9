"""What may stand at the head of a call, and when it is tried again."""

from datetime import timedelta

import pytest

from engine.calls import WAITS, wait_after, why_no_header


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer abc"),
        ("X-Token", "secret"),
        ("User-Agent", "theirs"),
        ("X", "a\tb c"),
        ("X-Long", "a" * 4096),
    ],
)
def test_their_own_headers_may_travel(name, value):
    assert why_no_header(name, value) is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Host",
            "HOST",
            "content-length",
            "Content-Type",
            "Connection",
            "Transfer-Encoding",
            "TE",
            "Trailer",
        ),
        *("Upgrade", "Expect", "Keep-Alive", "Proxy-Connection", "Accept-Encoding"),
        *("svix-id", "Svix-Signature", "webhook-id", "Webhook-Timestamp"),
        *("", "X Token", "X:Token", "X-Tökén", "X\r\nHost", "X\n", "x" * 101),
    ],
)
def test_nobody_speaks_in_our_name(name):
    assert why_no_header(name, "value")


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nHost: b", "a\n", "\x00", "ø", "\x7f", "a" * 4097])
def test_no_value_ends_a_line_of_ours(value):
    assert why_no_header("X-Token", value)


def test_those_who_failed_together_do_not_come_back_together():
    waits = {wait_after(1, f"msg_{number}") for number in range(50)}
    assert len(waits) > 40
    assert all(WAITS[0] <= wait <= WAITS[0] * 1.1 for wait in waits)
    assert wait_after(1, "msg_1") == wait_after(1, "msg_1")


def test_after_the_last_wait_it_is_over():
    assert wait_after(len(WAITS), "msg_1")
    assert wait_after(len(WAITS) + 1, "msg_1") is None
    assert wait_after(2, "msg_1", [timedelta(seconds=1)]) is None
