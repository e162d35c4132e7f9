"""Story: who may come in by the dashboard. They are invited by a link, come in by a password, and go.

A browser keeps a random word; here lies only its hash, so that whoever reads the database has nobody's visit.
"""

import hashlib
import logging
import secrets
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Semaphore
from typing import Final, get_args

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy.exc import SQLAlchemyError

from engine.addresses import contact, valid_address
from engine.errors import Invalid, Issue, NotFound, Refused
from engine.headers import name_trouble
from engine.ids import new_id
from engine.seams import Clock
from engine.store import Store, in_words
from engine.store.ledger import Ledger
from engine.store.members import Invitation, Member, Role, Visit

log = logging.getLogger("relent.members")

#: From the one who only looks to the one who may do everything. Each may do what those before it may.
ROLES: Final[tuple[Role, ...]] = get_args(Role)

IDLE: Final = timedelta(hours=12)  #: who does nothing for so long is out
LONGEST: Final = timedelta(days=7)  #: and so is everybody, sooner or later
LINK_LASTS: Final = timedelta(hours=24)

#: What is said of a link that was used, or is too old, or was never made: nobody is told which.
USED_UP: Final = (
    "This link opens nothing any more: it was used, or it is too old, or a newer one took its place. "
    "Ask for another one."
)

_SEEN_EVERY = timedelta(minutes=1)
_SHORTEST, _LONGEST_PASSWORD = 10, 1024  # letters; bytes
_DIFFERENT = 3  # letters
_LONGEST_TOKEN, _LONGEST_TEAM, _MOST_TEAMS = 200, 60, 20
_AT_ONCE = 2  # a hash takes 64 MiB: who tries many passwords at once does not get the whole machine
_THE_SERVER = "relent serve"
_NOBODYS = "a password that nobody has"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Somebody who is in."""

    member: Member
    token: str = field(repr=False)  #: what their browser keeps
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A new link; the only time that anybody sees its secret."""

    token: str = field(repr=False)
    invitation: Invitation


def may(member: Member, role: Role) -> bool:
    """May they do what this role may?"""
    return ROLES.index(member.role) >= ROLES.index(role)


def password_trouble(password: str, email: str = "") -> str | None:
    """Why this is no password; None: it is one."""
    if len(password) < _SHORTEST:
        return f"a password has at least {_SHORTEST} characters: a few words that only you would put together do well"
    if len(password.encode("utf-8", "replace")) > _LONGEST_PASSWORD:
        return f"a password has at most {_LONGEST_PASSWORD:,} bytes"
    if email and contact(email) in contact(password):
        return "a password that is the address itself is the first one that somebody tries"
    if len(set(password)) < _DIFFERENT:
        return "a password that is one or two characters over and over is soon guessed"
    return None


