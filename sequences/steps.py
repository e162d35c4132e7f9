"""What makes a list of steps a sequence: each is one thing, waits end, choices decide, and every thread begins with a subject."""

from collections.abc import Iterator

from engine.sequence import DEEPEST_CHOICE, KINDS, MOST_STEPS, belonging, strangers
from sequences.places import Found, Place, every_step, where
from sequences.tree import Node

_BRANCHES = ("then", "else")
_OF_VARIANTS = ("subject", "html")
#: Nobody ever hears of these: a picture that is loaded is no person who reads.
_OPENS = ("open", "opens", "opened", "email_opened", "email_open", "mail_opened", "message_opened", "read")
_REPLIES = ("reply", "replies", "replied", "answer", "answered", "email_replied", "reply_received")


def check_kinds(root: Node) -> None:
    """Before any file is opened: what the author wrote."""
    for step in every_step(root):
        keys = step.node.keys
        kinds = _kinds(keys)
        place = where(step.place, root)
        if not kinds and (step.node.told or step.node.lost):
            pass  # it had a key that nobody knows
        elif not kinds:
            step.node.complain(f"{place}: {_no_kind(keys)}")
        elif kinds == ["variants"] and isinstance(keys["variants"].value, dict):
            _refuse_names(keys["variants"], place)
        elif len(kinds) > 1:
            last = max((keys[kind] for kind in kinds), key=lambda node: node.at)
            last.complain(f"{place} is {' and '.join(kinds)} at once. One step is one thing")
            step.node.told = True
        else:
            _check_strangers(keys, kinds[0], place)
        if "wait_for" in keys:
            _check_event(keys["wait_for"], (*step.place, "wait_for"), root)
        if kinds == ["wait_for"] and "up_to" not in keys and not step.node.lost:
            step.node.complain(f"{place}: a wait needs an end. Write up_to: 3d", keys["wait_for"].at)


def _kinds(keys: dict[str, Node]) -> list[str]:
    kinds = [kind for kind in KINDS if kind in keys]
    if "template" in kinds and "variants" in kinds:
        kinds.remove("variants")
    return kinds or [kind for kind in ("html",) if kind in keys]


def _refuse_names(variants: Node, place: str) -> None:
    variants.complain(
        f"{place}, variants: names and weights stand beside a template. Write template: …, or a list"
    )
    variants.spoiled = True


def _no_kind(keys: dict[str, Node]) -> str:
    """If what is there can only belong to one kind of step, that is the one that was meant."""
    meant = [kind for kind in KINDS if set(keys) <= belonging([kind])]
    meant = ["body"] if "subject" in keys and "body" in meant else meant
    if len(meant) == 1:
        return f'missing "{meant[0]}"'
    return f"it says nothing. Write one of {', '.join(KINDS)}"


def _check_strangers(keys: dict[str, Node], kind: str, place: str) -> None:
    templated = kind == "template" and "variants" in keys
    for key in strangers(keys, kind):
        if templated and key in ("variants", "winner"):
            continue
        words = f'{place}: "{key}" does not belong to a step with "{kind}"'
        if kind == "variants" and key in _OF_VARIANTS:
            words += ". Write it into each variant"
        if kind == "template" and key == "subject":
            words += '. Write it into the file, between two lines of "---"'
        keys[key].complain(words)


def _check_event(event: Node, place: Place, root: Node) -> None:
    """What never comes is not waited for."""
    if event.text in _OPENS:
        event.complain(
            f'{where(place, root)}: opens are not counted. Wait for a click, like clicked("report")'
        )
    elif event.text in _REPLIES and _stops_at_replies(root):
        words = "a reply stops the sequence, so this never comes. What follows a reply stands in on_reply"
        event.complain(f"{where(place, root)}: {words}")


def _stops_at_replies(root: Node) -> bool:
    if root.lost or ("stop" in root.keys and root.keys["stop"].troubled):
        return False
    stop = root.keys.get("stop")
    return stop is None or "reply" not in stop.keys or stop.keys["reply"].text != "never"


def check_steps(root: Node) -> None:
    """After the words of templates are in their places."""
    steps = list(every_step(root))
    _check_number(steps, root)
    _check_ids(steps, root)
    for step in steps:
        if "choose" in step.node.keys:
            _check_choose(step, root)
        if "variants" in step.node.keys:
            _check_variants(step.node.keys["variants"], (*step.place, "variants"), root)
    if "steps" in root.keys and not root.lost:
        _check_first(root.keys["steps"], ("steps",), root, unsaid=True)


def _check_number(steps: list[Found], root: Node) -> None:
    if len(steps) > MOST_STEPS:
        root.keys["steps"].complain(f"steps has too many entries: {len(steps)}. {MOST_STEPS} are the most")


def _check_ids(steps: list[Found], root: Node) -> None:
    seen: set[str] = set()
    places: set[str] = set()
    for step in steps:
        given = step.node.keys.get("id")
        if (given and not given.text) or (not given and step.id in places):
            continue  # two that are called after one place: "then" and "else" in one choice, told already
        if not given:
            places.add(step.id)
        if step.id in seen:
            place = where((*step.place, "id"), root).removesuffix(", id")
            words = f'{place}: two steps are called "{step.id}". Give this one another id'
            step.node.complain(words, given.at if given else step.node.start)
        seen.add(step.id)


