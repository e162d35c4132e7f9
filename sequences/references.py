"""What a file says about its own steps, and about people made up for its tests, must be about something that is there."""

from collections.abc import Iterator
from itertools import islice

from engine.addresses import valid_address
from engine.errors import Refused
from engine.states import EnrollmentState, StopReason
from sequences.places import Place, every_step, where
from sequences.tree import Node

_LONGEST_ADDRESS = 1000
_MOST_NAMED = 40  #: steps, in advice: it is cut where it gets long
#: `held`: something is missing, nobody was written to; `skipped`: the sequence's own rules left them out.
_STATES = ("held", "skipped", *(state.value for state in (*EnrollmentState, *StopReason)))
#: Which steps each of these speaks of.
_EXPECTED = {
    "sent": ("mail",),
    "tasks": ("task",),
    "webhooks": ("webhook",),
    "not_before": ("mail", "task", "webhook"),
}


def check_references(root: Node) -> None:
    kinds = {step.id: step.kind for step in every_step(root)}
    if "steps" not in root.keys or root.lost or root.keys["steps"].gaps_in_it:
        kinds[""] = "mail"  # one that could not be read
    _check_approval(root, kinds)
    for number, test in enumerate(root.keys["tests"].entries if "tests" in root.keys else ()):
        place: Place = ("tests", number)
        _check_recipient(test, (*place, "recipient"), root)
        if "expect" in test.keys:
            _check_expectation(test.keys["expect"], (*place, "expect"), root, kinds)


def _check_approval(root: Node, kinds: dict[str, str]) -> None:
    approval = root.keys.get("approval")
    if approval is None or not isinstance(approval.value, dict):
        return
    steps = approval.keys.get("steps")
    if steps is None and approval.told:
        return  # it has a key that nobody knows
    if steps is None:
        approval.complain('approval: missing "steps". Write none, first, all or a list of ids')
    elif steps.text in kinds:
        steps.complain(f"approval.steps should be a list. Write [{steps.text}]")
    else:
        _check_ids(steps, ("approval", "steps"), root, kinds, ("mail",))


def _check_ids(node: Node, place: Place, root: Node, kinds: dict[str, str], wanted: tuple[str, ...]) -> None:
    for at, name, each in _names(node, place):
        if name in kinds and kinds[name] not in wanted:
            each.complain(f'{where(at, root)}: "{name}" is {_a(kinds[name])}, not {_a(wanted[0])}')
        elif name not in kinds and "" not in kinds:  # that one might be it
            near = each.nearest(name, kinds)
            advice = (
                f'Did you mean "{near}"?' if near else f"Known here: {', '.join(islice(kinds, _MOST_NAMED))}"
            )
            each.complain(f'{where(at, root)}: no step is called "{name}". {advice}')


def _names(node: Node, place: Place) -> Iterator[tuple[Place, str, Node]]:
    """In a list its entries, in a mapping its keys."""
    for number, each in enumerate(node.entries):
        if each.text:
            yield (*place, number), each.text, each
    for name, each in node.keys.items():
        yield place, name, each


def _a(kind: str) -> str:
    return {"wait_for": "a wait", "choose": "a choice"}.get(kind, f"a {kind}")


def _check_recipient(test: Node, place: Place, root: Node) -> None:
    recipient = test.keys.get("recipient")
    if recipient is None or not isinstance(recipient.value, dict):
        return
    email = recipient.keys.get("email")
    if email is None:
        recipient.complain(f'{where(place, root)}: missing "email". Write one that ends in .example')
    elif email.text and len(email.text) < _LONGEST_ADDRESS:
        try:
            valid_address(email.text)
        except Refused as error:
            email.complain(f"{where((*place, 'email'), root)}: {error}")
    elif email.text:
        email.complain(f"{where((*place, 'email'), root)} is too long")


def _check_expectation(expect: Node, place: Place, root: Node, kinds: dict[str, str]) -> None:
    if expect.value == {}:
        expect.complain(
            f"{where(place, root)} is empty. Write sent, state, tasks, webhooks, not_before or within"
        )
    for key, wanted in _EXPECTED.items():
        if key in expect.keys:
            _check_ids(expect.keys[key], (*place, key), root, kinds, wanted)
    state = expect.keys.get("state")
    if state and state.text and state.text not in _STATES:
        near = state.nearest(state.text, _STATES)
        advice = f'Did you mean "{near}"?' if near else f"Write one of {', '.join(_STATES)}"
        state.complain(f'{where((*place, "state"), root)}: "{state.text}" is no state. {advice}')