class Members:
    """Everybody who may come in. One for a process."""

    def __init__(self, *, store: Store, clock: Clock, hasher: PasswordHasher | None = None) -> None:
        """`hasher`: argon2id as RFC 9106 has it for machines that do other things too."""
        self._store, self._clock = store, clock
        self._hasher = hasher or PasswordHasher()
        self._nobodys = ""
        self._hashing = Semaphore(_AT_ONCE)

    # --- who is in ---

    def sign_in(self, email: str, password: str, *, instead_of: str | None = None) -> Guest | None:
        """None: no. It takes as long for an address that nobody has, and says no more.

        `instead_of`: what the browser kept before; it is good for nothing any more.
        """
        nobodys = self._hash_of_nobody()  # made once; before it is known whether it is needed
        with self._store.reading(self._clock.now()) as ledger:
            found = ledger.members.called(contact(email))
        known = found if found is not None and found.disabled_at is None and found.password else None
        if not self._is_right(known.password if known else nobodys, password) or known is None:
            return None
        fresh = self._hash(password) if self._hasher.check_needs_rehash(known.password) else None
        with self._store.transaction(self._clock.now(), known.email) as ledger:
            still = ledger.members.get(known.id)
            if still is None or still.disabled_at is not None or still.password != known.password:
                return None
            if fresh is not None:
                ledger.members.rehash(known.id, known.password, fresh)
            return self._begin(still, "member: sign in", instead_of, ledger)

    def know(self, token: str) -> Guest | None:
        """Who is in with this word. That they are still there is written down at most once a minute."""
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        now = self._clock.now()
        with self._store.reading(now) as ledger:
            found = ledger.members.visit(_digest(token))
        if found is None:
            return None
        visit, member = found
        if visit.expires_at <= now or visit.seen_at + IDLE <= now:
            return None
        if abs(now - visit.seen_at) >= _SEEN_EVERY:
            self._note(visit, member, now)
        return Guest(member=member, token=token, since=visit.created_at)

    def _note(self, visit: Visit, member: Member, now: datetime) -> None:
        try:
            with self._store.transaction(now, member.email) as ledger:
                ledger.members.note_visit(visit.id)
        except SQLAlchemyError as error:  # to look is still possible where nothing can be written
            log.warning("the database did not take that somebody is still there: %s", in_words(error))

    def sign_out(self, token: str) -> None:
        """Whoever else has this word, a thief, has nothing any more."""
        now = self._clock.now()
        with self._store.reading(now) as ledger:
            found = ledger.members.visit(_digest(token))
        if found is None:
            return
        with self._store.transaction(now, found[1].email) as ledger:
            if ledger.members.end_visit(_digest(token)) is not None:
                ledger.members.note_coming(found[1], "member: sign out")

    def _begin(self, member: Member, what: str, instead_of: str | None, ledger: Ledger) -> Guest:
        token = secrets.token_urlsafe(32)
        if instead_of:
            ledger.members.end_visit(_digest(instead_of))
        ledger.members.forget_visits(ledger.now - IDLE)
        ledger.members.begin_visit(
            Visit(
                id=_digest(token),
                member_id=member.id,
                created_at=ledger.now,
                seen_at=ledger.now,
                expires_at=ledger.now + LONGEST,
            )
        )
        ledger.members.note_coming(member, what)
        return Guest(member=member, token=token, since=ledger.now)

    # --- links that open once ---

    def invite(self, email: str, role: Role, *, teams: Collection[str] = (), by: str) -> Invited:
        """Who was disabled may be invited again. Raises Refused for one who may come in as it is."""
        address, chosen = contact(valid_address(email)), _teams(teams)
        with self._store.transaction(self._clock.now(), by) as ledger:
            there = ledger.members.called(address)
            if there is not None and there.disabled_at is None:
                raise Refused(
                    f"{address} is a member already, as {there.role}. `relent member role` changes what they may do, "
                    "`relent member reset` makes a link for a new password"
                )
            return self._link(address, _role(role), chosen, by, "member: invite", ledger)

    def reset(self, email: str, *, by: str) -> Invited:
        """A link to choose another password with. Until it is used, the old one is good."""
        with self._store.transaction(self._clock.now(), by) as ledger:
            there = _let_in(email, ledger)
            return self._link(there.email, there.role, there.teams, by, "member: reset", ledger)

    def welcome(self) -> Invited | None:
        """The link for the first admin; those that were made before open nothing. None: there is an admin."""
        with self._store.transaction(self._clock.now(), _THE_SERVER) as ledger:
            if ledger.members.any_admin():
                return None
            return self._link(None, "admin", (), _THE_SERVER, "member: invite", ledger)

    def invited(self, token: str) -> Invitation | None:
        """What this link is for; None: it opens nothing, or nothing any more. Asking does not use it."""
        now = self._clock.now()
        with self._store.reading(now) as ledger:
            found = ledger.members.invitation(_digest(token[:_LONGEST_TOKEN]))
            if found is None or found.used_at is not None or found.expires_at <= now:
                return None
            return None if found.email is None and ledger.members.any_admin() else found

    def accept(
        self,
        token: str,
        password: str,
        *,
        email: str = "",
        name: str = "",
        instead_of: str | None = None,
    ) -> Guest:
        """By a link: become a member, or choose another password. Of two who come at once one is first.

        Raises NotFound for a link that opens nothing any more, Invalid for what cannot be a name or a password.
        """
        seen = self.invited(token)
        if seen is None:
            raise NotFound(USED_UP)
        address = seen.email or _address(email)
        called = _named(name or address.partition("@")[0])
        hashed = self._hash(_good(password, address))
        with self._store.transaction(self._clock.now(), address) as ledger:
            admins = ledger.members.lock_admins()
            link = ledger.members.open_invitation(seen.id)
            if link is None or (link.email is None and admins):
                raise NotFound(USED_UP)
            member = _joined(link, address, called, hashed, ledger)
            ledger.members.end_visits_of(member.id)
            return self._begin(member, "member: sign in", instead_of, ledger)

    def _link(
        self, email: str | None, role: Role, teams: tuple[str, ...], by: str, what: str, ledger: Ledger
    ) -> Invited:
        token = secrets.token_urlsafe(32)
        new = Invitation(
            id=_digest(token),
            email=email,
            role=role,
            teams=teams,
            made_by=by,
            created_at=ledger.now,
            expires_at=ledger.now + LINK_LASTS,
        )
        ledger.members.invite(new, what)
        return Invited(token=token, invitation=new)

    # --- what they may do ---

    def list(self) -> list[Member]:
        with self._store.reading(self._clock.now()) as ledger:
            return ledger.members.list()

    def called(self, email: str) -> Member | None:
        """The member with this address; also one who is disabled."""
        with self._store.reading(self._clock.now()) as ledger:
            return ledger.members.called(contact(email))

    def give_role(self, email: str, role: Role, *, by: str) -> Member:
        """They are shown out, and come in again as what they are now. Raises Refused for the last admin."""
        with self._store.transaction(self._clock.now(), by) as ledger:
            admins, there = ledger.members.lock_admins(), _let_in(email, ledger)
            if there.role == _role(role):
                return there
            if role != "admin":
                _refuse_the_last(there, admins)
            ledger.members.give_role(there.id, role)
            ledger.members.end_visits_of(there.id)
            ledger.members.end_invitations(there.email)
            return _again(there.id, ledger)

    def give_teams(self, email: str, teams: Collection[str], *, by: str) -> Member:
        """In whose name they may say yes from now on: `approval.by` of a sequence names teams."""
        chosen = _teams(teams)
        with self._store.transaction(self._clock.now(), by) as ledger:
            there = _let_in(email, ledger)
            if there.teams == chosen:
                return there
            ledger.members.give_teams(there.id, chosen)
            return _again(there.id, ledger)

    def disable(self, email: str, *, by: str) -> Member:
        """At once, wherever they are in, and with every link that they have. Raises Refused for the last admin."""
        with self._store.transaction(self._clock.now(), by) as ledger:
            admins, there = ledger.members.lock_admins(), _let_in(email, ledger)
            _refuse_the_last(there, admins)
            ledger.members.disable(there.id)
            ledger.members.end_visits_of(there.id)
            ledger.members.end_invitations(there.email)
            return _again(there.id, ledger)

    def change_password(self, guest: Guest, old: str, new: str) -> Guest:
        """They stay in here, with another word, and are out everywhere else. Raises Refused when the old one is wrong."""
        if not self._is_right(guest.member.password or self._hash_of_nobody(), old):
            raise Refused("that is not your password as it is now")
        hashed = self._hash(_good(new, guest.member.email))
        with self._store.transaction(self._clock.now(), guest.member.email) as ledger:
            still = _let_in(guest.member.email, ledger)
            if still.password != guest.member.password:
                raise Refused("your password was changed elsewhere meanwhile")
            ledger.members.set_password(still.id, hashed)
            ledger.members.end_visits_of(still.id)
            ledger.members.end_invitations(still.email)
            return self._begin(_again(still.id, ledger), "member: sign in", None, ledger)

    # --- passwords ---

    def _hash(self, password: str) -> str:
        with self._hashing:
            return self._hasher.hash(_plain(password))

    def _is_right(self, hashed: str, password: str) -> bool:
        if len(password) > _LONGEST_PASSWORD:
            password = ""  # no password is so long; the work is done all the same
        with self._hashing:
            try:
                return self._hasher.verify(hashed, _plain(password))
            except (Argon2Error, InvalidHashError):
                return False

    def _hash_of_nobody(self) -> str:
        self._nobodys = self._nobodys or self._hash(_NOBODYS + secrets.token_hex())
        return self._nobodys


