"""Every mistake at once: where, what is wrong, what would be right. And never a traceback."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import SequenceError
from engine.sequence import Pool, Sequence
from sequences.loader import load, parse

SHIPPED = Path(__file__).parents[2] / "sequences"
SHARED = Path(__file__).parents[1] / "fixtures" / "sequences"
QUICK = SHIPPED / "quick-question.yaml"
ADVANCED = SHARED / "3-advanced.yaml"
EXAMPLES = sorted([*SHIPPED.glob("*.yaml"), *SHARED.glob("*.yaml")])
HEAD = "name: A\nfrom: sam@acme.example\n"
GOOD = HEAD + "steps:\n  - subject: Hi\n    body: Hello\n"
STEP = HEAD + "steps:\n  - subject: Hi\n    body: Hello\n    {}\n"


def complaints(text: str | bytes) -> list[str]:
    with pytest.raises(SequenceError) as caught:
        parse(text, "q.yaml")
    return list(caught.value.complaints)


def body(text: str) -> str:
    return GOOD.replace("Hello", text)


def test_the_example_is_a_sequence():
    sequence = load(QUICK)

    assert sequence.sender == "sam@acme.example"
    assert [str(step.after) for step in sequence.steps] == ["0d", "3d", "5d"]
    assert [step.subject is None for step in sequence.steps] == [False, True, True]
    assert sequence.steps[0].body.startswith("Hello {{ first_name }},\n\n")


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.name for file in EXAMPLES])
def test_every_example_loads_and_is_kept_as_it_was_understood(file):
    sequence = load(file)

    kept = Sequence.model_validate(sequence.dump())
    assert kept == sequence
    assert kept.version == sequence.version
    assert not [step.id for step in sequence.every_step() if step.template]


def test_a_file_may_use_the_whole_language():
    sequence = load(ADVANCED)

    assert [step.id for step in sequence.every_step()] == [
        *("opener", "wait-for-report", "call", "bump", "angle", "enterprise", "funding", "generic"),
        *("crm", "breakup"),
    ]
    opener, wait, angle, crm, _ = sequence.steps
    assert [(way.id, way.weight) for way in opener.ways] == [("a", 50), ("b", 50)]
    assert opener.ways[0].subject == "{{ company }} and the {{ trigger }} questionnaire"
    assert (wait.wait_for, str(wait.up_to)) == ('clicked("security-report")', "3bd")
    assert [step.kind for step in wait.inner] == ["task", "mail"]
    assert [choice.when for choice in angle.choose or ()] == [
        "headcount | int >= 1000",
        'trigger == "funding"',
        None,
    ]
    assert crm.with_ == {"email": "{{ email }}", "step": "{{ step.id }}"}
    assert isinstance(sequence.sender, Pool)
    assert sequence.approval.steps == ("opener", "breakup")
    assert sequence.limits
    assert (str(sequence.limits.ramp), sequence.pause_if.complaint_rate) == (
        "10/day to 40/day over 14d",
        0.001,
    )
    assert sequence.on_reply["not_now"].resume == "nurture"
    assert [test.expect.state for test in sequence.tests] == ["replied", None, None, None]


def test_the_largest_example_is_read_in_no_time():
    spent = []
    for _ in range(5):
        started = time.process_time()
        load(ADVANCED)
        spent.append(time.process_time() - started)

    assert min(spent) < 0.03


SHAPED = {
    "from: { pool: emea-sdr }": lambda sequence: (
        sequence.sender == Pool(pool="emea-sdr", rotate="least_recent")
    ),
    "approval: first": lambda sequence: sequence.approval.steps == "first",
    "approval: { steps: all, by: [team:leads] }": lambda sequence: sequence.approval.by == ("team:leads",),
    "approval: { steps: [step-1] }": lambda sequence: sequence.approval.steps == ("step-1",),
    "schedule: { windows: mon 09:00-10:00 }": lambda sequence: len(sequence.schedule.windows) == 1,
    "schedule: { windows: [mon 09:00-10:00, tue 09:00-10:00] }": lambda sequence: (
        len(sequence.schedule.windows) == 2
    ),
    "schedule: { holidays: recipient }": lambda sequence: sequence.schedule.holidays == "recipient",
    "schedule: { holidays: NO }": lambda sequence: sequence.schedule.holidays == ("NO",),
    "schedule: { holidays: [NO, US-CA] }": lambda sequence: sequence.schedule.holidays == ("NO", "US-CA"),
    "schedule: { skip: 2026-12-24 }": lambda sequence: (
        list(map(str, sequence.schedule.skip)) == ["2026-12-24"]
    ),
    "schedule: { skip: [2026-12-24..2027-01-02] }": lambda sequence: len(sequence.schedule.skip) == 1,
    "enroll: { exclusive: true, per_company: 2 }": lambda sequence: sequence.enroll.exclusive is True,
    "defaults: { title: '', subject: '', body: ' ' }": lambda sequence: sequence.defaults["body"] == " ",
    "defaults: { first_name: there, title: '' }": lambda sequence: sequence.defaults["title"] == "",
}


@pytest.mark.parametrize(("line", "understood"), SHAPED.items(), ids=list(SHAPED))
def test_a_value_may_be_written_in_each_of_its_shapes(line, understood):
    text = GOOD if not line.startswith("from") else GOOD.replace("from: sam@acme.example\n", "")

    assert understood(parse(f"{text}{line}\n", "q.yaml"))


def test_variants_are_called_by_their_letters():
    text = (
        HEAD
        + "steps:\n  - variants:\n      - { subject: Hi, body: x }\n      - { id: other, subject: Ho, body: y }\n"
    )
    [step] = parse(text + "      - { subject: Hu, body: z, weight: 3 }\n", "q.yaml").steps

    assert [(way.id, way.weight) for way in step.ways] == [("a", 1), ("other", 1), ("c", 3)]


@pytest.mark.parametrize(
    "text",
    [
        GOOD.encode(),
        "\ufeff" + GOOD,
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        "---\n" + GOOD,
    ],
    ids=["bytes", "mark in text", "mark in bytes", "CRLF", "explicit start"],
)
def test_how_an_editor_saves_a_file_changes_nothing(text):
    assert parse(text, "q.yaml") == parse(GOOD, "q.yaml")


@pytest.mark.parametrize(
    "word", ["no", "on", "10:30", "018", "1e3", "2026-01-01", ".inf", "0x1F", "1_000", "true"]
)
def test_words_stay_words_whatever_older_yaml_makes_of_them(word):
    sequence = parse(body(word), "q.yaml")

    assert sequence.steps[0].body == word


def test_all_mistakes_are_told_at_once_in_their_order():
    text = """\
