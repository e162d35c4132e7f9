"""Where a list goes on: what we wrote is read again, and what somebody made up is no mark."""

import base64
import json

import pytest

from dashboard.marks import mark_of, word_of


@pytest.mark.parametrize("mark", [(1, "drf_1"), (0, 1, "ida@nordic.example", "x"), ("ü\u202e", -5)])
def test_a_mark_is_read_as_it_was_written(mark):
    word = word_of(mark)
    assert word.replace("-", "").replace("_", "").isalnum()
    assert mark_of(word, *map(type, mark)) == mark


def test_a_list_that_ends_has_none():
    assert word_of(None) is None


def _word(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "word",
    ["", "=", "x", "ü", "a" * 5000, "////", _word({"a": 1}), _word([1]), _word([1, 2]), _word([True, "x"]),
     _word([1.5, "x"]), _word([1 << 70, "x"]), _word([1, "\0"]), _word([1, "\ud800"]), _word([None, "x"]), _word([[1], "x"])],
)  # fmt: skip
def test_what_is_no_mark_of_this_list_begins_at_its_beginning(word):
    assert mark_of(word, int, str) is None
