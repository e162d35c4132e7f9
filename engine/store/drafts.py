"""The drafts' shelf: a verb each for what can become of a letter."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    Update,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    update,
)

from engine.addresses import contact, domain
from engine.consent import why_void
from engine.model import Attachment, Draft
from engine.states import (
    APPROVE,
    CANCEL,
    CLAIM,
    DISPROVE,
    DOUBT,
    DRAFT_ENDS,
    FOUND,
    GATE,
    GIVE_UP,
    GRAVE,
    HOLD,
    PUT_BACK,
    REDATE,
    RETRY,
    SETTLE,
    SUBMIT,
    WAKE,
    WITHDRAW,
    DraftState,
    HoldReason,
    Move,
)
from engine.store.drift import nobody_unheard
from engine.store.lists import Lists
from engine.store.moves import Desk, Noted, guarded, unless_there
from engine.store.prepared import Prepared
from engine.store.tables import (
    UtcDateTime,
    draft,
    enclosure,
    enrollment,
    inbox,
    list_entry,
    suppression,
    thread,
)
from engine.store.watch import nobody_brakes

#: Out of everybody's hands.
NOBODYS: dict[str, Any] = dict.fromkeys(
    ("claim_token", "claim_owner", "lease_until", "room_until", "gate_at")
)

#: Nobody's yes.
_NO_YES: dict[str, Any] = dict.fromkeys(
    ("approved_sha", "approved_by", "approved_head", "approved_name", "approved_until", "hour_by")
)

#: How long after its hour a letter may still leave by a human's yes: then it says something else than was meant.
GOOD_FOR = timedelta(days=7)
#: By how much at most an absence puts that off.
_LONGEST_REST = timedelta(days=30)

_SOME = 1_000

_FIELDS = [draft.c[name] for name in Draft.__dataclass_fields__]


def _is(state: DraftState) -> ColumnElement[bool]:
    """A literal, not a parameter: only so are SQLite and PostgreSQL certain of the partial index."""
    return draft.c.state == literal_column(f"'{state}'")


def wanted() -> ColumnElement[bool]:
    """No sequence made it, or the sequence still wants it said. Of a person who is paused nothing moves on.

    No EXISTS: to find one draft PostgreSQL would read all enrollments first, and take few drafts to be wanted.
    """
    theirs = enrollment.c.id == draft.c.enrollment_id
    active = select(enrollment.c.state == "active").where(theirs).scalar_subquery()
    return or_(draft.c.enrollment_id.is_(None), func.coalesce(active, false()))


def _has_lists() -> ColumnElement[bool]:
    """Has anybody said to whom it may write? Three looks at an index, where the lists themselves take two questions."""
    pod_id = select(inbox.c.pod_id).where(inbox.c.id == bindparam("inbox_id")).scalar_subquery()
    places = {"inbox": bindparam("inbox_id"), "pod": pod_id, "organization": ""}
    send = list_entry.c.direction == "send"
    return or_(
        *(
            exists().where(list_entry.c.scope == scope, list_entry.c.scope_id == which, send)
            for scope, which in places.items()
        )
    )


def _open_inbox() -> ColumnElement[bool]:
    """Nobody has paused or deleted the inbox that it leaves from."""
    closed = or_(inbox.c.status == "paused", inbox.c.deleted_at.is_not(None))
    return ~select(inbox.c.id).where(inbox.c.id == bindparam("inbox_id"), closed).exists()


def _head_now() -> Any:
    return select(thread.c.last_position).where(thread.c.id == draft.c.thread_id).scalar_subquery()


def _unsuppressed(keys: int) -> ColumnElement[bool]:
    named = suppression.c.address.in_([bindparam(f"key_{number}") for number in range(keys)])
    return ~select(suppression.c.address).where(named).exists()


@lru_cache(maxsize=256)
def _gate(keys: int, inside: int, *, lists: bool) -> Noted:
    """For readers with so many keys, so many of whom live here; `lists`: those have been asked, where there are any."""
    at_home: list[BindParameter[str]] = [bindparam(f"inside_{number}") for number in range(inside)]

    def gate(_dialect: str) -> Update:
        return guarded(
            draft,
            GATE,
            *_MINE,
            draft.c.lease_until > bindparam("now"),
            draft.c.approved_sha == draft.c.content_sha,
            draft.c.content_sha == bindparam("sha"),
            or_(draft.c.approved_head.is_(None), draft.c.approved_head == _head_now()),
            or_(draft.c.approved_name.is_(None), draft.c.approved_name == bindparam("name")),
            or_(draft.c.approved_until.is_(None), draft.c.approved_until > bindparam("now")),
            _unsuppressed(keys),
            _open_inbox(),
            *(() if lists else (~_has_lists(),)),
            draft.c.recalled.is_(None),
            wanted(),
            nobody_brakes(),
            nobody_unheard(at_home),
            gate_at=bindparam("now"),
            carrier=bindparam("carrier_now"),
        )

    return Noted(GATE.name, gate)


_TIMES = ("created_at", "updated_at", "edited_at")
_ADD = Noted("create", unless_there(draft, [*Draft.__dataclass_fields__, *_TIMES]))
_MINE = draft.c.id == bindparam("mine"), draft.c.claim_token == bindparam("token")
_SETTLED = Noted(SETTLE.name, lambda _dialect: guarded(draft, SETTLE, *_MINE, outcome="sent"))
_LISTS_IN_USE = Prepared(select(_has_lists()))
_HOLD_THREAD = Prepared(
    select(thread.c.id).where(thread.c.id == bindparam("which")).with_for_update(read=True)
)


def record(row: Row[Any]) -> Draft:
    fields = {name: getattr(row, name) for name in Draft.__dataclass_fields__}
    enclosed = tuple(Attachment(**each) for each in row.attachments)
    return Draft(
        **fields
        | {
            "state": DraftState(row.state),
            **{
                name: tuple(fields[name])
                for name in ("cc", "bcc", "also_to", "reply_to", "labels", "oddities")
            },
            "attachments": enclosed,
        }
    )


def values(new: Draft) -> dict[str, Any]:
    """A draft as a row."""
    fields = {name: getattr(new, name) for name in Draft.__dataclass_fields__}
    return fields | {"attachments": [asdict(each) for each in new.attachments]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Yes:
    """A human's, and what it is bound to besides the words."""

    by: str
    head: int  #: where the conversation stood
    name: str  #: which its sender went by; "": none
    until: datetime
    hour_by: str | None = None  #: who chose the hour; None: the rules


