"""The picture of a sequence, drawn from its numbers."""

from dashboard.funnel import bars, lines, rough, wait_in_words, widest
from engine.measures import parse_wait
from engine.store.funnels import Stage
from tests.makers import sequence


def _stage(step, *, variant=None, planned=0, sent=0, **more):
    nothing = {"replied": 0, "bounced": 0, "unsubscribed": 0, "complained": 0}
    return Stage(step=step, variant=variant, planned=planned, sent=sent, **nothing | more)


def test_a_bar_is_as_wide_as_its_letters_are_many_beside_the_most():
    first, second, third = bars(
        sequence(), [_stage("step-1", sent=150, planned=50), _stage("step-2", sent=50, planned=50)]
    )

    assert (first.sent_width, first.planned_width) == (75.0, 25.0)
    assert (second.sent_width, second.planned_width) == (25.0, 25.0)
    assert (third.sent_width, third.planned_width, third.after) == (0.0, 0.0, "5d")


def test_several_ways_to_say_a_step_are_one_bar():
    [bar, *_] = bars(
        sequence(),
        [
            _stage("step-1", variant="a", sent=40, replied=4),
            _stage("step-1", variant="b", sent=60, replied=2),
        ],
    )

    assert (bar.sent, bar.replied.number, bar.replied.of) == (100, 6, 100)


def test_what_stands_in_no_file_any_more_comes_last_and_says_so():
    shown = bars(sequence(), [_stage("ages-ago", sent=1), _stage("step-1", sent=2)])

    assert [(bar.step, bar.known) for bar in shown][-1] == ("ages-ago", False)


def test_where_nothing_was_sent_nothing_is_drawn_and_nothing_is_divided():
    shown = bars(sequence(), [])

    assert {bar.sent_width for bar in shown} == {0.0}
    assert widest(shown) == 1.0
    assert bars(None, []) == []


def test_the_scale_of_answers_holds_every_range():
    few = bars(sequence(), [_stage("step-1", sent=5, replied=1)])
    many = bars(sequence(), [_stage("step-1", sent=5000, replied=100)])

    assert widest(few) == 0.8
    assert widest(many) == 0.1


def test_a_wait_is_told_as_it_is_written_and_in_words():
    assert [wait_in_words(parse_wait(each)) for each in ("0d", "1d", "3bd", "2w", "45s", "1bd")] == [
        "at once",
        "1 day",
        "3 business days",
        "2 weeks",
        "45 seconds",
        "1 business day",
    ]
    assert [line.after for line in lines(sequence())] == ["0d", "3d", "5d"]


def test_no_more_digits_than_anybody_should_believe():
    assert [rough(share) for share in (0, 0.0097, 0.0234, 0.075, 0.125, 0.42, 1.0)] == [
        "0 %",
        "1.0 %",
        "2.3 %",
        "7.5 %",
        "12 %",
        "42 %",
        "100 %",
    ]
