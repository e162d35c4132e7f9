"""What is handed out is believed when it comes back, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.api.seal import Seal

SEAL = Seal(b"the key of an instance")


@pytest.mark.parametrize("said", [[1, "a"], {"x": [None, True, "é\u2028"]}, "", 0])
def test_what_we_said_comes_back(said: object) -> None:
    assert SEAL.open("page", SEAL.close("page", said)) == said


def test_it_fits_in_an_url_as_it_is() -> None:
    token = SEAL.close("page", ["é" * 100, 10**12])

    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_it_is_good_for_one_purpose() -> None:
    assert SEAL.open("file", SEAL.close("page", [1])) is None


def test_another_instance_does_not_believe_it() -> None:
    assert Seal(b"another key").open("page", SEAL.close("page", [1])) is None


def test_a_purpose_cannot_be_stretched_into_what_is_said() -> None:
    assert SEAL.open("page[", SEAL.close("page", "[")) is None


@given(st.integers(0), st.sampled_from("AaZz09-_"))
def test_one_changed_sign_spoils_it(place: int, sign: str) -> None:
    token = SEAL.close("page", [1_700_000_000_000, "drf_1"])
    place %= len(token) - 1  # the last sign has bits that say nothing
    changed = token[:place] + sign + token[place + 1 :]

    assert (SEAL.open("page", changed) is None) == (changed != token)


@given(st.text(max_size=60))
def test_nonsense_is_nothing(token: str) -> None:
    assert SEAL.open("page", token) is None


@pytest.mark.parametrize("token", ["", "A", "é", "x" * 100_000, "====", "\0"])
def test_strange_nonsense_too(token: str) -> None:
    assert SEAL.open("page", token) is None