def _reason(why: str | None) -> dict[str, Any]:
    return {} if why is None else {"reason": why, "why": why}


@dataclass(frozen=True, slots=True)
class Doubtful:
    """What has to be known of a draft to ask whether it left."""

    id: str
    enrollment_id: str | None
    message_id: str
    claim_token: str | None
    carrier: str | None


class Drafts:
    """One transaction's hands on the drafts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    def get(self, draft_id: str) -> Draft | None:
        row = self._db.execute(select(*_FIELDS).where(draft.c.id == draft_id)).one_or_none()
        return None if row is None else record(row)

    def add(self, new: Draft) -> bool:
        """False: this step exists already, or another draft of this enrollment is still pending."""
        times = dict.fromkeys(_TIMES, self._desk.now)
        return _ADD.happens(self._desk, new, values(new) | times, new.reason)

    def add_all(self, new: Collection[Draft]) -> set[str]:
        """The ids of those that were not there yet."""
        times = dict.fromkeys(_TIMES, self._desk.now)
        made = self._desk.insert_all(draft, [values(each) | times for each in new])
        why = {each.id: each.reason for each in new}
        self._desk.note(draft, "create", made, why)
        return {row.id for row in made}

    def files(self, of: Draft) -> dict[str, bytes]:
        """What is in its attachments, by their SHA-256."""
        if not of.attachments:
            return {}
        wanted = enclosure.c.sha.in_({each.sha for each in of.attachments})
        return {row.sha: row.content for row in self._db.execute(select(enclosure).where(wanted))}

    def keep_files(self, files: Mapping[str, bytes]) -> None:
        """Once, however many letters carry them; and always in one order, so that nobody waits in a circle."""
        for sha, content in sorted(files.items()):
            self._desk.insert_once(enclosure, sha=sha, content=content)

    def made(self, enrollment_id: str, step: str) -> bool:
        """Is there a draft of this step already?"""
        found = select(draft.c.id).where(draft.c.enrollment_id == enrollment_id, draft.c.step == step)
        return self._db.scalar(found) is not None

    # --- the way out ---

    def claim(
        self,
        *,
        token: str,
        owner: str,
        lease: timedelta,
        at_most: int,
        max_lateness: timedelta | None = None,
        only: Collection[str] | None = None,
        waited: timedelta = timedelta(0),
    ) -> list[Draft]:
        """Take what is due, each letter into one pair of hands only. What is far too late is left for a human.

        `only`: of these; what else somebody says about them is not believed. `waited`: what has been due for so long.
        """
        asked = [] if only is None else [draft.c.id.in_(only)]
        due = (
            select(draft.c.id)
            .where(*self._may_leave(max_lateness, waited), *asked)
            .order_by(draft.c.send_at, draft.c.opener, draft.c.to)
            .limit(at_most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        rows = self._desk.carry_out(
            draft,
            CLAIM,
            update(draft).where(draft.c.id == due.c.id, _is(DraftState.SCHEDULED)),
            claim_token=token,
            claim_owner=owner,
            lease_until=self._desk.now + lease,
            room_until=None,
            attempt=draft.c.attempt + 1,
        )
        return sorted(map(record, rows), key=lambda each: (each.send_at, each.opener, each.to))

    def due(self, *, at_most: int, max_lateness: timedelta | None = None) -> list[tuple[str, int]]:
        """What a claim would take just now, and how often each was tried. Takes nothing."""
        found = (
            select(draft.c.id, draft.c.attempt)
            .where(*self._may_leave(max_lateness))
            .order_by(draft.c.send_at, draft.c.opener, draft.c.to)
            .limit(at_most)
        )
        return [(row.id, row.attempt) for row in self._db.execute(found)]

    def _may_leave(
        self, max_lateness: timedelta | None, waited: timedelta = timedelta(0)
    ) -> list[ColumnElement[bool]]:
        late = [draft.c.send_at >= self._desk.now - max_lateness] if max_lateness else []
        due = draft.c.send_at <= self._desk.now - waited
        return [_is(DraftState.SCHEDULED), due, *late, wanted(), nobody_brakes()]

    def keep_room(self, claimed: Collection[Draft], until: Mapping[str, datetime]) -> dict[str, datetime]:
        """For those of them that nobody else looks at just now; and until when, by their ids."""
        kept: dict[str, datetime] = {}
        tokens = {each.claim_token for each in claimed}
        for end in sorted(set(until.values())):
            mine = (
                select(draft.c.id)
                .where(
                    draft.c.id.in_([each for each, its_end in until.items() if its_end == end]),
                    _is(DraftState.CLAIMED),
                    draft.c.claim_token.in_(tokens),
                )
                .with_for_update(skip_locked=True)
                .cte("mine")
            )
            keep = update(draft).where(draft.c.id == mine.c.id).values(room_until=end).returning(draft.c.id)
            kept |= dict.fromkeys(self._db.scalars(keep), end)
        return kept

    def pass_gate(
        self,
        claimed: Draft,
        carrier: str = "",
        readers: Collection[str] | None = None,
        inside: Collection[str] = (),
        name: str | None = None,
    ) -> bool:
        """The only irrevocable commit. Everything that can forbid a letter is asked once more, here and now.

        `readers`: whom it goes to as it was composed; None: everybody whom the draft names. `inside`: those who live here.
        `name`: which its sender goes by in it; None: as it stands here.
        """
        readers = claimed.everybody if readers is None else readers
        name = self.sender_name(claimed) if name is None else name
        if self._db.dialect.name != "sqlite":  # there, whoever writes is alone
            _HOLD_THREAD.rows(self._db, which=claimed.thread_id)
        keys = sorted({key for address in readers for key in (contact(address), domain(address))})
        given = {
            "mine": claimed.id,
            "token": claimed.claim_token,
            "sha": claimed.content_sha,
            "inbox_id": claimed.inbox_id,
            "carrier_now": carrier,
            "name": name,
            "now": self._desk.now,
            **{f"key_{number}": key for number, key in enumerate(keys)},
            **{f"inside_{number}": each for number, each in enumerate(inside)},
        }

        def opens(*, lists: bool) -> bool:
            return _gate(len(keys), len(inside), lists=lists).happens(self._desk, claimed, given)

        return opens(lists=False) or (self._lists_allow(claimed.inbox_id, readers) and opens(lists=True))

    def _lists_allow(self, inbox_id: str, readers: Collection[str]) -> bool:
        """False also where nobody has said anything: then it was not for the lists that it did not pass."""
        if not _LISTS_IN_USE.scalar(self._db, inbox_id=inbox_id):
            return False
        return "block" not in Lists(self._desk).verdicts("send", inbox_id, readers).values()

    def settle(self, leaving: Draft, note: str) -> bool:
        """It went out; of one that was held because nobody knew, that is found out only now."""
        if leaving.state == DraftState.HELD or leaving.enrollment_id is None:
            move, where = SETTLE, self._mine(leaving)
            if leaving.state == DraftState.HELD:
                move, where = FOUND, (draft.c.id == leaving.id, draft.c.outcome == HoldReason.RESTORED)
            return bool(self._desk.move(draft, move, *where, why=note or None, outcome="sent"))
        mine = {"mine": leaving.id, "token": leaving.claim_token, "now": self._desk.now}
        return _SETTLED.happens(self._desk, leaving, mine, note or None)

    def put_back(self, held: Draft, *, send_at: datetime, why: str, failed: bool = True) -> bool:
        """Later. But a letter that somebody called back meanwhile must not wait for its next chance: it ends."""
        return self._later(held, send_at, why, outcome=why, attempt=draft.c.attempt - (0 if failed else 1))

    def move_on(self, held: Draft, *, send_at: datetime, why: str) -> bool:
        """There is no room for it now: nothing was tried, and nothing has failed."""
        return self._later(
            held, send_at, why, reason=why, outcome=None, hour_by=None, attempt=draft.c.attempt - 1
        )

    def _later(self, held: Draft, send_at: datetime, why: str, **values: Any) -> bool:
        still_wanted = draft.c.recalled.is_(None)
        moved = self._desk.move(
            draft, PUT_BACK, *self._mine(held), still_wanted, why=why, send_at=send_at, **values, **NOBODYS
        )
        return self._or_withdraw(held, moved)

    def give_up(self, held: Draft, why: str) -> bool:
        """Refused for good: a human may try again, but not what somebody called back meanwhile."""
        return self._or_withdraw(
            held,
            self._desk.move(
                draft, GIVE_UP, *self._mine(held), draft.c.recalled.is_(None), why=why, outcome=why
            ),
        )

    def doubt(self, leaving: Draft, why: str) -> bool:
        return bool(self._desk.move(draft, DOUBT, *self._mine(leaving), why=why, outcome=why))

    def disprove(self, doubtful: Draft, why: str) -> bool:
        """It certainly did not go out: it waits again, unless somebody called it back."""
        return self._or_withdraw(
            doubtful,
            self._desk.move(
                draft,
                DISPROVE,
                *self._mine(doubtful),
                draft.c.recalled.is_(None),
                why=why,
                outcome=why,
                **NOBODYS,
            ),
        )

    # --- held, and let go ---

    def hold(self, waiting: Draft, reason: HoldReason, *, send_at: datetime, until: datetime | None) -> bool:
        """No human has chosen that, so a human's yes grows old as much later, within reason."""
        later = min(max(send_at - waiting.send_at, timedelta(0)), _LONGEST_REST)
        good = waiting.approved_until and waiting.approved_until + later
        return bool(
            self._desk.move(
                draft,
                HOLD,
                draft.c.id == waiting.id,
                why=reason,
                outcome=reason,
                send_at=send_at,
                held_until=until,
                approved_until=good,
                **NOBODYS,
            )
        )

    def head(self, thread_id: str) -> int:
        """Where its conversation stands: whoever writes in it moves it."""
        return self._db.scalar(select(thread.c.last_position).where(thread.c.id == thread_id)) or 0

    def why_void(self, approved: Draft) -> str | None:
        """What has become of its yes; None: it holds."""
        head, name = self.head(approved.thread_id), self.sender_name(approved)
        return why_void(approved, head=head, sender_name=name, now=self._desk.now)

    def sender_name(self, letter: Draft) -> str:
        """Which it would leave under; "": none."""
        named = select(inbox.c.display_name).where(inbox.c.id == letter.inbox_id)
        return self._db.scalar(named) or ""

    def approve(self, held: Draft, yes: Yes, *, send_at: datetime, why: str | None = None) -> bool:
        """A human says yes, to these words and no others."""
        return self._say_yes(APPROVE, held, yes, send_at=send_at, held_until=None, **_reason(why))

    def let_go(self, held: Draft, *, send_at: datetime, why: str | None = None) -> bool:
        """What it was held for is over; its yes, a human's or a rule's, was said before."""
        return bool(
            self._desk.move(
                draft,
                WAKE,
                draft.c.id == held.id,
                draft.c.approved_sha == draft.c.content_sha,
                wanted(),
                held_until=None,
                outcome=None,
                send_at=send_at,
                **_reason(why),
            )
        )

    def retry(self, failed: Draft, yes: Yes) -> bool:
        """A human says: try again."""
        return self._say_yes(RETRY, failed, yes, send_at=self._desk.now, attempt=0, **NOBODYS)

    def renew(self, scheduled: Draft, yes: Yes, *, send_at: datetime, why: str | None = None) -> bool:
        """It had its yes; a human says another one, or that it waits no longer."""
        return self._say_yes(REDATE, scheduled, yes, send_at=send_at, **_reason(why))

    def _say_yes(self, move: Move, said_to: Draft, yes: Yes, **values: Any) -> bool:
        """To a letter that nobody has called back, of somebody who is still to be written to."""
        return bool(
            self._desk.move(
                draft,
                move,
                draft.c.id == said_to.id,
                draft.c.content_sha == said_to.content_sha,
                draft.c.recalled.is_(None),
                wanted(),
                approved_sha=said_to.content_sha,
                approved_by=yes.by,
                approved_head=yes.head,
                approved_name=yes.name,
                approved_until=yes.until,
                hour_by=yes.hour_by,
                outcome=None,
                yes_by=None,
                **values,
            )
        )

    def ask(
        self,
        waiting: Draft,
        reason: HoldReason,
        *,
        why: str | None = None,
        send_at: datetime | None = None,
    ) -> bool:
        """It waits for a yes, whoever has said one before. `send_at`: another hour than it had."""
        return bool(
            self._desk.move(
                draft,
                SUBMIT,
                draft.c.id == waiting.id,
                draft.c.recalled.is_(None),
                why=why or reason,
                outcome=reason,
                held_until=None,
                asked_at=self._since(),
                **({"yes_by": None, "alike": None} if reason == HoldReason.REJECTED else {}),
                **({} if send_at is None else {"send_at": send_at}),
                **_NO_YES,
                **NOBODYS,
            )
        )

    def _since(self) -> ColumnElement[datetime]:
        """A human was asked, or has spoken: from now on, if not before, its author's word is not enough."""
        return func.coalesce(draft.c.asked_at, literal(self._desk.now, UtcDateTime))

    def unsay(self, approved: Draft, reason: HoldReason, *, why: str, yes_by: datetime | None = None) -> bool:
        """A yes is taken back while the letter is still here; and it is like no other any more."""
        asleep = and_(_is(DraftState.HELD), draft.c.approved_sha == draft.c.content_sha)
        waiting = or_(draft.c.state.in_([DraftState.SCHEDULED, DraftState.CLAIMED]), asleep)
        here = draft.c.id == approved.id, waiting, draft.c.content_sha == approved.content_sha
        return bool(
            self._desk.move(
                draft,
                HOLD,
                *here,
                why=why,
                outcome=reason,
                held_until=None,
                yes_by=yes_by,
                asked_at=self._since(),
                alike=None,
                **_NO_YES,
                **NOBODYS,
            )
        )

    def expire(self, waiting: Draft) -> None:
        """Nobody said yes in time. It waits on."""
        why = HoldReason.EXPIRED
        self._desk.move(
            draft,
            HOLD,
            draft.c.id == waiting.id,
            _is(DraftState.HELD),
            why=why,
            yes_by=None,
            outcome=case((draft.c.outcome == HoldReason.APPROVAL, why), else_=draft.c.outcome),
        )

    def calm(self, alike: str, *, as_of: datetime, after: str, at_most: int) -> list[Draft]:
        """Those of one kind that wait for a yes as they were made, and have nothing odd. None that was touched since."""
        waiting = _is(DraftState.HELD), draft.c.held_until.is_(None), draft.c.outcome == HoldReason.APPROVAL
        kind = draft.c.alike == alike, draft.c.rank == 0, draft.c.updated_at <= as_of, draft.c.id > after
        # nobody has written in its conversation since, or changed its inbox
        as_it_was = or_(thread.c.last_at.is_(None), thread.c.last_at <= as_of)
        quiet = select(thread.c.id).where(thread.c.id == draft.c.thread_id, as_it_was).exists()
        renamed = (
            select(inbox.c.id).where(inbox.c.id == draft.c.inbox_id, inbox.c.updated_at > as_of).exists()
        )
        rows = self._db.execute(
            select(*_FIELDS).where(*waiting, *kind, quiet, ~renamed).order_by(draft.c.id).limit(at_most)
        )
        return [record(row) for row in rows]

    def void_old(self) -> Sequence[Row[Any]]:
        """A yes that grew old before its letter could leave."""
        old = draft.c.approved_until <= self._desk.now
        why = HoldReason.CHANGED
        return self._sweep(
            HOLD,
            DraftState.SCHEDULED,
            old,
            why="the yes is too old",
            outcome=why,
            held_until=None,
            asked_at=self._since(),
            **_NO_YES,
        )

    def unanswered(self, *, at_most: int) -> list[Draft]:
        """Whose yes was not said in time."""
        over = _is(DraftState.HELD), draft.c.yes_by <= self._desk.now
        rows = self._db.execute(select(*_FIELDS).where(*over).order_by(draft.c.yes_by).limit(at_most))
        return [record(row) for row in rows]

    def void_in(self, threads: Collection[str], besides: str = "") -> None:
        """Somebody has written there: what a human said yes to was said before. `besides`: what has just left."""
        said = draft.c.thread_id.in_(threads), draft.c.id != besides
        self._void(*said, why="somebody wrote in its conversation")

    def void_from(self, inbox_id: str, name: str) -> None:
        """It goes by another name now: a human said yes to the one before."""
        said = draft.c.inbox_id == inbox_id, draft.c.approved_name != name
        self._void(*said, why=f"{inbox_id} goes by another name")

    def _void(self, *said: ColumnElement[bool], why: str) -> None:
        """What a human said yes to is no longer so. What it is held for besides, it is held for still."""
        firm = and_(_is(DraftState.HELD), draft.c.outcome.in_(sorted({*GRAVE, HoldReason.REJECTED})))
        said = *said, draft.c.approved_head.is_not(None)
        lost = _NO_YES | {"asked_at": self._since()}
        changed = HoldReason.CHANGED
        self._desk.move(
            draft,
            HOLD,
            *said,
            ~func.coalesce(firm, false()),
            why=why,
            outcome=changed,
            held_until=None,
            **lost,
            **NOBODYS,
        )
        stays = or_(draft.c.state.in_([DraftState.FAILED, DraftState.UNCERTAIN]), firm)
        self._db.execute(update(draft).where(*said, stays).values(**lost))

    def follow(self, thread_id: str) -> None:
        """What a machine has just written there takes nobody's yes away; one that was void before stays so."""
        head = select(thread.c.last_position).where(thread.c.id == thread_id).scalar_subquery()
        said = draft.c.thread_id == thread_id, draft.c.approved_head == head - 1
        self._db.execute(
            update(draft).where(*said, draft.c.state.not_in(sorted(DRAFT_ENDS))).values(approved_head=head)
        )

    def follow_ups(
        self, enrollments: Collection[str], named: Collection[str], inboxes: Collection[str]
    ) -> list[str]:
        """Those of these enrollments that have not had their end, and those named that belong to these inboxes."""
        theirs = select(draft.c.id).where(
            draft.c.enrollment_id.in_(enrollments), draft.c.state.not_in(sorted(DRAFT_ENDS))
        )
        labelled = select(draft.c.id).where(draft.c.id.in_(named), draft.c.inbox_id.in_(inboxes))
        found = [*self._db.scalars(theirs), *(self._db.scalars(labelled) if named else ())]
        return sorted(set(found))

    def not_of(self, enrollments: Collection[str], which: Collection[str]) -> list[str]:
        """Without those of these enrollments. What is no draft of ours at all stays on the list."""
        if not enrollments:
            return list(which)
        theirs = draft.c.id.in_(which), draft.c.enrollment_id.in_(enrollments)
        spared = set(self._db.scalars(select(draft.c.id).where(*theirs)))
        return [each for each in which if each not in spared]

    def redate(self, waiting: Draft, *, send_at: datetime, why: str) -> bool:
        """The same words at another hour."""
        return bool(
            self._desk.move(
                draft,
                REDATE,
                draft.c.id == waiting.id,
                why=why,
                send_at=send_at,
                reason=why,
                outcome=None,
                hour_by=None,
            )
        )

    def choose_hour(self, waiting: Draft, *, send_at: datetime, by: str, why: str) -> bool:
        """A human does. Whatever it waits for besides, it goes on waiting for."""
        hour = {"send_at": send_at, "reason": why, "hour_by": by}
        if waiting.state == DraftState.HELD:
            return bool(
                self._desk.move(draft, HOLD, draft.c.id == waiting.id, _is(DraftState.HELD), why=why, **hour)
            )
        until = case((draft.c.approved_until.is_not(None), literal(send_at + GOOD_FOR, UtcDateTime)))
        return bool(
            self._desk.move(
                draft, REDATE, draft.c.id == waiting.id, why=why, outcome=None, approved_until=until, **hour
            )
        )

    def lock(self, which: Collection[str]) -> None:
        """Nobody moves them while they are being called back. Their threads are locked before."""
        locked = select(draft.c.id).where(draft.c.id.in_(which)).order_by(draft.c.id).with_for_update()
        self._db.execute(locked).all()

    def cancel(self, which: Collection[str], why: str) -> list[Draft]:
        """Everything that can still be called back, is."""
        rows = self._desk.move(draft, CANCEL, draft.c.id.in_(which), why=why, outcome=why) if which else ()
        return [record(row) for row in rows]

    def recall(self, which: Collection[str], why: str) -> list[Draft]:
        """For what is past the gate, a note that it must not be put back. Returns what is past it."""
        if not which:
            return []
        rows = self._db.execute(
            update(draft)
            .where(draft.c.id.in_(which), draft.c.state.in_(sorted(WITHDRAW.sources)))
            .values(recalled=why)
            .returning(*_FIELDS)
        )
        return [record(row) for row in rows]

    def in_the_air(self, which: Collection[str]) -> list[str]:
        """What was called back too late."""
        leaving = draft.c.state == DraftState.RELEASING, draft.c.recalled.is_not(None)
        return list(self._db.scalars(select(draft.c.id).where(draft.c.id.in_(which), *leaving)))

    def of(self, enrollment_id: str) -> Draft | None:
        """The one that is on its way to them, or would be."""
        theirs = draft.c.enrollment_id == enrollment_id, draft.c.state.not_in(sorted(DRAFT_ENDS))
        row = self._db.execute(select(*_FIELDS).where(*theirs)).one_or_none()
        return None if row is None else record(row)

    def number_waiting(self, enrollments: Collection[str]) -> int:
        """How many of theirs would leave by themselves."""
        would = or_(_is(DraftState.SCHEDULED), _is(DraftState.CLAIMED))
        theirs = select(func.count()).select_from(draft).where(draft.c.enrollment_id.in_(enrollments), would)
        return self._db.scalar(theirs) or 0

    def pending(self, which: Collection[str]) -> list[Draft]:
        """What a hold can reach."""
        waiting = draft.c.id.in_(which), draft.c.state.in_(sorted(HOLD.sources))
        return [
            record(row) for row in self._db.execute(select(*_FIELDS).where(*waiting).order_by(draft.c.id))
        ]

    # --- for another version of their sequence ---

    def of_all(self, enrollments: Collection[str]) -> dict[str, Draft]:
        """The one that is on its way to each of them, or would be."""
        theirs = draft.c.enrollment_id.in_(enrollments), draft.c.state.not_in(sorted(DRAFT_ENDS))
        rows = self._db.execute(select(*_FIELDS).where(*theirs))
        return {row.enrollment_id: record(row) for row in rows}

    def redate_all(self, hours: Mapping[str, tuple[datetime, str]]) -> None:
        """The same words at another hour, and why then; the caller has locked them. What is held stays held."""
        if not hours:
            return
        another = update(draft).where(
            draft.c.id == bindparam("which"), or_(_is(DraftState.HELD), _is(DraftState.SCHEDULED))
        )
        another = another.values(
            send_at=bindparam("send_at"),
            reason=bindparam("reason"),
            outcome=case((_is(DraftState.HELD), draft.c.outcome)),  # why it is held; a failure is forgotten
            hour_by=None,
        )
        self._db.execute(
            another, [{"which": one, "send_at": at, "reason": why} for one, (at, why) in hours.items()]
        )
        theirs = select(draft.c.id, draft.c.enrollment_id).where(draft.c.id.in_(hours))
        rows: Sequence[Any] = self._db.execute(theirs).all()
        self._desk.note(draft, REDATE.name, rows, "its sequence was revised")

    def booked_since(self, begin: datetime, inboxes: Collection[str] | None) -> Sequence[Any]:
        """Every letter with an hour since then that a limit may count, in order; of these mailboxes, or of all."""
        found = select(draft.c.inbox_id, draft.c.company, draft.c.domain, draft.c.send_at, draft.c.opener)
        uncounted = [DraftState.CANCELLED, DraftState.FAILED, DraftState.WRITTEN]
        counts = [draft.c.state.not_in(uncounted), draft.c.send_at >= begin]
        if inboxes is not None:
            counts.append(draft.c.inbox_id.in_(inboxes))
        return self._db.execute(found.where(*counts).order_by(draft.c.send_at)).all()

    def take_back_the_yes(self, approved: Draft, *, send_at: datetime, why: str) -> None:
        """What a human said yes to was a letter at another hour."""
        self._desk.move(
            draft,
            HOLD,
            draft.c.id == approved.id,
            why=HoldReason.CHANGED,
            outcome=HoldReason.CHANGED,
            send_at=send_at,
            reason=why,
            held_until=None,
            asked_at=self._since(),
            **_NO_YES,
            **NOBODYS,
        )

    # --- what the dead left behind, and what time changes ---

    def owners(self) -> list[str]:
        """Whoever holds a claim now. Not one question with OR: SQLite would read every draft for it."""
        claimed, releasing = (
            select(draft.c.claim_owner).where(_is(state), draft.c.claim_owner.is_not(None))
            for state in (DraftState.CLAIMED, DraftState.RELEASING)
        )
        return list(self._db.scalars(claimed.union(releasing)))

    def free_abandoned(self, dead: Collection[str]) -> Sequence[Row[Any]]:
        """Claims whose lease is over or whose owner is gone. Safe: an owner that wakes up fails at the gate."""
        over = or_(draft.c.lease_until < self._desk.now, draft.c.claim_owner.in_(dead))
        return self._sweep(PUT_BACK, DraftState.CLAIMED, over, why="its worker is gone", **NOBODYS)

    def doubt_abandoned(self, dead: Collection[str], *, fence: timedelta) -> Sequence[Row[Any]]:
        """Past the gate, and nobody left to say what happened then. Never back by itself."""
        over = or_(draft.c.gate_at < self._desk.now - fence, draft.c.claim_owner.in_(dead))
        why = "its worker is gone; it may have left"
        return self._sweep(DOUBT, DraftState.RELEASING, over, why=why, outcome=why)

    def wake(self) -> Sequence[Row[Any]]:
        """Those whose absence is over."""
        over = draft.c.held_until <= self._desk.now
        return self._sweep(
            WAKE, DraftState.HELD, over, why="the absence is over", held_until=None, outcome=None
        )

    def hold_late(self, max_lateness: timedelta) -> Sequence[Row[Any]]:
        """The oldest first, some at a time: asked for all of them, PostgreSQL would look through all that wait."""
        late = and_(draft.c.send_at < self._desk.now - max_lateness, wanted())
        why = HoldReason.LATE
        held: list[Row[Any]] = []
        while some := self._sweep(HOLD, DraftState.SCHEDULED, late, draft.c.send_at, why=why, outcome=why):
            held += some
        return held

    def hold_what_may_have_left(self) -> list[Row[Any]]:
        """Whatever is due by now, in whoever's hands it is, and whatever would have come back from an absence."""
        now, why = self._desk.now, HoldReason.RESTORED
        due = (
            (DraftState.SCHEDULED, draft.c.send_at <= now),
            (DraftState.CLAIMED, true()),
            (DraftState.HELD, draft.c.held_until <= now),
        )
        rows: list[Row[Any]] = []
        for state, where in due:
            rows += self._sweep(HOLD, state, where, why=why, outcome=why, held_until=None, **NOBODYS)
        return rows

    def restored(self, *, after: str, at_most: int) -> list[Draft]:
        """What is held because nobody knows whether it left."""
        held = _is(DraftState.HELD), draft.c.outcome == HoldReason.RESTORED, draft.c.id > after
        rows = self._db.execute(select(*_FIELDS).where(*held).order_by(draft.c.id).limit(at_most))
        return [record(row) for row in rows]

    def in_doubt(self, few: int) -> tuple[int, list[str]]:
        """How many may or may not have left, and the first few."""
        uncertain = _is(DraftState.UNCERTAIN)
        number = self._db.scalar(select(func.count()).select_from(draft).where(uncertain)) or 0
        first = select(draft.c.id).where(uncertain).order_by(draft.c.id).limit(few)
        return number, list(self._db.scalars(first))

    def doubtful(self, carriers: Collection[str], *, after: str, at_most: int) -> list[Doubtful]:
        """What these have, or had, in their hands."""
        theirs = _is(DraftState.UNCERTAIN), draft.c.carrier.in_(carriers), draft.c.id > after
        wanted = [draft.c[name] for name in Doubtful.__dataclass_fields__]
        rows = self._db.execute(select(*wanted).where(*theirs).order_by(draft.c.id).limit(at_most))
        return [Doubtful(*row) for row in rows]

    def next_due(self) -> datetime | None:
        """When the clock has to be looked at again: the next letter's hour, or the next absence's end."""
        awake = (
            select(draft.c.held_until)
            .where(_is(DraftState.HELD), draft.c.held_until.is_not(None))
            .order_by(draft.c.held_until)
            .limit(1)
        )
        hours = [hour for hour in (self.next_hour(), self._db.scalar(awake)) if hour is not None]
        return min(hours, default=None)

    def next_hour(self, *, after: datetime | None = None) -> datetime | None:
        """When the next letter leaves, if nothing comes between. `after`: those that are due already aside."""
        waiting = [_is(DraftState.SCHEDULED), wanted()]
        if after is not None:
            waiting.append(draft.c.send_at > after)
        first: datetime | None = self._db.scalar(
            select(draft.c.send_at).where(*waiting).order_by(draft.c.send_at).limit(1)
        )
        return first

    def _sweep(
        self,
        move: Move,
        state: DraftState,
        where: ColumnElement[bool],
        order: ColumnElement[Any] | None = None,
        *,
        why: str,
        **values: Any,
    ) -> Sequence[Row[Any]]:
        """Rows in somebody's hands are left for the next round: sweepers never wait for each other.

        `order`: in it, and some of them only.
        """
        rows = select(draft.c.id).where(_is(state), where).with_for_update(skip_locked=True)
        found = (rows if order is None else rows.order_by(order).limit(_SOME)).cte("found")
        return self._desk.carry_out(
            draft, move, update(draft).where(draft.c.id == found.c.id, _is(state)), why=why, **values
        )

    def _or_withdraw(self, called_back: Draft, moved: Sequence[Row[Any]]) -> bool:
        """It moved on; or somebody called it back while it was in the air, and so it ends."""
        if not moved:
            self._withdraw(called_back)
        return bool(moved)

    def _withdraw(self, called_back: Draft) -> bool:
        """Somebody answered while it was in the air, and it did not leave after all."""
        return bool(
            self._desk.move(
                draft,
                WITHDRAW,
                *self._mine(called_back),
                draft.c.recalled.is_not(None),
                outcome=draft.c.recalled,
            )
        )

    def _mine(self, held: Draft) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return draft.c.id == held.id, draft.c.claim_token == held.claim_token
