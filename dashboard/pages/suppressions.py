"""Suppressions: who is never written to again."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import cast
from urllib.parse import urlencode

from dashboard.frame import Answer, Asked, Door, Raw, Shown, Went, reading
from dashboard.marks import mark_of, word_of
from dashboard.show import plural, when
from engine.addresses import contact
from engine.brake import Receipt, suppress
from engine.errors import Invalid, Issue, Refused
from engine.store import Ledger
from engine.store.inbound import Suppressed
from engine.store.pages import Mark, Slice

_AT_ONCE = 100
_LONGEST = 320
_LONGEST_REASON = 500
#: A table program takes what begins so for a formula, and does what it says. CWE-1236
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def everybody(asked: Asked) -> Answer:
    return _shown(asked, {})


def _shown(asked: Asked, filled: dict[str, str], *, status: int = 200) -> Answer:
    wanted = contact(asked.query.get("q", "")[:_LONGEST]).removeprefix("@")
    after = cast("Mark | None", mark_of(asked.query.get("after", ""), str, str))
    with reading(asked) as ledger:
        page = ledger.inbound.suppressions(
            Slice(limit=_AT_ONCE, after=after, ascending=True), beginning=wanted
        )
        by_domain = _by_domain(wanted, ledger)
    here = "/suppressions" + (f"?{urlencode({'q': wanted})}" if wanted else "")
    more = f"{here}{'&' if wanted else '?'}after={word_of(page.next)}" if page.next else None
    context = {
        "rows": page.items,
        "wanted": wanted,
        "by_domain": by_domain,
        "next": more,
        "first": here if after else None,
        "filled": {"whom": "", "why": "", "error": "", **filled},
    }
    return Shown("suppressions.html", context, status)


def _by_domain(wanted: str, ledger: Ledger) -> str | None:
    """Why a whole address that was asked for is not written to, when it is because of its domain."""
    if "@" not in wanted:
        return None
    return ledger.inbound.suppressed_among([wanted]).get(wanted)


def add(asked: Asked) -> Answer:
    office = asked.office
    whom, why = asked.said("whom").strip(), " ".join(asked.said("why").split())
    try:
        if not why or len(why) > _LONGEST_REASON or len(whom) > _LONGEST:
            raise Invalid(
                Issue(("reason",), f"say why, in at most {_LONGEST_REASON} letters: somebody will ask")
            )
        receipt = suppress(whom, why=why, by=asked.member.email, store=office.store, clock=office.clock)
    except Refused as error:
        return _shown(asked, {"whom": whom, "why": why, "error": str(error)}, status=422)
    return Went("/suppressions", _in_words(whom, receipt, asked.zone), "bad" if receipt.left else "good")


def _in_words(whom: str, receipt: Receipt, zone: str) -> str:
    words = (
        f"{whom} is never written to again, since {when(receipt.held_at, zone)}. "
        f"{plural(receipt.people, 'person', 'people')} stopped, {plural(receipt.drafts, 'letter')} cancelled; "
        f"already gone: {receipt.already_leaving:,}."
    )
    if receipt.left:
        words += f" {plural(receipt.left, 'letter')} had passed the gate, and may still leave: look at Today."
    return words


# --- for other programs ---


def as_csv(asked: Asked) -> Answer:
    with reading(asked) as ledger:
        content = table(ledger.inbound.every_suppression())
    headers = {"content-disposition": 'attachment; filename="suppressions.csv"'}
    return Raw(content, "text/csv; charset=utf-8", headers)


def table(rows: Iterable[Suppressed]) -> bytes:
    """RFC 4180, everything in quotes; and nothing in it that a table program would do."""
    page = StringIO(newline="")
    writer = csv.writer(page, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(("address", "reason", "since"))
    for row in rows:
        writer.writerow((cell(row.address), cell(row.reason), f"{row.since:%Y-%m-%dT%H:%M:%SZ}"))
    return page.getvalue().encode()


def cell(text: str) -> str:
    """As words, whatever it looks like."""
    return f"'{text}" if text.startswith(_FORMULA) else text


DOORS = (
    Door("GET", "/suppressions", everybody, name="suppressions"),
    Door("GET", "/suppressions.csv", as_csv, name="suppressions.csv"),
    Door("POST", "/suppressions", add, name="suppressions.add", role="reviewer"),
)
