"""Everybody at once, over real HTTP: whatever leaves says what somebody said yes to, and every loser is told why."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx
import pytest

from engine.ids import new_id
from engine.model import content_sha
from engine.states import DRAFT_ENDS, DraftState
from tests.api.house import DOMAIN, KEY, Running
from tests.api.tools import eventually
from tests.makers import enrolled, received, sequence, signed

SENDER = f"sam@{DOMAIN}"
WANTS = sequence(approval="all", **{"from": SENDER})
APPROVERS = 8
ROUNDS = 8


@pytest.fixture
def server(database_url, tmp_path) -> Iterator[Running]:
    running = Running(tmp_path, database_url)
    yield running
    running.stop()


class Round:
    """One letter that waits, and everybody who wants something of it at the same moment."""

    def __init__(self, server: Running, number: int) -> None:
        self.server, self.store = server, server.house.store
        self.email = f"p{number}@x{number}.example"
        enrolled(self.store, self.now, self.email, WANTS)
        self.draft = self.ask("GET", "/v1/drafts", params={"to": self.email}).json()["drafts"][0]
        #: every text that was ever there, by the name that an approval is bound to
        self.texts = {self.draft["content_sha"]: self.draft["text"]}
        self.answers: list[tuple[str, httpx.Response]] = []
        self._together: list[Callable[[], None]] = []

    @property
    def now(self) -> datetime:
        return self.server.house.clock.now()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Everybody by a connection of their own."""
        headers = {"Authorization": f"Bearer {KEY}"} | more.pop("headers", {})
        with httpx.Client(base_url=self.server.url, timeout=60) as http:
            return http.request(method, path, headers=headers, **more)

    def wants(self, verb: str, **more: Any) -> None:
        """Somebody who has looked at the letter as it was."""
        body = {"content_sha": self.draft["content_sha"], **more}

        def go() -> None:
            answer = self.ask("POST", f"/v1/drafts/{self.draft['draft_id']}/{verb}", json=body)
            self.answers.append((verb if not more.get("approve") else "edit and approve", answer))
            if answer.status_code == 200:
                self.texts[answer.json()["content_sha"]] = answer.json()["text"]

        self._together.append(go)

    def answers_it(self) -> None:
        """They write to us."""
        name = new_id("evt", datetime.now(UTC))
        event = received(self.draft["thread_id"], event_id=name, inbox_id=SENDER, **{"from": self.email})

        def go() -> None:
            said = signed(event, datetime.now(UTC), delivery_id=f"msg_{name[4:]}")
            self.answers.append(("reply", self.ask("POST", "/webhooks/agentmail", **said)))

        self._together.append(go)

    def go(self, chance: Random) -> None:
        chance.shuffle(self._together)
        gate = threading.Barrier(len(self._together))

        def one(deed: Callable[[], None]) -> None:
            gate.wait()
            deed()

        threads = [threading.Thread(target=one, args=[deed]) for deed in self._together]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(self.answers) == len(threads)
        assert eventually(self.is_settled), self.state()

    def is_settled(self) -> bool:
        return self.state() not in (DraftState.SCHEDULED, *_IN_HAND)

    def state(self) -> DraftState:
        return self._draft().state

    def _draft(self) -> Any:
        with self.store.reading(self.now) as ledger:
            return ledger.drafts.get(self.draft["draft_id"])

    def holds(self) -> Counter[str]:
        """Nothing has left but what somebody approved; who lost was told; and every yes stands in the books."""
        for verb, answer in self.answers:
            assert answer.status_code in (200, 204, 409), f"{verb}: {answer.status_code} {answer.text}"
            if answer.status_code == 409:
                _is_honest(answer.json(), self.draft["draft_id"])
        draft = self._draft()
        with self.store.reading(self.now) as ledger:
            reviews = ledger.reviews.of(draft.id)
            sent = [each for each in ledger.threads.messages(draft.thread_id) if each.draft_id == draft.id]
        yeses = [each for each in reviews if each.verdict == "approved"]
        said_yes = [
            answer
            for verb, answer in self.answers
            if verb in ("approve", "send-now", "edit and approve") and answer.status_code == 200
        ]
        assert len(yeses) == len(said_yes)
        for letter in sent:
            assert draft.state == DraftState.SENT
            assert content_sha(draft) == draft.content_sha
            assert letter.text == draft.text == self.texts[draft.content_sha]
            last = yeses[0]
            assert (last.content_sha, last.evidence["text"]) == (draft.content_sha, letter.text)
            replied = any(verb == "reply" for verb, _ in self.answers)
            rejected = [each for each in reviews if each.verdict == "rejected"]
            assert not rejected or replied or rejected[0].number < last.number
        assert draft.state == DraftState.SENT or draft.state in DRAFT_ENDS or draft.state == DraftState.HELD
        return Counter({str(draft.state): 1, "yes": len(yeses), "late": self._late()})

    def _late(self) -> int:
        return sum(answer.status_code == 409 for _, answer in self.answers)


