"""A browser for the tests: it keeps cookies, and sends forms as a page of ours would."""

import hashlib
import re
import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from dashboard.origin import csrf_of
from engine.ids import new_id
from engine.members import LONGEST
from engine.store.members import Member, Role, Visit
from relent.assemble import House, office

HERE = "http://127.0.0.1:8025"
_A_BROWSERS = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Visitor(TestClient):
    """Somebody with a browser of their own. Redirects are not followed: a test looks at them."""

    def __init__(self, app: Starlette, base_url: str = HERE, **more: Any) -> None:
        super().__init__(
            app, base_url, raise_server_exceptions=False, follow_redirects=False, headers=_A_BROWSERS, **more
        )
        self.csrf = ""  #: what a form of theirs must say; set when they come in
        self.member: Member | None = None

    def post_form(
        self, path: str, *, headers: dict[str, str] | None = None, csrf: str | None = None, **fields: Any
    ) -> Any:
        """As a page of ours sends it. A field may be a list; `data={…}` for names that are no words of Python."""
        data = {**fields.pop("data", {}), **fields, "csrf": self.csrf if csrf is None else csrf}
        said = {"origin": str(self.base_url).rstrip("/"), "sec-fetch-site": "same-origin", **(headers or {})}
        return self.post(path, data=data, headers=said)

    def knock(self, path: str = "/login") -> str:
        """Look at a form without being in; its token is used from now on."""
        found = _CSRF.search(self.get(path).text)
        assert found, "there is no form"
        self.csrf = found[1]
        return self.csrf


def come_in(
    front: Visitor, house: House, role: Role, email: str = "", teams: tuple[str, ...] = ()
) -> Visitor:
    """A visitor of their own, who is in; without a password, because that takes its time."""
    email = email or f"{role}@acme.example"
    token, now = secrets.token_urlsafe(32), house.clock.now()
    with house.store.transaction(now, "a test") as ledger:
        member = ledger.members.called(email)
        if member is None:
            member = Member(
                id=new_id("mem", now),
                email=email,
                name=role.title(),
                role=role,
                teams=teams,
                created_at=now,
                updated_at=now,
            )
            ledger.members.add(member)
        ledger.members.begin_visit(
            Visit(
                id=hashlib.sha256(token.encode()).hexdigest(),
                member_id=member.id,
                created_at=now,
                seen_at=now,
                expires_at=now + LONGEST,
            )
        )
    visitor = Visitor(front.app)
    visitor.cookies.set("relent_visit", token, domain="127.0.0.1", path="/")
    visitor.member = member
    visitor.csrf = csrf_of(token, office(house).key)
    return visitor
