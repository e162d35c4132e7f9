"""What an editor is told of the language is what the loader means by it."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sequences.loader import parse
from sequences.schema import render_schema, schema

SHIPPED = Path(__file__).parents[2] / "sequences"
SHARED = Path(__file__).parents[1] / "fixtures" / "sequences"
EXAMPLES = sorted([*SHIPPED.glob("*.yaml"), *SHARED.glob("*.yaml")])


class Core(yaml.SafeLoader):
    """YAML 1.2's core schema: what an editor makes of a file. Dates and clock times are texts."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _tag, _pattern in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
}.items():
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), None)


def read(text: str) -> Any:
    return yaml.load(text, Core)


def mistakes(document: Any) -> list[str]:
    found = jsonschema.Draft202012Validator(schema()).iter_errors(document)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_what_ships_is_what_is_generated():
    shipped = (SHIPPED / "sequence.schema.json").read_text("utf-8")

    assert shipped == render_schema(), "run `make docs`"
    assert json.loads(shipped) == schema()


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.name for file in EXAMPLES])
def test_every_example_is_as_the_schema_says(file):
    assert mistakes(read(file.read_text("utf-8"))) == []


def test_every_key_is_explained():
    parts = {"the top": schema()} | schema()["$defs"]
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, about in part["properties"].items()
        if not about.get("description")
    ]
    assert silent == []
    assert all(part.get("description") for part in parts.values())


GOOD = """\
name: A
from: sam@acme.example
steps:
  - id: hello
    subject: Hi
    body: Hello
"""

FINE = {
    "numbers where there are numbers": "enroll: { exclusive: true, per_company: 2 }\npause_if: { min_sent: 9 }\n",
    "numbers in what is known of people": "defaults: { headcount: 80, customer: false }\n",
    "a word for the approval": "approval: all\n",
    "rules for the approval": "approval: { steps: [hello], by: [kim@acme.example], expires: 2bd }\n",
    "one country": "schedule: { holidays: NO, skip: 2026-12-24 }\n",
    "blanks between dates": "schedule: { skip: 2026-12-24 .. 2027-01-02 }\n",
    "blanks around a measure": "enroll: { quiet_period: ' 3d' }\nlimits: { per_mailbox: ' 40 / day ' }\n",
    "names that are numbers or truths": "owner: 80\ndefaults: { vip: true }\n",
    "lines of windows": "schedule: { windows: [mon 09:00-10:00, fri 09:00-10:00] }\n",
}


@pytest.mark.parametrize("text", FINE.values(), ids=list(FINE))
def test_whatever_the_loader_takes_is_not_underlined(text):
    assert mistakes(read(GOOD + text)) == []
    assert parse(GOOD + text, "q.yaml")


STEPS_THAT_ARE_FINE = [
    "{ body: x }",
    "{ html: <p>x</p>, after: 3bd, if: stage == 'new' }",
    "{ template: a.md, variants: { a: 50, b: 50 }, winner: { by: reply, min_sent: 10, confidence: 95% } }",
    "{ variants: [{ weight: 50, body: x }, { id: b, body: y }], approve: true }",
    "{ body: 80, if: true, id: 1, after: ' 3d', subject: 2026 }",
    "{ task: Call, assign: kim, due: 1d, blocking: true }",
    "{ webhook: 'https://crm.example.com', with: { email: x, number: 5 } }",
    "{ wait_for: meeting_booked, up_to: 3d, then: [{ body: x }], else: [{ body: y }] }",
    "{ choose: [{ if: a, then: [{ body: x }] }, { else: [{ body: y }] }] }",
]


@pytest.mark.parametrize("step", STEPS_THAT_ARE_FINE)
def test_a_step_of_each_kind_is_not_underlined(step):
    assert mistakes(read(f"{GOOD}  - {step}\n")) == []


WRONG = {
    "stop_on: reply": "Additional properties are not allowed ('stop_on' was unexpected)",
    "schedule: { timezon: UTC }": "schedule: Additional properties",
    "approval: { by: [kim@acme.example] }": "approval: ",
    "limits: { per_mailbox: 40 }": "limits.per_mailbox: 40 is not of type 'string'",
    "limits: { per_mailbox: 40/minute }": "limits.per_mailbox: '40/minute' does not match",
    "pause_if: { bounce_rate: 5 }": "pause_if.bounce_rate: 5 is not of type 'string'",
    "pause_if: { min_sent: 0 }": "pause_if.min_sent: 0 is less than the minimum of 1",
    "enroll: { exclusive: yes }": "enroll.exclusive: 'yes' is not of type 'boolean'",
    "stop: { reply: always }": "stop.reply: 'always' is not one of",
    "on_reply: { Not Now: { label: x } }": "on_reply: 'Not Now' does not match",
    "tests: [{ name: x, recipient: { email: a@b.example }, expect: {} }]": "tests.0: 'start' is a required",
}


@pytest.mark.parametrize(("line", "expected"), WRONG.items())
def test_a_mistake_above_the_steps_is_underlined(line, expected):
    [only] = mistakes(read(f"{GOOD}{line}\n"))

    assert expected in only


WRONG_STEPS = {
    "{ boddy: x }": "Additional properties are not allowed ('boddy' was unexpected)",
    "{ body: x, after: 3 days }": "steps.1.after: '3 days' does not match",
    "{ body: x, id: Hello You }": "steps.1.id: 'Hello You' does not match",
    "{ wait_for: meeting_booked }": "steps.1: 'up_to' is a dependency of 'wait_for'",
    "{ body: x, due: 1d }": "steps.1: 'task' is a dependency of 'due'",
    "{ after: 1d }": "steps.1: ",
    "{ choose: [{ then: [{ body: x }] }] }": "steps.1.choose.0: ",
    "{ variants: [{ body: x }] }": "steps.1.variants: ",
    "{ body: x, cc: a@b.example }": "steps.1.cc: 'a@b.example' is not of type 'array'",
}


@pytest.mark.parametrize(("step", "expected"), WRONG_STEPS.items())
def test_a_mistake_in_a_step_is_underlined(step, expected):
    told = mistakes(read(f"{GOOD}  - {step}\n"))

    assert any(expected in line for line in told)


def test_what_the_schema_forbids_is_forbidden_deep_down_too():
    document = read((SHARED / "3-advanced.yaml").read_text("utf-8"))
    wrong = deepcopy(document)
    wrong["steps"][2]["choose"][1]["then"][0]["subjct"] = "Hi"

    assert mistakes(document) == []
    assert any("'subjct' was unexpected" in line for line in mistakes(wrong))
