"""One id goes through a story, in whatever thread it goes on; and whoever draws spans hears of its parts."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Thread

import anyio
import pytest
from anyio.to_thread import run_sync

from engine.trail import about, begin, draw_spans, known, span, story


def test_outside_of_any_story_nothing_is_known():
    assert dict(known()) == {}


def test_a_story_has_an_id_as_long_as_a_traces():
    with story():
        assert re.fullmatch("[0-9a-f]{32}", known()["story"])
    assert dict(known()) == {}


def test_no_two_stories_have_the_same_id():
    ids = set()
    for _ in range(1000):
        with story():
            ids.add(known()["story"])
    assert len(ids) == 1000


def test_what_it_is_about_is_known_to_the_end_of_the_block():
    with story(), about(draft_id="drf_1", enrollment_id=None):
        id_ = known()["story"]
        with about(event_id="evt_1"):
            assert dict(known()) == {"story": id_, "draft_id": "drf_1", "event_id": "evt_1"}
        assert dict(known()) == {"story": id_, "draft_id": "drf_1"}


def test_a_story_within_another_one_is_another_one_and_the_first_goes_on():
    with story(draft_id="drf_1"):
        outer = dict(known())
        with story():
            assert known()["story"] != outer["story"]
            assert "draft_id" not in known()
        assert dict(known()) == outer


def test_a_story_that_fails_is_over_too():
    with pytest.raises(ValueError, match="no"), story(), about(draft_id="drf_1"):
        raise ValueError("no")
    assert dict(known()) == {}


def test_it_goes_along_into_a_thread_that_a_door_hands_over_to():
    async def door() -> tuple[str, str]:
        begin()
        return known()["story"], await run_sync(lambda: known()["story"])

    here, there = anyio.run(door)
    assert here == there


def test_two_requests_at_once_are_two_stories():
    seen: list[str] = []

    async def request() -> None:
        begin()
        before = known()["story"]
        await anyio.sleep(0.01)
        assert known()["story"] == before
        seen.append(before)

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(request)
            group.start_soon(request)

    anyio.run(both)
    assert len(set(seen)) == 2


def test_a_thread_of_our_own_begins_with_nothing_and_can_be_handed_everything():
    seen: list[dict[str, str]] = []
    with story():
        alone = Thread(target=lambda: seen.append(dict(known())))
        alone.start()
        alone.join()
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(copy_context().run, lambda: dict(known())).result())
        assert seen == [{}, dict(known())]


def test_nobody_who_draws_is_told_of_a_span_and_it_may_say_what_it_likes():
    with span("letter") as told:
        told.says(outcome="Delivered")


def test_whoever_draws_is_told_of_each_span_until_they_are_not():
    drawn: list[str] = []

    class Told:
        def says(self, **what: str | int) -> None:
            drawn.append(f"{what}")

    @contextmanager
    def tracer(name: str) -> Iterator[Told]:
        drawn.append(name)
        yield Told()
        drawn.append(f"end of {name}")

    draw_spans(tracer)
    try:
        with span("letter") as told:
            told.says(outcome="Delivered")
    finally:
        draw_spans(None)
    with span("letter"):
        pass
    assert drawn == ["letter", "{'outcome': 'Delivered'}", "end of letter"]
