"""What authors measure with is bounded, in words; and what is nearly right is told what would be."""

from datetime import timedelta

import pytest

from engine.measures import (
    parse_bool,
    parse_gap,
    parse_near_instant,
    parse_number,
    parse_wait,
    parse_windows,
    parse_zone,
)


@pytest.mark.parametrize("text", ["3660d", "522w", "87840h", "5270400m", "316224000s", "2600bd", "0d"])
def test_a_wait_of_ten_years_is_a_wait(text):
    assert str(parse_wait(text)) == text


@pytest.mark.parametrize(
    "text", ["3661d", "523w", "999999999w", "87841h", "316224001s", "2601bd", "9" * 99 + "w"]
)
def test_a_longer_one_is_refused_in_words_whatever_its_unit(text):
    with pytest.raises(ValueError, match="is longer than ten years"):
        parse_wait(text)


@pytest.mark.parametrize("text", ["3m-", "-3m", "-", "3m-9m-", "1d-2d"])
def test_half_a_range_of_time_is_none(text):
    with pytest.raises(ValueError, match="is no range of time"):
        parse_gap(text)


def test_a_range_of_time_may_be_one_time():
    assert parse_gap("5m").least == parse_gap("5m").most == timedelta(minutes=5)


@pytest.mark.parametrize("text", ["9999-12-30T00:00:00Z", "2190-01-01", "1899-12-31", "0002-01-01T00:00:00Z"])
def test_an_instant_that_no_calendar_knows_is_too_far_away(text):
    with pytest.raises(ValueError, match=r"is too far away\. Write a year from 1900 to 2189"):
        parse_near_instant(text)


@pytest.mark.parametrize(
    "name",
    ["localtime", "Factory", "posixrules", "right/Europe/Oslo", "posix/Europe/Oslo", "", "../etc/passwd"],
)
def test_a_clock_that_is_no_place_is_no_zone(name):
    with pytest.raises(ValueError, match="is no time zone"):
        parse_zone(name)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("Europe/Olso", "Europe/Oslo"),
        ("europe/oslo", "Europe/Oslo"),
        ("Oslo", "Europe/Oslo"),
        ("new york", "America/New_York"),
        ("right/Europe/Oslo", "Europe/Oslo"),
    ],
)
def test_a_zone_that_is_nearly_one_is_told_which(name, right):
    with pytest.raises(ValueError, match=f"Did you mean {right}"):
        parse_zone(name)


@pytest.mark.parametrize("name", ["UTC", "Etc/GMT+5", "EST", "Europe/Oslo", "America/Argentina/Ushuaia"])
def test_any_other_zone_is_one(name):
    assert parse_zone(name) == name


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("Mon-Fri 09:00-17:00", "mon-fri"),
        ("monday-friday 09:00-17:00", "mon-fri"),
        ("Monday to Friday 09:00-17:00", "mon-fri"),
        ("mon wed 09:00-17:00", "mon,wed"),
        ("mon & tue and wed 09:00-17:00", "mon,tue,wed"),
        ("weekdays 09:00-17:00", "mon-fri"),
    ],
)
def test_days_in_other_words_are_told_as_days(line, right):
    with pytest.raises(ValueError, match=f"are no days. Did you mean {right}"):
        parse_windows(line)


@pytest.mark.parametrize(
    "line", ["mon - fri 09:00-17:00", "mon-fri:  09:00 - 17:00", "mon-wed, thu,fri 09:00-17:00"]
)
def test_blanks_in_a_window_change_nothing(line):
    assert parse_windows(line) == parse_windows("mon,tue,wed,thu,fri 09:00-17:00")


@pytest.mark.parametrize(
    ("line", "words"), [("fooday 09:00-10:00", "is no day"), ("mon-fri", "is no window")]
)
def test_what_is_no_window_at_all_is_told(line, words):
    with pytest.raises(ValueError, match=words):
        parse_windows(line)


@pytest.mark.parametrize(("word", "right"), [("yes", "true"), ("Off", "false"), ("maybe", "true or false")])
def test_yes_and_no_are_told_as_what_they_are_here(word, right):
    with pytest.raises(ValueError, match=f"is neither true nor false. Write {right}$"):
        parse_bool(word)


def test_a_number_beyond_reason_is_too_large_and_not_no_number():
    assert parse_number("999999999") == 999_999_999
    with pytest.raises(ValueError, match=r"is too large\. 999,999,999 is the most"):
        parse_number("1000000000")
