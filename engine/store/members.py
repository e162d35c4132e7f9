"""The shelf of members: who may come in by the dashboard, who is in, and links that open once. Secrets lie here as hashes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.inboxes import write_down
from engine.store.moves import Desk
from engine.store.tables import invitation, member, visit

Role = Literal["viewer", "reviewer", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody who may come in, and what they may do there."""

    id: str
    email: str  #: as `contact` writes it
    name: str
    role: Role
    teams: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime
    disabled_at: datetime | None = None
    password: str = field(repr=False, default="")  #: its argon2 hash; empty: no password opens


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Somebody is in."""

    id: str = field(repr=False)  #: the SHA-256 of what their browser keeps
    member_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A link that opens once."""

    id: str = field(repr=False)  #: the SHA-256 of what stands in the link
    email: str | None  #: whom it is for; None: whoever comes first
    role: Role
    teams: tuple[str, ...] = ()
    made_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


_MEMBER = [member.c[name] for name in Member.__dataclass_fields__]
_VISIT = [visit.c[name].label(f"visit_{name}") for name in Visit.__dataclass_fields__]
_INVITATION = [invitation.c[name] for name in Invitation.__dataclass_fields__]
_LET_IN = member.c.disabled_at.is_(None)
_UNUSED = invitation.c.used_at.is_(None)


def _member(row: Row[Any]) -> Member:
    fields = {name: getattr(row, name) for name in Member.__dataclass_fields__}
    return Member(**fields | {"teams": tuple(row.teams)})


def _visit(row: Row[Any]) -> Visit:
    return Visit(**{name: getattr(row, f"visit_{name}") for name in Visit.__dataclass_fields__})


def _invitation(row: Row[Any]) -> Invitation:
    fields = {name: getattr(row, name) for name in Invitation.__dataclass_fields__}
    return Invitation(**fields | {"teams": tuple(row.teams)})


