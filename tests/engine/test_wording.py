"""What a letter says to one person: whom else it goes to, and who has the last word about what is always known."""

import pytest

from engine.enroll import prepare
from engine.errors import Refused
from engine.model import Prospect
from engine.plan import reader_of
from engine.wording import known_of, say_errand, word
from tests.makers import IDA, sequence


def said(step, **variables):
    found = sequence({"subject": "Hi", "body": "Hello"} | step)
    return word(found.steps[0], found, known_of(found, IDA, variables), person=IDA)


@pytest.mark.parametrize("kind", ["cc", "bcc"])
@pytest.mark.parametrize(
    ("cell", "addresses"),
    [
        (" kim@acme.example ", ("kim@acme.example",)),
        ("Kim@ACME.example", ("Kim@acme.example",)),
        ("", ()),
        (" ", ()),
    ],
)
def test_a_copy_goes_to_one_plain_address_or_to_none(kind, cell, addresses):
    letter = said({kind: ["{{ copy | default('') }}"]}, copy=cell)

    assert getattr(letter, kind) == addresses


@pytest.mark.parametrize("kind", ["cc", "bcc"])
@pytest.mark.parametrize(
    "cell",
    [
        "nobody, z@f.example",
        "a@b.example, c@d.example",
        "a@b.example;c@d.example",
        "Kim <kim@acme.example>",
        "<kim@acme.example>",
        "kim",
        "a@b.example\nBcc: c@d.example",
        '"a b"@c.example',
    ],
)
def test_a_cell_of_the_list_adds_no_recipients(kind, cell):
    with pytest.raises(Refused, match=f"^{kind}"):
        said({kind: ["{{ copy }}"]}, copy=cell)


def test_whoever_has_no_address_for_a_copy_is_refused_before_anything_leaves():
    found = sequence(
        {"subject": "Hi", "body": "Hello"}, {"body": "Again", "after": "3d", "cc": ["{{ copy }}"]}
    )

    with pytest.raises(Refused, match=r"step-2: cc: 'nobody, z@f.example' is no e-mail address"):
        prepare(Prospect(email=IDA, variables={"copy": "nobody, z@f.example"}), found)
    assert prepare(Prospect(email=IDA), found).missing == "copy is missing"


def test_a_link_to_nowhere_in_html_is_refused_before_anything_leaves():
    found = sequence({"subject": "Hi", "html": '<p>Hello</p><a href="{{ site }}">site</a>'})

    with pytest.raises(Refused, match="step-1: a link would lead to 'javascript:x'"):
        prepare(Prospect(email=IDA, variables={"site": "javascript:x"}), found)


def test_what_is_always_known_is_not_for_a_list_to_say():
    found = sequence(
        {"id": "call", "task": "{{ email }} {{ sequence }} {{ step.id }}", "assign": "{{ owner }}"},
        {"id": "opener", "subject": "Hi", "body": "Hello", "if": 'step.id == "evil"'},
        owner="kim@acme.example",
        defaults={"owner": "d", "sequence": "d", "step": "d"},
    )
    evil = dict.fromkeys(("owner", "sequence", "email", "step"), "evil")
    known = reader_of(found, IDA, evil).known
    assert "step" not in known

    assert say_errand(found.steps[0], known) == {
        "task": f"{IDA} {found.name} call",
        "assign": "kim@acme.example",
    }


def test_without_an_owner_in_the_file_the_column_says_who_it_is():
    assert said({"body": "{{ owner }}"}, owner="Ola").text == "Ola\n"
