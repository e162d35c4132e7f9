"""What may deceive whoever reads the head of a letter is told in words; honest letters raise no alarm."""

from time import perf_counter

import pytest

from dashboard.tricks import tricks

PUNYCODE = "ida@" + "n\u043erdic.example".encode("idna").decode()


@pytest.mark.parametrize(
    ("people", "subject", "told"),
    [
        ({"ida@nordic.example": "boss@acme.example"}, "Hi", "is another address: boss@acme.example"),
        ({"ida@nordic.example": 'Ida" <x@evil.example>'}, "Hi", "is another address: x@evil.example"),
        ({"ida@nordic.example": "Ida <b>"}, "Hi", "signs in it that belong to addresses"),
        ({"ida@nordic.example": "adI\u202e"}, "Hi", "The name of ida@nordic.example has signs that turn"),
        ({PUNYCODE: ""}, "Hi", "written in other letters: n\u043erdic.example"),
        ({PUNYCODE: ""}, "Hi", "mixes letters of several alphabets"),
        ({"ida@n\u043erdic.example": ""}, "Hi", "letters that are not a to z; in the mail it is xn--nrdic"),
        ({"ida@xn--\u00ff.example": ""}, "Hi", "written in other letters"),
        ({"ida@nordic.example": ""}, "exe.\u202egnp", "The subject has signs that turn"),
        ({"ida@nordic.example": ""}, "pay\u200bpal", "The subject has signs that cannot be seen"),
    ],
)
def test_a_trick_is_told(people, subject, told):
    assert any(told in each for each in tricks(people, subject=subject))


def test_an_honest_letter_has_none():
    people = {
        "ida@nordic.example": "Ida Ødegård",
        "kim@acme.example": "ida@nordic.example"[:0],
        "o@b.example": "O'Brien, K.",
    }
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert tricks(people, subject=f"Hei {family} – 10 % for Ида", text="Привет, 你好, مرحبا") == ()


def test_nobody_waits_for_a_long_one():
    began = perf_counter()
    tricks(
        {"a@" + "x." * 100_000: "@" * 100_000, "b@b.example": "a" * 300_000},
        subject="\u200d" * 100_000,
        text="W" * 10**6,
    )
    assert perf_counter() - began < 3