_IN_HAND = (DraftState.CLAIMED, DraftState.RELEASING)


def _is_honest(refused: dict[str, Any], draft_id: str) -> None:
    """What has changed, in words and for programs."""
    assert refused["name"] == "ConflictError"
    assert draft_id in refused["message"] or "conversation" in refused["message"]
    assert {"state", "approval_state", "content_sha"} <= refused["changed"].keys()


@pytest.mark.parametrize("seed", range(2))
def test_of_everybody_at_once_no_letter_leaves_that_nobody_approved_as_it_is(server, seed, counted):
    chance, total = Random(seed), Counter[str]()
    for number in range(ROUNDS):
        one = Round(server, number)
        for _ in range(APPROVERS):
            one.wants("approve")
        one.wants("edit", text=f"Other words {number}")
        one.wants("edit", text=f"Words and a yes {number}", approve=True)
        one.wants("send-now")
        if chance.random() < 0.4:
            one.wants("reject", reason="no", then=chance.choice(["pause", "stop"]))
        if chance.random() < 0.3:
            one.wants("withdraw", reason="wait")
        if number % 2:
            one.answers_it()
        one.go(chance)
        total += one.holds()

    assert total["late"] > 0
    counted(f"races: {dict(total)}")


def test_of_eight_who_say_yes_at_once_one_does_and_the_letter_leaves_once(server):
    one = Round(server, 0)
    for _ in range(APPROVERS):
        one.wants("approve")
    one.go(Random(0))
    told = one.holds()

    assert (told["sent"], told["yes"], told["late"]) == (1, 1, APPROVERS - 1)


def test_of_eight_who_edit_at_once_one_does_and_seven_are_told_who(server):
    one = Round(server, 0)
    for number in range(APPROVERS):
        one.wants("edit", text=f"Words of {number}")
    one.go(Random(0))

    assert one.holds() == Counter({"held": 1, "late": APPROVERS - 1, "yes": 0})
    for _, answer in one.answers:
        if answer.status_code == 409:
            assert answer.json()["changed"]["why"] == "edited"


def test_a_batch_that_is_approved_while_its_letters_are_edited_leaves_the_edited_ones(server):
    rounds = [Round(server, number) for number in range(10)]
    as_of = datetime.now(UTC).isoformat()
    body = {"alike": rounds[0].draft["alike"], "as_of": as_of}
    said: list[httpx.Response] = []
    gate = threading.Barrier(len(rounds) + 1)

    def approve() -> None:
        gate.wait()
        said.append(rounds[0].ask("POST", "/v1/drafts/approve", json=body))

    def edit(one: Round) -> None:
        gate.wait()
        wanted = {"content_sha": one.draft["content_sha"], "text": "Reworded"}
        one.answers.append(("edit", one.ask("POST", f"/v1/drafts/{one.draft['draft_id']}/edit", json=wanted)))

    threads = [threading.Thread(target=approve)]
    threads += [threading.Thread(target=edit, args=[one]) for one in rounds]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    results = {each["draft_id"]: each for each in said[0].json()["results"]}
    for one in rounds:
        assert eventually(one.is_settled), one.state()
        draft = one._draft()
        if draft.state == DraftState.SENT:
            assert results[draft.id]["approved"]
            assert draft.text == one.draft["text"]
        elif draft.id in results and not results[draft.id]["approved"]:
            assert results[draft.id]["why"]
