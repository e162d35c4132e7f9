"""How moments, numbers and states are said, and that everybody can read them."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from jinja2 import UndefinedError

from dashboard.show import (
    ago,
    environment,
    look,
    number,
    percent,
    plural,
    shape,
    short,
    static,
    when,
    word,
    zone_named,
)
from engine.states import DraftState, EnrollmentState

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CSS = files("dashboard").joinpath("static/css/base.css").read_text("utf-8")


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(seconds=-2), "now"),
        (timedelta(seconds=-40), "40 seconds ago"),
        (timedelta(minutes=-1), "1 minute ago"),
        (timedelta(hours=-3), "3 hours ago"),
        (timedelta(days=2), "in 2 days"),
        (timedelta(days=400), "in 400 days"),
    ],
)
def test_how_far_away_a_moment_is(away, said):
    assert ago(NOON + away, NOON) == said


def test_a_moment_is_said_with_its_zone():
    assert when(NOON, "Europe/Oslo") == "Mon 2 Mar 2026, 13:00 Europe/Oslo"
    assert when(NOON) == "Mon 2 Mar 2026, 12:00 UTC"


@pytest.mark.parametrize("wrong", ["Mars/Olympus", "../../etc/passwd", "", "a" * 400, "\0"])
def test_what_is_no_zone_is_utc(wrong):
    assert zone_named(wrong).key == "UTC"


def test_numbers_and_words():
    assert number(1204) == "1,204"
    assert plural(1, "letter") == "1 letter"
    assert plural(1204, "person", "people") == "1,204 people"
    assert percent(0.125) == "12.5 %"
    assert percent(None) == "–"
    assert short("one\r\ntwo   three") == "one two three"
    assert short("x" * 1_000_000, 10) == "x" * 9 + "…"


def test_every_state_has_a_shape_beside_its_colour():
    looks = {look(state) for state in (*DraftState, *EnrollmentState)}
    assert len({shape(state) for state in (*DraftState, *EnrollmentState)}) == len(looks)
    assert word(DraftState.UNCERTAIN) == "perhaps left"


def test_a_stranger_is_escaped_and_in_their_own_direction():
    page = environment().from_string(
        '{% import "parts.html" as parts with context %}{{ parts.stranger(words) }}'
    )
    assert "<script>" not in page.render(words="<script>alert(1)</script>\u202e")
    assert 'dir="auto"' in page.render(words="שלום")


def test_a_name_turns_no_line_round():
    assert short("gnp.\u202efdp\u2066 x") == "gnp.\ufffdfdp\ufffd x"
    page = environment().from_string(
        '{% import "parts.html" as parts with context %}{{ parts.stranger(name) }}{{ parts.person("a@b.example", name) }}'
    )
    shown = page.render(name="gnp.\u202efdp")
    assert shown.count("gnp.\ufffdfdp") == 2
    assert "\u202e" not in shown
    assert "שלום\u200f" in page.render(name="שלום\u200f")  # it belongs there, and turns nothing


def test_a_long_address_is_broken_at_its_joints():
    page = environment().from_string('{% import "parts.html" as parts with context %}{{ parts.broken(who) }}')
    assert page.render(who="rosa.lindqvist@pottery.example") == "rosa.lindqvist<wbr>@pottery.<wbr>example"
    assert page.render(who="<ida>@nordic.example") == "&lt;ida&gt;@nordic.example"


def test_what_nobody_gave_is_an_error():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nobody_gave_this }}").render()


def test_another_content_has_another_address():
    assert re.fullmatch(r"/static/css/base\.css\?v=[0-9a-f]{12}", static("css/base.css"))


def test_no_template_of_ours_speaks_where_the_policy_forbids_it():
    """The policy is `default-src 'self'`: what stands in an attribute, or between tags, would not run; so it is a mistake."""
    for template in files("dashboard").joinpath("templates").iterdir():
        text = template.read_text("utf-8")
        assert not re.search(
            r"<style|\sstyle=|\son[a-z]+=|<script(?! src=)|javascript:|\|\s*safe|hx-on", text
        ), template.name


# --- contrast: WCAG 2.2, 1.4.3 and 1.4.11 ---


def _tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


_BY_SYSTEM, _BY_HAND = "@media (prefers-color-scheme: dark)", ':root[data-theme="dark"]'
LIGHT = _tokens(CSS[: CSS.index(_BY_SYSTEM)])
DARK = _tokens(CSS[CSS.index(_BY_HAND) : CSS.index("/* --- the ground --- */")])

_WORDS_ON = [
    *((words, ground) for words in ("text", "muted", "accent", "good", "bad", "doubt", "wait") for ground in ("ground", "surface", "raised")),
    *((tone, f"{tone}-soft") for tone in ("accent", "good", "bad", "doubt", "wait")),
    *(("text", f"{tone}-soft") for tone in ("accent", "good", "bad", "doubt", "wait")),
    *(("muted", f"{tone}-soft") for tone in ("accent", "good", "bad", "doubt", "wait")),
    ("on-accent", "accent"), ("on-accent", "accent-hover"), ("on-bad", "bad"), ("on-bad", "bad-hover"), ("ground", "text"),
]  # fmt: skip
_EDGES_ON = [(edge, ground) for edge in ("edge", "ring") for ground in ("ground", "surface", "raised")]


def _light_of(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_light_of(one), _light_of(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_words_can_be_read_in_both_themes(theme):
    dim = {pair: _contrast(theme[pair[0]], theme[pair[1]]) for pair in _WORDS_ON}
    assert {pair: ratio for pair, ratio in dim.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_edges_can_be_seen_in_both_themes(theme):
    dim = {pair: _contrast(theme[pair[0]], theme[pair[1]]) for pair in _EDGES_ON}
    assert {pair: ratio for pair, ratio in dim.items() if ratio < 3} == {}


def test_dark_by_the_system_is_dark_by_hand():
    assert _tokens(CSS[CSS.index(_BY_SYSTEM) : CSS.index(_BY_HAND)]) == DARK