def _joined(link: Invitation, address: str, name: str, hashed: str, ledger: Ledger) -> Member:
    there = ledger.members.called(address)
    if there is None:
        new = Member(
            id=new_id("mem", ledger.now),
            email=address,
            name=name,
            role=link.role,
            teams=link.teams,
            password=hashed,
            created_at=ledger.now,
            updated_at=ledger.now,
        )
        if ledger.members.add(new):
            return new
        raise Refused(f"somebody became a member as {address} just now: ask for another link")
    if there.disabled_at is not None:
        ledger.members.come_back(there.id, link.role, link.teams)
    elif link.email is None:
        ledger.members.give_role(there.id, link.role)  # who sits at the machine has made it so
    ledger.members.set_password(there.id, hashed)
    return _again(there.id, ledger)


def _let_in(email: str, ledger: Ledger) -> Member:
    there = ledger.members.called(contact(email))
    if there is None:
        raise NotFound(f"there is no member {email}. `relent member list` names them")
    if there.disabled_at is not None:
        raise Refused(f"{there.email} is disabled. `relent member invite` lets them in again")
    return there


def _again(member_id: str, ledger: Ledger) -> Member:
    found = ledger.members.get(member_id)
    if found is None:
        raise NotFound
    return found


def _refuse_the_last(there: Member, admins: Collection[str]) -> None:
    if set(admins) == {there.id}:
        raise Refused(f"{there.email} is the only admin: make another one first")


