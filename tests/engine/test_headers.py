"""What somebody may put into the head of their letter, and what only the house writes there."""

import pytest

from engine.headers import content_id_trouble, header_trouble, name_trouble


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Campaign", "north"),
        ("x-a", ""),
        ("Auto-Submitted", "auto-generated"),
        ("List-Unsubscribe", "<https://acme.example/u?x=1>, <mailto:u@acme.example>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("Precedence", "bulk"),
        ("X-Size", "Größe: 漢字 😀"),
        ("Toto", "is no To"),
        ("Contents", "are no Content"),
        ("X-" + "a" * 74, "x"),
        ("X-A", "x" * (998 - len("X-A: "))),
    ],
)
def test_what_says_something_of_its_own_may_go_along(name, value):
    assert header_trouble(name, value) is None


@pytest.mark.parametrize(
    "name",
    [
        "From",
        "To",
        "Cc",
        "Bcc",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Reply-To",
        "Sender",
        "MIME-Version",
        "Return-Path",
        "Received",
        "Received-SPF",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Content-ID",
        "DKIM-Signature",
        "Resent-To",
        "Resent-Bcc",
        "Delivered-To",
        "ARC-Seal",
        "Authentication-Results",
        "Apparently-To",
    ],
)
@pytest.mark.parametrize("spelt", [str, str.lower, str.upper])
def test_what_the_mailbox_writes_itself_is_nobody_elses_to_write(name, spelt):
    trouble = header_trouble(spelt(name), "x")

    assert trouble is not None
    assert "leave it out" in trouble


@pytest.mark.parametrize(
    "name",
    ["", " ", "X A", "X-A:", "X-A ", " X-A", "X-A\r\nBcc", "X-Å", "X\x00", "X\t", "(x)", "x" * 77, "\n"],
)
def test_a_header_has_a_name_and_nothing_else(name):
    trouble = header_trouble(name, "x")

    assert trouble is not None
    assert "found" in trouble


@pytest.mark.parametrize(
    "end",
    [
        "\r\nBcc: e@x.test",
        "\n",
        "\r",
        "\0",
        "\t",
        "\x0b",
        "\x0c",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\ud800",
    ],
)
def test_a_value_is_one_line(end):
    trouble = header_trouble("X-A", f"1{end}")

    assert trouble is not None
    assert "one line" in trouble
    assert trouble.isprintable()


def test_a_line_that_no_server_would_take_is_refused():
    trouble = header_trouble("X-A", "x" * 994)

    assert trouble is not None
    assert "998" in trouble


@pytest.mark.parametrize("name", ["", "Ida", 'Ida "the boss" <ida@x.test>', "Grüße, 漢字 😀", "x" * 256])
def test_people_are_called_many_things(name):
    assert name_trouble(name) is None


@pytest.mark.parametrize("name", ["Ida\r\nBcc: e@x.test", "Ida\u2028", "Ida\x00", "\ud83d", "x" * 257])
def test_nobody_is_called_a_line_break(name):
    assert name_trouble(name) is not None


@pytest.mark.parametrize("name", ["logo", "logo@acme.example", "part1.06090408@x", "a_b-c+d"])
def test_a_picture_is_spoken_of_by_one_word(name):
    assert content_id_trouble(name) is None


@pytest.mark.parametrize(
    "name", ["", "<logo>", "my logo", "logo>\r\nBcc: e@x.test", "lögo", "x" * 251, '"logo"']
)
def test_what_is_no_word_is_no_name_for_a_picture(name):
    assert content_id_trouble(name) is not None
