"""How what lies ahead is shown to people: tests with their marks, letters one below the other, days with their bars."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from relent import show
from relent.foretell import Admitted, Chore, Mail
from relent.show import say
from relent.simulation import Group, Simulation, Span, spans
from relent.trials import TriedFile

_SHORTEST_BAR, _LONGEST_BAR = 8, 24
_MOST_NAMES = 3
_MOST_GROUPS = 20  #: reasons

_KINDS = {
    "held": "held until somebody sees to it",
    "skipped": "left out by the sequence's own rules",
    "refused": "refused",
}


def clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %d %b %Y %H:%M} {zone.key}"


# --- tests


def tried(file: TriedFile) -> None:
    """A line a test, and below it what went otherwise."""
    say(f"{file.path}: {_in_a_word(file)}")
    passed, failed = ("✓", "✗") if _can_say("✓✗") else ("passed", "FAILED")
    for test in file.tests:
        if test.failures:
            say(f"  {failed} {test.name}", style="red")
            for words in test.failures:
                say(f"      {words}")
        else:
            say(f"  {passed} {test.name}")


def _in_a_word(file: TriedFile) -> str:
    if file.complaints:
        return "cannot be read"
    return file.sequence if file.tests else f"{file.sequence} has no tests"


def tried_in_all(files: list[TriedFile]) -> None:
    failed = sum(file.failed for file in files)
    passed = sum(len(file.tests) for file in files) - failed
    untested = sum(not file.tests and not file.complaints for file in files)
    wrong = sum(bool(file.complaints) for file in files)
    parts = [f"{passed} passed"]
    parts += [f"{failed} failed"] if failed else []
    parts += [_many(wrong, "file is wrong", "files are wrong")] if wrong else []
    parts += [_many(untested, "file has no tests", "files have no tests")] if untested else []
    say("\n" + ", ".join(parts), style="red" if failed or wrong else "")


def _can_say(signs: str) -> bool:
    try:
        signs.encode(show.console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _many(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


# --- preview


def told(everything: Iterable[Mail | Chore]) -> None:
    """One below the other, the earliest first."""
    mails, people, last = 0, set(), None
    for one in everything:
        if isinstance(one, Chore):
            _show_chore(one)
            continue
        _show_mail(one)
        mails, last = mails + 1, one
        people.add(one.email)
    show.console.print(Rule(style="dim"))
    if last is None:
        say("no mail would leave")
    else:
        say(
            f"{_many(mails, 'mail', 'mails')} to {_many(len(people), 'person', 'people')},"
            f" the last on {clock(last.letter.send_at, last.zone)}, if nobody answers"
        )


def _show_mail(mail: Mail) -> None:
    letter = mail.letter
    show.console.print(Rule(style="dim"))
    say(f"{mail.number} · {letter.step} · {clock(letter.send_at, mail.zone)} — {letter.reason}", style="bold")
    facts = [
        ("To", mail.email),
        ("From", mail.inbox_id),
        ("Cc", ", ".join(letter.cc)),
        ("Bcc", ", ".join(letter.bcc)),
    ]
    facts += [
        ("Variant", letter.variant or ""),
        ("Files", ", ".join(letter.attachments)),
        ("Subject", mail.subject),
    ]
    for name, value in facts:
        if value:
            say(f"{name + ':':<9}{value}")
    if letter.held:
        say("waits for a human's yes; the hour is the earliest")
    say(f"\n{letter.text}")


def _show_chore(chore: Chore) -> None:
    errand, says = chore.errand, chore.errand.says
    show.console.print(Rule(style="dim"))
    what = says.get("task") or says.get("url") or ""
    more = [f"for {says['assign']}"] if says.get("assign") else []
    more += [f"due {clock(errand.due, chore.zone)}"] if errand.due else []
    say(f"{errand.kind} · {errand.step} · {clock(errand.at, chore.zone)} — {what}", style="bold")
    say(f"{'About:':<9}{chore.email}{''.join(f', {words}' for words in more)}\n")


def aside(people: list[Admitted]) -> None:
    """Who is not written to, and why: the reasons, and the first names."""
    reasons: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for one in people:
        where = f" (line {one.line})" if one.line else ""
        reasons[one.kind, one.reason].append(f"{one.email or 'no address'}{where}")
    for (kind, reason), names in reasons.items():
        more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        say(f"{kind}: {', '.join(names[:_MOST_NAMES])}{more}: {reason}")


def aside_one_by_one(people: list[Admitted]) -> None:
    """Beside what a program reads, a line a person."""
    for one in people:
        where = f" (line {one.line})" if one.line else ""
        say(f"{one.kind}: {one.email or 'no address'}{where}: {one.reason}", on=show.complaints)


# --- simulation


def simulated(found: Simulation) -> None:
    zone = ZoneInfo(found.zone)
    say(f"{found.sequence}, from {clock(found.start, zone)}", style="bold")
    say(f"assumed: {_assumptions(found)}\n")
    _show_days(found)
    _show_people(found)
    _show_end(found, zone)


def _assumptions(found: Simulation) -> str:
    shares = found.chances.replies, found.chances.ooo, found.chances.bounces
    answer, away, bounce = (f"{100 * share:g}%" for share in shares)
    return f"{answer} answer, {away} are away, {bounce} bounce (seed {found.chances.seed})"


def _show_days(found: Simulation) -> None:
    rows = spans(found)
    if not rows:
        say("no letter would leave")
        return
    unit = "week" if rows[0].first_day != rows[0].last_day else "day"
    heads, cells = (
        [unit, *found.inboxes],
        [[row.label, *map(_cell, map(row.of, found.inboxes))] for row in rows],
    )
    one_by_one = _room_for_bars(heads, cells) >= _SHORTEST_BAR
    if not one_by_one:
        heads, cells = [unit, "first", "follow-ups", "used"], [[row.label, *_totals(row)] for row in rows]
    _show_table(heads, cells, rows)
    first, follow_up = _signs()
    says = f"first letters + follow-ups, share of the cap; {first} first, {follow_up} follow-ups"
    many = f"; {len(found.inboxes):,} mailboxes, used: of the fullest" if len(found.inboxes) > 1 else ""
    mailboxes = "" if one_by_one else many
    say(f"{says}{mailboxes}\n", style="dim")


def _show_table(heads: list[str], cells: list[list[str]], rows: list[Span]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(Text(head), justify="right" if number else "left", no_wrap=True)
    table.add_column("", no_wrap=True)
    longest = max(min(_room_for_bars(heads, cells), _LONGEST_BAR), _SHORTEST_BAR)
    most = max(row.letters for row in rows)
    for row, line in zip(rows, cells, strict=True):
        table.add_row(*map(Text, line), _bar(row, most, longest))
    show.console.print(table)


def _room_for_bars(heads: list[str], cells: list[list[str]]) -> int:
    """What is left of a line, with two spaces behind each column."""
    return show.console.width - sum(max(map(len, column)) + 2 for column in zip(heads, *cells, strict=True))


def _cell(span: Span) -> str:
    return f"{span.first} + {span.follow_ups}{_percent(span.used):>6}" if span.letters else ""


def _totals(span: Span) -> Iterator[str]:
    inboxes = {day.inbox for day in span.days}
    fullest = max((span.of(inbox).used for inbox in inboxes), default=0.0)
    yield from (f"{span.first:,}", f"{span.follow_ups:,}", _percent(fullest).strip())


def _percent(used: float) -> str:
    return f" {used:.0%}"


def _bar(span: Span, most: int, longest: int) -> Text:
    first, follow_up = _signs()
    length = max(round(longest * span.letters / most), 1)
    firsts = round(length * span.first / span.letters)
    return Text(first * firsts + follow_up * (length - firsts))


def _signs() -> tuple[str, str]:
    return ("█", "▒") if _can_say("█▒") else ("#", "-")


_COUNTED = {
    "written_to": "were written to",
    "replied": "answered",
    "stopped_with_a_colleague": "stopped with a colleague",
    "bounced": "bounced",
    "away": "were away for a while",
    "finished": "heard everything and never answered",
    "paused": "paused on the way",
    "still_going": "still to hear something",
}


def _show_people(found: Simulation) -> None:
    people = found.people
    say(f"{people['listed']:>8,}  in the list, {people['begun']:,} begin")
    for kind, words in _KINDS.items():
        if people[kind]:
            say(f"{people[kind]:>8,}  {words}")
            _show_groups([group for group in found.groups if group.kind == kind])
    for name, words in _COUNTED.items():
        if people[name]:
            say(f"{people[name]:>8,}  {words}")
    for kind, counted in (("task", found.tasks), ("webhook", found.webhooks)):
        for step, number in counted.items():
            say(f"{number:>8,}  {kind} {step}")


def _show_groups(groups: list[Group]) -> None:
    for group in groups[:_MOST_GROUPS]:
        more = (
            f" and {group.people - len(group.examples):,} more" if group.people > len(group.examples) else ""
        )
        say(f"            {', '.join(group.examples)}{more}: {group.reason}")
    if len(groups) > _MOST_GROUPS:
        rest = sum(group.people for group in groups[_MOST_GROUPS:])
        say(f"            and {rest:,} for {len(groups) - _MOST_GROUPS:,} other reasons")


def _show_end(found: Simulation, zone: ZoneInfo) -> None:
    say("")
    for rule, number in found.waited.items():
        say(f"{number:>8,}  {'letter' if number == 1 else 'letters'} left later because of {rule}")
    if found.full:
        days = {day.day for day in found.full}
        say(f"{len(days):>8,}  {'day' if len(days) == 1 else 'days'} with a full cap: {_first_few(found)}")
    for note in found.notes:
        say(note, style="yellow")
    if found.last:
        say(
            f"the last letter leaves on {clock(found.last, zone)}"
            if found.over
            else f"not over on {clock(found.until, zone)}"
        )
    if not found.over and found.booked_until:
        say(f"what is planned already reaches until {clock(found.booked_until, zone)}; more comes after it")


def _first_few(found: Simulation) -> str:
    days = sorted({day.day for day in found.full})
    more = f" and {len(days) - _MOST_NAMES:,} more" if len(days) > _MOST_NAMES else ""
    return ", ".join(f"{day:%a %d %b}" for day in days[:_MOST_NAMES]) + more
