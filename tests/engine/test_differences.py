"""What was said for everybody, what filled a gap, and what a human changed; and that nobody waits for it."""

from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.differences import Piece, differences

TEMPLATE = "Hello {{ first_name }},\n\nhow are nights at {{ company }}?\n\nSam"
PLANNED = "Hello Ida,\n\nhow are nights at Nordic Co?\n\nSam"

texts = st.one_of(
    st.text(max_size=200),
    st.lists(
        st.sampled_from(["a", "b", " ", "\n", "{{ x }}", "Ida", ".", "\u202e", "{", "🦊"]), max_size=60
    ).map("".join),
)


def of_kind(pieces, kind):
    return [piece.text for piece in pieces if piece.kind == kind]


@given(st.none() | texts, st.none() | texts, texts)
def test_what_was_not_removed_is_the_letter_and_what_was_not_changed_is_what_was_planned(
    template, planned, actual
):
    pieces = differences(template, planned, actual)
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == actual
    meant = actual if planned is None else planned
    assert "".join(piece.text for piece in pieces if piece.kind != "changed") == meant
    assert all(piece.text for piece in pieces)
    assert all(one.kind != other.kind for one, other in pairwise(pieces))


@given(texts, texts)
def test_what_nobody_touched_has_nothing_changed(template, planned):
    kinds = {piece.kind for piece in differences(template, planned, planned)}
    assert kinds <= {"said", "filled"}


def test_the_gaps_of_the_template_stand_out():
    assert differences(TEMPLATE, PLANNED, PLANNED) == (
        Piece("Hello ", "said"),
        Piece("Ida", "filled"),
        Piece(",\n\nhow are nights at ", "said"),
        Piece("Nordic Co", "filled"),
        Piece("?\n\nSam", "said"),
    )


def test_what_fills_a_gap_is_not_cut_by_the_words_that_the_template_says_too():
    template = "Dear {{ first_name }} {{ last_name }}, {{ line }}. I am near {{ town }}."
    planned = "Dear Ida Maria Holm, may I say how near I am. I am near Hamar.\n--\nSam"
    filled = ["Ida", "Maria Holm", "may I say how near I am", "Hamar", "\n--\nSam"]
    assert of_kind(differences(template, planned, planned), "filled") == filled


@pytest.mark.parametrize(
    "planned", ["Hello Ida.", "Good day, Ida, see you.", "Hello Ida, see", "Hello Ida and Tom, see you soon."]
)
def test_where_it_does_not_say_what_the_template_says_words_are_compared(planned):
    pieces = differences("Hello {{ first_name }}, see you {{ day }}!", planned, planned)
    assert "Ida" in "".join(of_kind(pieces, "filled"))
    assert of_kind(pieces, "said")


def test_a_word_put_in_by_hand_stands_out_and_a_word_taken_out_is_told():
    pieces = differences(TEMPLATE, PLANNED, PLANNED.replace("how are nights", "how were the nights"))
    assert of_kind(pieces, "filled") == ["Ida", "Nordic Co"]
    assert "were" in "".join(of_kind(pieces, "changed"))
    assert of_kind(pieces, "removed") == ["are"]


def test_without_a_template_only_what_was_changed_by_hand_is_told():
    assert differences(None, "one two", "one three") == (
        Piece("one ", "said"),
        Piece("two", "removed"),
        Piece("three", "changed"),
    )
    assert differences(None, None, "as it is") == (Piece("as it is", "said"),)
    assert differences(None, None, "") == ()


@pytest.mark.parametrize(
    ("planned", "actual"),
    [
        ("a" * 1_000_000, "b" * 1_000_000),
        ("a b " * 250_000, "b a " * 250_000),
        ("a\n" * 500_000, "b\na\n" * 250_000),
        ("{" * 99_999, "{{ " * 33_000),
        ("\n" * 1_000_000, "\n" * 999_999 + "x"),
        (" ".join(map(str, range(14_000))), " ".join(map(str, reversed(range(14_000))))),
        ("x y " * 70 + "z " * 70, "z x " * 70 + "y " * 70),
    ],
    ids=["one line", "few words", "many lines", "braces", "empty lines", "reversed", "shuffled"],
)
def test_nobody_waits_for_a_hostile_letter(planned, actual):
    began = perf_counter()
    pieces = differences("{{ x }} " * 1_000, planned, actual)
    assert perf_counter() - began < 5
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == actual