class Members:
    """One transaction's hands on them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._db = desk.db

    # --- who may come in ---

    def get(self, member_id: str) -> Member | None:
        return self._one(member.c.id == member_id)

    def called(self, email: str) -> Member | None:
        """The member with this address, as `contact` writes it; also one who is disabled."""
        return self._one(member.c.email == email)

    def list(self) -> list[Member]:
        """By address."""
        return [_member(row) for row in self._db.execute(select(*_MEMBER).order_by(member.c.email))]

    def any_admin(self) -> bool:
        """Is there one who may come in?"""
        return self._db.scalar(select(member.c.id).where(*_ADMINS).limit(1)) is not None

    def lock_admins(self) -> set[str]:
        """Those who may come in; nobody else changes who they are until this transaction ends."""
        locked = select(member.c.id).where(*_ADMINS).order_by(member.c.id).with_for_update()
        return set(self._db.scalars(locked))

    def add(self, new: Member) -> bool:
        """False: there is one with this address."""
        fields = {name: getattr(new, name) for name in Member.__dataclass_fields__}
        table = (sqlite if self._db.dialect.name == "sqlite" else postgresql).insert(member)
        once = table.values(**fields | {"teams": list(new.teams)}).on_conflict_do_nothing(
            index_elements=["email"]
        )
        if self._db.scalar(once.returning(member.c.id)) is None:
            return False
        write_down(self._desk, "member: join", f"{new.id} {new.email} {new.role}")
        return True

    def give_role(self, member_id: str, role: Role) -> None:
        self._change(member_id, "member: role", role, role=role)

    def give_teams(self, member_id: str, teams: tuple[str, ...]) -> None:
        self._change(member_id, "member: teams", ",".join(teams) or "none", teams=list(teams))

    def set_password(self, member_id: str, hashed: str) -> None:
        self._change(member_id, "member: password", password=hashed)

    def rehash(self, member_id: str, was: str, hashed: str) -> None:
        """The same password, hashed as one does today: nothing that anybody decided."""
        same = member.c.password == was  # they may have chosen another one meanwhile
        self._db.execute(update(member).where(member.c.id == member_id, same).values(password=hashed))

    def disable(self, member_id: str) -> None:
        self._change(member_id, "member: disable", disabled_at=self._desk.now)

    def come_back(self, member_id: str, role: Role, teams: tuple[str, ...]) -> None:
        """Who was disabled may come in again, as somebody new would."""
        self._change(member_id, "member: join", role, disabled_at=None, role=role, teams=list(teams))

    def _change(self, member_id: str, what: str, detail: str = "", **values: Any) -> None:
        changed = update(member).where(member.c.id == member_id).values(**values, updated_at=self._desk.now)
        email = self._db.scalar(changed.returning(member.c.email))
        write_down(self._desk, what, " ".join(filter(None, (member_id, email, detail))))

    def _one(self, which: ColumnElement[bool]) -> Member | None:
        row = self._db.execute(select(*_MEMBER).where(which)).one_or_none()
        return None if row is None else _member(row)

    # --- who is in ---

    def begin_visit(self, new: Visit) -> None:
        self._db.execute(visit.insert().values(**_fields(new)))

    def visit(self, visit_id: str) -> tuple[Visit, Member] | None:
        """This visit, and whose it is; None: it has ended, or they may not come in any more."""
        found = select(*_VISIT, *_MEMBER).join(member, member.c.id == visit.c.member_id)
        row = self._db.execute(found.where(visit.c.id == visit_id, _LET_IN)).one_or_none()
        return None if row is None else (_visit(row), _member(row))

    def note_visit(self, visit_id: str) -> None:
        """They are still there."""
        self._db.execute(update(visit).where(visit.c.id == visit_id).values(seen_at=self._desk.now))

    def end_visit(self, visit_id: str) -> str | None:
        """Whose it was; None: it had ended."""
        return self._db.scalar(delete(visit).where(visit.c.id == visit_id).returning(visit.c.member_id))

    def end_visits_of(self, member_id: str) -> None:
        self._db.execute(delete(visit).where(visit.c.member_id == member_id))

    def end_everything(self) -> None:
        """Nobody is in, and no link opens: this database may have forgotten who went, and which link was used."""
        self._db.execute(delete(visit))
        self._db.execute(delete(invitation).where(invitation.c.used_at.is_(None)))

    def forget_visits(self, idle_since: datetime) -> None:
        """Those that have ended by themselves."""
        over = (visit.c.expires_at <= self._desk.now) | (visit.c.seen_at <= idle_since)
        self._db.execute(delete(visit).where(over))

    def note_coming(self, who: Member, what: str) -> None:
        """A line in the log: somebody came in, or went."""
        write_down(self._desk, what, f"{who.id} {who.email}")

    # --- links that open once ---

    def invite(self, new: Invitation, what: str) -> None:
        """What was sent to the same address before opens nothing any more."""
        self.end_invitations(new.email, new.made_by if new.email is None else None)
        self._db.execute(invitation.insert().values(**_fields(new) | {"teams": list(new.teams)}))
        write_down(self._desk, what, f"{new.email or 'whoever comes first'} {new.role}")

    def end_invitations(self, email: str | None, made_by: str | None = None) -> None:
        """Those for this address; without one, those for whoever comes first that these made."""
        whose = (
            [invitation.c.email == email]
            if email is not None
            else [invitation.c.email.is_(None), invitation.c.made_by == made_by]
        )
        lasting = invitation.c.expires_at > self._desk.now
        self._db.execute(update(invitation).where(*whose, _UNUSED, lasting).values(expires_at=self._desk.now))

    def invitation(self, invitation_id: str) -> Invitation | None:
        """None: nobody made it. It may have been used, or be too old."""
        row = self._db.execute(select(*_INVITATION).where(invitation.c.id == invitation_id)).one_or_none()
        return None if row is None else _invitation(row)

    def open_invitation(self, invitation_id: str) -> Invitation | None:
        """One comes first, and has it; None: it has been used, or is too old."""
        good = (invitation.c.id == invitation_id, _UNUSED, invitation.c.expires_at > self._desk.now)
        used = update(invitation).where(*good).values(used_at=self._desk.now).returning(*_INVITATION)
        row = self._db.execute(used).one_or_none()
        return None if row is None else _invitation(row)


_ADMINS = (member.c.role == "admin", _LET_IN)


def _fields(record: Visit | Invitation) -> dict[str, Any]:
    return {name: getattr(record, name) for name in type(record).__dataclass_fields__}