name:
from: sam
stop_on: reply
steps:
  - body: "{{ frist_name }"
    boddy: x
  - after: 3 days
    body: |
      Hello,

      {% if company %}
  - id: a
    subject: [x]
    body: y
  - id: a
    body: {{ company }} and more
requires: [first name]
requires: [b]
schedule:
  timezone: Mars
"""
    assert complaints(text) == [
        "q.yaml:1:1  name is empty. Write something.",
        "q.yaml:2:1  from: 'sam' is no e-mail address: An email address must have an @-sign.",
        'q.yaml:3:1  unknown key "stop_on". Did you mean "stop"?',
        "q.yaml:5:5  step 1 needs a subject: it starts the thread.",
        'q.yaml:5:11  step 1, body does not parse: what begins with "{{" ends with "}}".',
        'q.yaml:6:5  unknown key "boddy". Did you mean "body"?',
        'q.yaml:7:5  step 2, after: "3 days" is no duration. Write 45s, 30m, 4h, 3d, 2w or 3bd.',
        "q.yaml:11:7  step 2, body does not parse: an {% if %} has no {% endif %}.",
        "q.yaml:13:5  step 3 (a), subject should be text.",
        'q.yaml:15:5  step 4: two steps are called "a". Give this one another id.',
        "q.yaml:16:11  text that begins with a gap needs quotes. "
        'Put quotes around it: "{{ company }} and more".',
        'q.yaml:17:12  requires 1: "first name" is no variable. '
        "Write letters, digits and underscores, like first_name.",
        'q.yaml:18:1  "requires" is here twice, first in line 17. Keep one of them.',
        'q.yaml:20:3  schedule.timezone: "Mars" is no time zone. Write an IANA name, like Europe/Oslo.',
    ]


SHAPES = {
    "": ["1:1  there is nothing in it. Begin with name:, from: and steps:."],
    "# only a comment\n": ["1:1  there is nothing in it. Begin with name:, from: and steps:."],
    "hello\n": ['1:1  a sequence should be lines like "key: value".'],
    "- a\n": ['1:1  a sequence should be lines like "key: value".'],
    "name: A\n": ['1:1  missing "from".', '1:1  missing "steps".'],
    HEAD + "steps: []\n": ["3:1  steps is empty. Write something."],
    HEAD + "steps:\n": ["3:1  steps is empty. Write something."],
    HEAD + "steps: hello\n": ['3:1  steps should be a list. Write "- " before each of its entries.'],
    HEAD + "steps: {a: b}\n": ['3:1  steps should be a list. Write "- " before each of its entries.'],
    HEAD + "steps:\n  - hello\n": ['4:5  step 1 should be lines like "key: value".'],
    HEAD + "steps:\n  - subject: Hi\n": ['4:5  step 1: missing "body".'],
    GOOD + "  -\n": ["6:4  step 2 is empty. Write something, or leave it out."],
    GOOD.replace("name: A", "name: {}"): ["1:1  name should be text."],
    GOOD.replace("name: A", "name: |\n  A"): ["1:1  name has a line break in it. Write one line, in quotes."],
    GOOD.replace("name: A", f"name: {'A' * 201}"): ["1:1  name is too long. 200 characters are the most."],
    GOOD.replace("Hi", '"a\\r\\nBcc: b"'): [
        "4:5  step 1, subject has a line break in it. Write one line, in quotes."
    ],
    GOOD.replace("Hi", "''"): ["4:5  step 1, subject is empty. Write something, or leave it out."],
    GOOD.replace("Hi", "~"): ["4:5  step 1, subject is empty. Write something, or leave it out."],
    GOOD.replace("Hi", "x" * 999): ["4:5  step 1, subject is too long. 998 characters are the most."],
    GOOD.replace("subject: Hi", "id: hello"): ["4:5  step 1 (hello) needs a subject: it starts the thread."],
    body("[a]"): ["5:5  step 1, body should be text."],
    body(""): ["5:5  step 1, body is empty. Write something."],
    body("null"): ["5:5  step 1, body is empty. Write something."],
    STEP.format("id: Hello you"): [
        '6:5  step 1, id: "Hello you" is no id. Write small letters, digits and dashes, like "first-note".'
    ],
    STEP.format("id: step-2") + "  - body: x\n": [
        '7:5  step 2: two steps are called "step-2". Give this one another id.'
    ],
    STEP.format("after: [3d]"): ["6:5  step 1, after should be text."],
    STEP.format("after: -1d"): [
        '6:5  step 1, after: "-1d" is no duration. Write 45s, 30m, 4h, 3d, 2w or 3bd.'
    ],
    STEP.format("after: 999999d"): ['6:5  step 1, after: "999999d" is longer than ten years.'],
    STEP.format("after: |\n      3\n      days"): [
        '6:5  step 1, after: "3 days " is no duration. Write 45s, 30m, 4h, 3d, 2w or 3bd.'
    ],
    STEP.format("bodi: x"): ['6:5  unknown key "bodi". Did you mean "body"?'],
    STEP.format("variants: []"): ["6:5  step 1 is body and variants at once. One step is one thing."],
    GOOD + "approval:\n": ["6:1  approval is empty. Write something, or leave it out."],
    GOOD + "1: a\n": [
        '6:1  unknown key "1". Known here: name, from, owner, signature, requires, defaults, schedule, stop, '
        "out_of_office, approval, enroll, limits, pause_if, on_reply, steps, tests."
    ],
    GOOD + "schedule: mon\n": ['6:1  schedule should be lines like "key: value".'],
    GOOD + "schedule:\n  colour: red\n": [
        '7:3  unknown key "colour". Known here: timezone, fallback_timezone, windows, holidays, skip.'
    ],
    GOOD + "schedule:\n  windows: []\n": [
        "7:3  schedule.windows is empty. Write a line like mon-fri 09:00-17:00."
    ],
    GOOD + "schedule:\n  windows:\n    - mon 9-5\n    - [a]\n    -\n    - tue 10:00-09:00\n": [
        '8:7  schedule.windows 1: "9-5" are no hours. Write "09:00-17:00".',
        "9:7  schedule.windows 2 should be text.",
        "10:6  schedule.windows 3 is empty. Write something, or leave it out.",
        '11:7  schedule.windows 4: the window "10:00-09:00" ends before it starts. '
        "For a night write two, 10:00-24:00 and 00:00-09:00.",
    ],
    GOOD + "requires: company\n": ["6:1  requires should be a list. Write [company]."],
    GOOD + "requires: [a, [b]]\n": ["6:15  requires 2 should be text."],
    GOOD + "defaults: [a]\n": ['6:1  defaults should be lines like "key: value".'],
    GOOD + "defaults:\n  a b: c\n  d: [e]\n  f:\n": [
        '7:3  defaults: "a b" is no variable. Write letters, digits and underscores, like first_name.',
        "8:3  defaults.d should be text.",
        "9:3  defaults.f is empty. Write something, or leave it out.",
    ],
}


@pytest.mark.parametrize(("text", "expected"), SHAPES.items())
def test_what_has_the_wrong_shape_is_told_in_our_words(text, expected):
    assert complaints(text) == [f"q.yaml:{words}" for words in expected]


YAML = {
    "name: A\nname: B\n" + GOOD[8:]: ['2:1  "name" is here twice, first in line 1. Keep one of them.'],
    body("&a Hello"): ['5:11  "&a" is an anchor. Leave it out, or put quotes around it.'],
    body("*a"): ['5:11  "*a" is a reference. Write it out, or put quotes around it.'],
    body("*bold* words"): ['5:11  text cannot begin with "*". Put quotes around it.'],
    body("@sam hello"): ['5:11  text cannot begin with "@". Put quotes around it.'],
    body("%d"): ['5:11  text cannot begin with "%". Put quotes around it.'],
    body("`hello`"): ['5:11  text cannot begin with "`". Put quotes around it.'],
    body("!wow that"): ['5:11  a tag, which begins with "!". Leave it out, or put quotes around it.'],
    body("!!binary aGk="): ['5:11  a tag, which begins with "!". Leave it out, or put quotes around it.'],
    body("!e!wow"): ['5:11  text cannot begin with "!". Put quotes around it.'],
    GOOD + "defaults: !!set {a}\n": [
        '6:11  a tag, which begins with "!". Leave it out, or put quotes around it.',
    ],
    GOOD + "defaults:\n  <<: {a: b}\n": ['7:3  "<<" copies from elsewhere. Write the lines out.'],
    GOOD + "? [a, b]\n: c\n": ['6:3  a key is a word. Write it before the colon, like "name: …".'],
    GOOD + "? {a: b}\n: c\n": ['6:3  a key is a word. Write it before the colon, like "name: …".'],
    GOOD + "?\n: c\n": ['6:2  a key is a word. Write it before the colon, like "name: …".'],
    GOOD + "---\nname: B\n": ["6:1  a second document. One file is one sequence."],
    GOOD + "---\n": ["6:1  a second document. One file is one sequence."],
    "%YAML 9.9\n---\n" + GOOD: ['1:1  a line that begins with "%" is for YAML tools. Leave it out.'],
    "# a\n\n%TAG ! x\n---\n" + GOOD: ['3:1  a line that begins with "%" is for YAML tools. Leave it out.'],
    GOOD.replace("    body", "\tbody"): ["5:1  a tab. Write spaces."],
    GOOD + "schedule:\n\ttimezone: UTC\n": ["7:1  a tab. Write spaces."],
    body("one: two"): ['5:14  a colon that has no place here. Put quotes around it: "one: two".'],
    body('"Hello'): ["5:11  this quote is never closed. Close it."],
    body("'Hello"): ["5:11  this quote is never closed. Close it."],
    body('"Hello" you'): ["5:19  this does not fit what is above it. Check the indentation and the quotes."],
    body(r'"C:\program"'): ["5:15  no such escape. Write \\\\ for a backslash, or use single quotes."],
    body(r'"\u12"'): ["5:14  no such escape. Write \\\\ for a backslash, or use single quotes."],
    body(r'"\UFFFFFFFF"'): ["5:14  no such character. Write \\\\ for a backslash."],
    body("| Hello"): ['5:13  after "|" a new line begins. Write the text below it.'],
    body("[a, b"): ['5:11  this "[" is not finished. Close it, and put commas between its entries.'],
    GOOD + "schedule\n": ['6:1  a line without a colon. Write "key: value".'],
    GOOD + "- body: x\n": ["6:1  this does not fit what is above it. Check the indentation and the quotes."],
    GOOD + "...\nmore\n": ["7:1  this does not fit what is above it. Check the indentation."],
}


@pytest.mark.parametrize(("text", "expected"), YAML.items())
def test_yaml_that_trips_people_is_told_where_and_how_to_mend_it(text, expected):
    assert complaints(text) == [f"q.yaml:{words}" for words in expected]


UNREADABLE = {
    body("He\x00llo\x1b"): [
        "5:13  an unreadable character (U+0000). Delete it.",
        "5:17  an unreadable character (U+001B). Delete it.",
    ],
    body("a\ud800"): ["5:12  an unreadable character (U+D800). Delete it."],
    body("a\u2028b"): ["5:12  an unreadable character (U+2028). Delete it."],
    body("a\ufffdb"): ["5:12  an unreadable character (U+FFFD). Delete it."],
    body("a\ufeffb"): ["5:12  an unreadable character (U+FEFF). Delete it."],
    body(r'"a\0"'): ["5:11  an unreadable character (U+0000). Delete it."],
    body(r'"a\ud800"'): ["5:11  an unreadable character (U+D800). Delete it."],
    body(r'"a\L"'): ["5:11  an unreadable character (U+2028). Delete it."],
    body("Hello").encode() + "# caf\u00e9".encode("latin-1"): [
        "6:6  this is not UTF-8. Save the file as UTF-8."
    ],
    b"\xef\xbb\xbf" + GOOD.encode() + b"# \xed\xa0\x80": ["6:3  this is not UTF-8. Save the file as UTF-8."],
    GOOD.encode("utf-16"): ["1:1  this is not UTF-8. Save the file as UTF-8."],
}


@pytest.mark.parametrize(("text", "expected"), UNREADABLE.items())
def test_what_no_mail_can_carry_is_shown_where_it_stands(text, expected):
    assert complaints(text) == [f"q.yaml:{words}" for words in expected]


GAPS = {
    "subject: {{ company }}": '4:14  {} "{{{{ company }}}}".',
    "subject: {{ company }}: hello  # why": '4:14  {} "{{{{ company }}}}: hello".',
    'subject: {{ company }} "and" more': "4:14  {} '{{{{ company }}}} \"and\" more'.",
    "subject: {% if a %}b{% endif %}": '4:14  {} "{{% if a %}}b{{% endif %}}".',
}


@pytest.mark.parametrize(("line", "expected"), GAPS.items())
def test_a_gap_without_quotes_is_told_and_the_rest_is_read_on(line, expected):
    text = GOOD.replace("subject: Hi", line) + "  - after: soon\n    body: x\n"

    words = expected.format("text that begins with a gap needs quotes. Put quotes around it:")
    assert complaints(text) == [
        f"q.yaml:{words}",
        'q.yaml:6:5  step 2, after: "soon" is no duration. Write 45s, 30m, 4h, 3d, 2w or 3bd.',
    ]


def test_a_gap_without_quotes_in_braces_ends_where_it_ends():
    assert complaints(GOOD + "defaults: { a: {{ b }}, c: [d] }\n") == [
        'q.yaml:6:16  text that begins with a gap needs quotes. Put quotes around it: "{{ b }}".',
        "q.yaml:6:25  defaults.c should be text.",
    ]


TEMPLATES = {
    body("|\n      Hi\n\n      {{ a b }}\n"): (
        "8:7  step 1, body does not parse: a name has no blanks in it. Write a_b."
    ),
    body("|  # note\n      Hi\n      {{ a | nothing }}\n"): ("7:7  step 1, body does not parse: "),
    body("|\n      {% if a %}\n"): "6:7  step 1, body does not parse: an {% if %} has no {% endif %}.",
    body("'Hi {{ a'"): '5:11  step 1, body does not parse: what begins with "{{" ends with',
    body(">\n      Hi\n      {% wrong %}\n"): ("5:11  step 1, body does not parse: there is no {% wrong %}."),
    GOOD.replace("Hi", "Hi {{"): '4:14  step 1, subject does not parse: what begins with "{{" ends with',
    body("'{{ " + "(" * 5000 + " }}'"): "5:11  step 1, body does not parse: ",
    body("'{{ a" + "|upper" * 9000 + " }}'"): "5:11  step 1, body does not parse: ",
    body("'{{ " + "1" * 5000 + " }}'"): "5:11  step 1, body does not parse: it is too tangled.",
}


@pytest.mark.parametrize(("text", "expected"), TEMPLATES.items())
def test_a_template_that_does_not_parse_is_shown_by_its_line_in_the_file(text, expected):
    (only,) = complaints(text)
    assert only.startswith(f"q.yaml:{expected}")


LISTS = "requires: [company]\ndefaults: { first_name: there }\n"
NOWHERE = "is known from nowhere: not in requires or defaults."


def test_a_name_that_nobody_provides_is_told_with_the_nearest_that_somebody_does():
    text = LISTS + body(
        "|\n      Hi {{ frist_name }}, {{ title }},\n"
        "      {{ company }} {{compny|upper}} {{ email }} {{ timezone }} {{ emial }}\n"
    )
    assert complaints(text) == [
        f'q.yaml:8:10  {{{{ frist_name }}}} {NOWHERE} Did you mean "first_name"?',
        f"q.yaml:8:28  {{{{ title }}}} {NOWHERE} Put it into requires.",
        f'q.yaml:9:21  {{{{ compny }}}} {NOWHERE} Did you mean "company"?',
        f'q.yaml:9:65  {{{{ emial }}}} {NOWHERE} Did you mean "email"?',
    ]


def test_without_a_list_of_names_every_name_may_be_a_column():
    assert parse(body("'{{ emial }}'"), "q.yaml")


@pytest.mark.parametrize(
    "words",
    [
        "'{{ load_time | default(9) }}'",
        "'{{ email }} {{ timezone }} {{ country }} {{ sequence }} {{ step.id }}'",
        "'{{ company }} {{ first_name }}'",
    ],
)
def test_who_can_do_without_a_name_or_has_it_from_us_may_use_it(words):
    assert parse(LISTS + body(words), "q.yaml")


def test_the_owner_is_known_where_there_is_one():
    text = LISTS + body("'{{ owner }}'")

    assert complaints(text) == [f'q.yaml:7:12  {{{{ owner }}}} {NOWHERE} Write "owner: …" above the steps.']
    assert parse("owner: kim@acme.example\n" + text, "q.yaml")


CONDITIONS = {
    '  - if: industry == "saas"\n    body: x\n': [],
    '  - if: industry == "saas"\n    body: "{{ industry }}"\n': [],
    "  - if: headcount | int > 9\n    task: x\n  - body: All {{ headcount }}\n": [
        f"q.yaml:10:15  {{{{ headcount }}}} {NOWHERE} Put it into requires."
    ],
    "  - choose:\n      - if: stage\n        then: [{ body: '{{ stage }}' }]\n": [],
    "  - choose:\n      - if: stage\n        then:\n          - choose:\n              - if: compny\n"
    "                then: [{ body: '{{ stage }}' }]\n": [
        f'q.yaml:12:21  compny {NOWHERE} Did you mean "company"?'
    ],
}


@pytest.mark.parametrize(("steps", "expected"), CONDITIONS.items())
def test_a_condition_may_ask_for_any_column_and_what_it_asked_for_may_be_said_below_it(steps, expected):
    text = LISTS + GOOD + steps

    if expected:
        assert complaints(text) == expected
    else:
        assert parse(text, "q.yaml")


def test_a_list_that_is_no_list_makes_nobody_unknown():
    text = "requires: company\ndefaults: { first_name: there }\n" + body("'{{ company }}'")

    assert complaints(text) == ["q.yaml:1:1  requires should be a list. Write [company]."]


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{two}: &{two} [*{one}, *{one}]\n" for one, two in zip("abc", "bcd", strict=True)
)
BOMBS = {
    "laughs": (LAUGHS, '1:4  "&a" is an anchor.'),
    "merges": ("a: &a {x: y}\nb:\n  <<: [*a, *a]\n", '1:4  "&a" is an anchor.'),
    "brackets": ("[" * 900, "1:21  nested more than 20 deep."),
    "many brackets": ("[" * 100_000, "1:21  nested more than 20 deep."),
    "braces": ("{a: " * 50_000, "1:81  nested more than 20 deep."),
    "dashes": ("- " * 100_000, "1:41  nested more than 20 deep."),
    "question marks": ("? " * 100_000, "1:41  nested more than 20 deep."),
    "steps down": ("".join(" " * n + f"k{n}:\n" for n in range(900)), "21:21  nested more than 20 deep."),
    "keys": (
        "".join(f"k{n}: v\n" for n in range(90_000)),
        "5000:8  too much for one sequence: over 10,000 entries.",
    ),
    "gaps": (GOOD + "  - {{ x }}\n" * 50_000, "6:5  text that begins with a gap needs quotes."),
    "directives": ("%A b\n" * 200_000, '1:1  a line that begins with "%" is for YAML tools.'),
    "zeros": ("\0" * 1_000_000, "1:1  an unreadable character (U+0000)."),
    "choices": (GOOD + "  - choose: " + "[{ else: [{ choose: " * 9_000, "6:94  nested more than 20 deep."),
    "strangers": (
        "approval: { steps: ["
        + ", ".join(f"stap-{n}" for n in range(4_900))
        + "] }\n"
        + HEAD
        + "steps:\n"
        + "".join(f"  - {{ id: step-{n}, body: x }}\n" for n in range(900)),
        '1:21  approval.steps 1: no step is called "stap-0". Did you mean "step-0"?',
    ),
    "empty steps": (HEAD + "steps:\n" + "  - {}\n" * 9_000, "3:1  steps has too many entries: 9000."),
    "a long wait": (STEP.format("after: " + "9" * 1_000_000), "6:5  step 1, after is too long."),
    "a long ramp": (
        GOOD + "limits: { ramp: '1/day " + " to " * 200_000 + "' }\n",
        "6:11  limits.ramp is too long.",
    ),
    "a long condition": (
        STEP.format("if: " + "(" * 900_000),
        "6:9  step 1, if does not parse: it is 900,000",
    ),
    "gaps in gaps": (body("'" + "{{ a }}" * 100_000 + "'"), "5:11  step 1, body does not parse: "),
    "one word": ("a: " + "x" * 1_000_000, '1:1  missing "from".'),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name):
    text, expected = BOMBS[name]
    started = time.process_time()

    assert any(told.startswith(f"q.yaml:{expected}") for told in complaints(text))
    assert time.process_time() - started < 3


def test_a_thousand_names_are_not_all_compared_with_each_other():
    listed = ", ".join(f"name_{n}" for n in range(2000))
    used = "".join(f"{{{{ nome_{n} }}}}" for n in range(2000))
    started = time.process_time()

    assert complaints(f"requires: [{listed}]\n" + body(f"'{used}'"))
    assert time.process_time() - started < 3


@pytest.mark.parametrize("text", ["#" * (1024 * 1024 + 1), b"#" * (1024 * 1024 + 1), "é" * (600 * 1024)])
def test_a_file_over_one_mebibyte_is_not_even_parsed(text):
    assert complaints(text) == ["q.yaml  is larger than 1 MiB. A sequence is a page or two."]


def test_a_complaint_is_one_line_of_readable_length():
    for only in complaints(GOOD + "zeit: " + "z" * 900 + "\n" + "q" * 600 + ": a\n"):
        assert "\n" not in only
        assert len(only) < 400


def test_a_value_that_is_too_long_is_cut_and_what_is_wrong_with_it_is_not():
    [only] = complaints(GOOD + f"{'a' * 1000}: x\n")

    assert only.startswith(f'q.yaml:6:1  unknown key "{"a" * 60}…". Known here: name, from')


def test_a_file_full_of_nothing_is_told_once():
    for data in (GOOD.encode("utf-16-le"), GOOD.encode("utf-16-be"), b"\0" * 1000):
        assert complaints(data) == ["q.yaml:1:1  this is not UTF-8. Save the file as UTF-8."]


def test_who_is_not_stopped_by_a_reply_may_wait_for_one():
    assert parse(GOOD + "  - { wait_for: reply, up_to: 3d }\nstop: { reply: never }\n", "q.yaml")


BREAKS = {
    "a colon": lambda key, value: f"{key}: {value} : x: y",
    "no colon": lambda key, value: f"{key} {value}",
    "no blank": lambda key, value: f"{key}:{value}",
    "a no-break space": lambda key, value: f"{key}:\N{NO-BREAK SPACE}{value}",
    "a sign": lambda key, value: f"{key}: @{value}",
    "a quote": lambda key, value: f'{key}: "{value}',
    "a single quote": lambda key, value: f"{key}: '{value}",
    "a bracket": lambda key, value: f"{key}: [{value}",
    "a tab": lambda key, value: f"\t{key}: {value}",
    "no indentation": lambda key, value: f"{key.strip()}: {value}",
}
BROKEN = """\
name: A
from: sam@acme.example
requires: [company]
stop:
  reply: person
