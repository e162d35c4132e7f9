"""Which door a path leads to."""

import pytest

from dashboard.frame import Door, Raw
from dashboard.paths import Map

DOORS = [
    Door(method, path, lambda asked: Raw(b""), name=f"{method} {path}")
    for method, path in (
        ("GET", "/"),
        ("GET", "/people/{who}"),
        ("GET", "/people/new"),
        ("POST", "/people/{who}/stop"),
        ("GET", "/threads/{thread_id}/messages/{place}"),
        ("GET", "/settings"),
        ("POST", "/settings"),
    )
]


@pytest.mark.parametrize(
    ("path", "door", "names"),
    [
        ("/", "/", {}),
        ("/people/ida@nordic.example", "/people/{who}", {"who": "ida@nordic.example"}),
        ("/people/ida%40nordic.example/", "/people/{who}", {"who": "ida@nordic.example"}),
        ("/people/a%2Fb%20c", "/people/{who}", {"who": "a/b c"}),
        ("/people/%C3%A9", "/people/{who}", {"who": "é"}),
        ("/people/new", "/people/new", {}),
        ("/people/..", "/people/{who}", {"who": ".."}),
        (
            "/threads/thr_1/messages/2",
            "/threads/{thread_id}/messages/{place}",
            {"thread_id": "thr_1", "place": "2"},
        ),
    ],
)
def test_a_path_leads_to_its_door(path, door, names):
    found = Map(DOORS).find("GET", path)

    assert (found.door.path, found.path) == (door, names)


@pytest.mark.parametrize(
    "path",
    ["", "people", "//", "//people/new", "/people", "/people//", "/people/%00", "/people/%FF", "/people/a/b/c", "/x" * 2000, "/People/new"],
)  # fmt: skip
def test_what_is_no_path_of_ours_leads_nowhere(path):
    assert Map(DOORS).find("GET", path).methods == frozenset()


def test_whoever_comes_the_wrong_way_is_told_the_right_one():
    assert Map(DOORS).find("DELETE", "/settings").methods == {"GET", "POST"}
    found = Map(DOORS).find("GET", "/people/x/stop")
    assert (found.door, found.methods) == (None, {"POST"})