def _role(role: str) -> Role:
    for known in ROLES:
        if role == known:
            return known
    raise Invalid(Issue(("role",), f'"{role}" is no role. Write {", ".join(ROLES)}'))


def _teams(teams: Collection[str]) -> tuple[str, ...]:
    """As `approval.by` names them, without `team:`."""
    found = tuple(dict.fromkeys(team.strip().removeprefix("team:").lower() for team in teams))
    for team in found:
        if trouble := name_trouble(team) or (None if team else "there is nothing in it"):
            raise Invalid(Issue(("team",), trouble))
        if len(team) > _LONGEST_TEAM:
            raise Invalid(Issue(("team",), f"a team's name has at most {_LONGEST_TEAM} letters"))
    if len(found) > _MOST_TEAMS:
        raise Invalid(Issue(("team",), f"nobody is in more than {_MOST_TEAMS} teams"))
    return found


def _address(email: str) -> str:
    try:
        return contact(valid_address(email))
    except Refused as error:
        raise Invalid(Issue(("email",), str(error))) from error


def _named(name: str) -> str:
    if trouble := name_trouble(name):
        raise Invalid(Issue(("name",), trouble))
    return name.strip()


def _good(password: str, email: str) -> str:
    if trouble := password_trouble(password, email):
        raise Invalid(Issue(("password",), trouble))
    return password


def _plain(password: str) -> bytes:
    """However a keyboard puts an accent on a letter, it is the same letter. RFC 8265 would say NFC; NFKC folds more."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