# --- choices ---


def _check_choose(step: Found, root: Node) -> None:
    choose, place = step.node.keys["choose"], (*step.place, "choose")
    if step.choices == DEEPEST_CHOICE:
        choose.complain(f"{where(place, root)} is more than {DEEPEST_CHOICE} deep. Write another sequence")
    for number, choice in enumerate(choose.entries):
        if isinstance(choice.value, dict) and not choice.spoiled and (words := _no_choice(choice.value)):
            choice.complain(f"{where((*place, number), root)}: {words}")
    last_ones = [choice for choice in choose.entries if "else" in choice.keys]
    for again in last_ones[1:]:
        again.complain(f'{where(place, root)} has "else" twice. Keep the last')
    if len(last_ones) == 1 and last_ones[0] is not choose.entries[-1]:
        last_ones[0].complain(f'{where(place, root)}: "else" comes last. Move it below the others')


def _no_choice(keys: dict[str, Node]) -> str | None:
    match ("if" in keys, "then" in keys, "else" in keys):
        case (True, True, False) | (False, False, True):
            return None
        case (True, False, False):
            return 'missing "then"'
        case (False, True, False):
            return 'missing "if"'
    return 'it decides nothing. Write "if" and "then", or a last "else" alone'


# --- variants ---


def _check_variants(variants: Node, place: Place, root: Node) -> None:
    if variants.entries and all(way.text for way in variants.entries):
        words = 'should be lines like "- body: …". Files stand beside a template, like { a: 50, b: 50 }'
        variants.complain(f"{where(place, root)} {words}")
        variants.spoiled = True
    ways = [(number, way) for number, way in enumerate(variants.entries) if isinstance(way.value, dict)]
    for number, way in ways:
        if not {"body", "html"} & set(way.value or ()):
            way.complain(f'{where((*place, number), root)}: missing "body"')
    weights = [way.keys["weight"].text if "weight" in way.keys else "1" for _, way in ways]
    if ways and all(set((weight or "").strip()) == {"0"} for weight in weights):
        variants.complain(f"{where(place, root)}: one of them needs a weight above 0")
    _check_names(ways, place, root)
    without = [(number, way) for number, way in ways if "subject" not in way.keys]
    if without and len(without) < len(ways):
        number, way = without[0]
        words = "has no subject, and others have one. Then chance would decide about the thread"
        way.complain(f"{where((*place, number), root)} {words}")


def _check_names(ways: list[tuple[int, Node]], place: Place, root: Node) -> None:
    seen: set[str] = set()
    for number, way in ways:
        given = way.keys.get("id")
        name = given.text if given else _letter(number)
        if name and name in seen:
            here = where((*place, number, "id"), root).removesuffix(", id")
            way.complain(f'{here}: two variants are called "{name}"', given.at if given else way.start)
        seen.add(name or "")


def _letter(number: int) -> str:
    return chr(ord("a") + number)


# --- subjects ---


def _check_first(steps: Node, place: Place, root: Node, *, unsaid: bool) -> bool:
    """Whoever has had no mail yet, on whatever way, needs one with a subject. True: there is a way on which none was sent."""
    for number, step in enumerate(steps.entries):
        keys = step.keys
        if step.spoiled:
            unsaid = False  # nobody knows what it was
        if not keys:
            continue
        here = (*place, number)
        if "choose" in keys:
            after = _any_way(list(_choices(keys["choose"], (*here, "choose"))), root, unsaid)
        elif "wait_for" in keys:
            ways = [(keys.get(key), (*here, key)) for key in _BRANCHES]
            after = _any_way(ways, root, unsaid)
        elif "task" in keys or "webhook" in keys:
            after = unsaid
        else:
            if unsaid:
                _check_subject(step, here, root)
            after = False
        unsaid = after or (unsaid and "if" in keys)
    return unsaid


def _choices(choose: Node, place: Place) -> Iterator[tuple[Node | None, Place]]:
    for number, choice in enumerate(choose.entries):
        for key in _BRANCHES:
            if key in choice.keys:
                yield choice.keys[key], (*place, number, key)
    if not any("else" in choice.keys for choice in choose.entries):
        yield None, place


def _any_way(ways: list[tuple[Node | None, Place]], root: Node, unsaid: bool) -> bool:
    """All of them are looked at: `any` would stop at the first."""
    ends = [_check_first(steps, place, root, unsaid=unsaid) if steps else unsaid for steps, place in ways]
    return any(ends)


def _check_subject(step: Node, place: Place, root: Node) -> None:
    keys = step.keys
    ways = [way.keys for way in keys["variants"].entries if way.keys] if "variants" in keys else [keys]
    if (
        not ways
        or "subject" in keys
        or any("subject" in way for way in ways)
        or "template" in keys
        or not _kinds(keys)
    ):
        return
    words = "it starts the thread" if place == ("steps", 0) else "it may be the first that somebody gets"
    pages = [way["body"].page for way in ways if "body" in way and way["body"].page is not root.page]
    hint = f'. Write it into {pages[0].name}, between two lines of "---"' if pages else ""
    step.complain(f"{where(place, root)} needs a subject: {words}{hint}", step.start)