steps:
  - subject: Hi
    body: Hello {{ company }}
  - id: second
    after: 3d
    body: x
  - body: Bye
    after: soon
tests:
  - name: x
    start: 2026-01-01
    recipient: { email: ida@nordic.example }
    expect: { sent: [second] }
"""


@pytest.mark.parametrize("name", BREAKS)
def test_where_yaml_breaks_off_what_is_below_is_read_and_nothing_wrong_is_said(name):
    lines = BROKEN.splitlines()
    soon = 'after: "soon" is no duration. Write 45s, 30m, 4h, 3d, 2w or 3bd.'
    for number, line in enumerate(lines[:11]):
        key, _, value = line.partition(": ")
        if not value or (name == "no indentation" and not line.startswith("    ")):
            continue
        broken = BREAKS[name](key, value)
        told = complaints("\n".join([*lines[:number], broken, *lines[number + 1 :]]))
        assert len(told) <= 2, (broken, told)
        others = [each for each in told if not each.endswith(soon)]
        assert len(others) <= 1, (broken, told)
        assert all(abs(int(each.split(":")[1]) - number - 1) <= 1 for each in others), (broken, told)


def test_whatever_happens_to_a_file_it_is_read_or_explained():
    signs = [
        *"{}[]:,-?&*!|>'\"%@`#\n\t\r \\\0\x85\u2028\ufeff~<",
        "{{",
        "}}",
        "{% if ",
        "\n---\n",
        ": ",
        "- ",
        "<<: ",
    ]
    chance = random.Random(4711)
    originals = [
        QUICK.read_text("utf-8")
        + "requires: [company, first_name]\nschedule:\n  windows:\n    - mon 09:00-11:00\n",
        ADVANCED.read_text("utf-8")
        .replace("template: opener.md", "# template")
        .replace("variants: {", "variants: [{ subject: Hi, body: x }, { subject: Ho, body: y }] # {"),
    ]
    assert all(parse(original, "q.yaml") for original in originals)
    for number in range(400):
        text = originals[number % len(originals)]
        for _ in range(chance.choice([1, 1, 2, 5])):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice(signs) + text[at + chance.choice([0, 1, 3]) :]
        try:
            assert isinstance(parse(text, "q.yaml"), Sequence)
        except SequenceError as error:
            assert len(set(error.complaints)) == len(error.complaints) > 0  # noqa: PT017


def test_a_file_that_is_not_there_is_told_by_name(tmp_path):
    with pytest.raises(SequenceError) as caught:
        load(tmp_path / "no.yaml")
    assert caught.value.complaints == (
        f"{tmp_path / 'no.yaml'}  is not there. Check the name and the folder.",
    )


def test_only_a_regular_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for path, words in {
        tmp_path: "is a folder. Name a file.",
        tmp_path / "pipe.yaml": "is a pipe or a device. Name a file.",
        Path("/dev/zero"): "is a pipe or a device. Name a file.",
        tmp_path / "loop.yaml": "cannot be read: ",
        tmp_path / "a\0b.yaml": "cannot be read: embedded null byte.",
        QUICK / "x.yaml": "cannot be read: ",
    }.items():
        with pytest.raises(SequenceError) as caught:
            load(path)
        (only,) = caught.value.complaints
        assert words in only


@contextmanager
def _as_anybody() -> Iterator[None]:
    """Root reads everything; so be somebody else for a moment."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


def test_a_file_that_may_not_be_read_is_told(tmp_path):
    path = tmp_path / "shut.yaml"
    path.write_text(GOOD)
    path.chmod(0)
    with _as_anybody(), pytest.raises(SequenceError, match="may not be read"):
        load(path)


def test_a_large_file_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 31)  # two gibibytes of nothing
    with pytest.raises(SequenceError, match="larger than 1 MiB"):
        load(path)


def test_complaints_name_the_file_as_it_was_asked_for(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: A\n")
    with pytest.raises(SequenceError) as caught:
        load(path)
    assert caught.value.complaints[0] == f'{path}:1:1  missing "from".'
