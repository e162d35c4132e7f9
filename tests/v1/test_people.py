"""Enrolling, looking, stopping and resuming over `/v1`; and what a key with less than everything may do of it."""

from datetime import timedelta

import pytest

from engine.enroll import enroll, prepare
from engine.model import Pace, Prospect
from mailroom.api.frame import OnFile
from tests.makers import IDA, SAM, sequence
from tests.v1.conftest import KIM

HOUR = timedelta(hours=1)
TOM = "tom@x.example"
NEEDY = sequence({"subject": "Hi", "body": "Hello {{ company }}"}, name="Needy")
KIMS = sequence(name="Kim's", **{"from": KIM})


@pytest.fixture
def pace():
    """Nothing leaves here: whoever stops waits for no gate."""
    return Pace(gate_deadline=timedelta(0))


@pytest.fixture
def files(laid):
    """Sequences that lie in the folder."""

    def lay(*sequences):
        object.__setattr__(laid, "sequences", lambda: [OnFile(sequence=each) for each in sequences])

    lay(sequence(), NEEDY, KIMS)
    return lay


def enter(ask, *people, name="Quick question", **more):
    wanted = [each if isinstance(each, dict) else {"email": each} for each in people]
    return ask.post("/v1/enrollments", {"sequence": name, "people": wanted}, **more)


# --- in ---


def test_people_enter_and_each_is_told_of(files, ask, laid):
    ask.post("/v1/suppressions", {"address": "never.example"})
    done = enter(ask, IDA, "a@never.example", "no address", SAM)

    assert [each["email"] for each in done["enrolled"]] == [IDA]
    assert done["suppressed"] == [{"email": "a@never.example", "enrollment_id": None, "reason": "by hand"}]
    assert [each["email"] for each in done["refused"]] == ["no address", SAM]
    again = enter(ask, IDA)
    assert again["already"][0]["enrollment_id"] == done["enrolled"][0]["enrollment_id"]
    assert done["version"] == sequence().version


def test_who_lacks_something_is_held_until_it_comes(files, ask):
    done = enter(ask, IDA, name="Needy")
    assert done["held"][0]["reason"] == "company is missing"
    done = enter(ask, {"email": IDA, "variables": {"company": "Nordic", "size": 3}}, name="Needy")

    (draft,) = ask.get("/v1/drafts")["drafts"]
    assert (done["enrolled"][0]["email"], draft["text"]) == (IDA, "Hello Nordic\n")
    assert ask.get("/v1/drafts/" + draft["draft_id"])["evidence"]["variables"]["size"] == "3"


def test_an_unknown_sequence_is_404_and_names_the_nearest(files, ask):
    refused = enter(ask, IDA, name="Quick questio", status=404)

    assert 'Did you mean "Quick question"?' in refused["message"]


def test_without_a_file_it_is_the_version_that_was_kept(ask, store, clock):
    with store.transaction(clock.now(), "a test") as ledger:
        enroll(prepare(Prospect(email=TOM), KIMS), ledger=ledger)

    assert enter(ask, IDA, name="Kim's")["version"] == KIMS.version


def test_who_wants_one_version_gets_it_or_is_told(files, ask, laid):
    people = [{"email": IDA}]
    body = {"sequence": "Quick question", "version": sequence().version, "people": people}
    refused = ask.post("/v1/enrollments", body | {"version": "0" * 16}, status=409)
    assert "another version" in refused["message"]

    assert ask.post("/v1/enrollments", body)["enrolled"]


@pytest.mark.parametrize(
    "body",
    [
        {"sequence": "Quick question"},
        {"sequence": "Quick question", "people": []},
        {"sequence": "Quick question", "people": [{"email": IDA, "variables": {"a": [1]}}]},
        {"sequence": "Quick question", "people": [{"email": IDA, "vars": {}}]},
        {"sequence": "Quick question", "people": [{"email": f"p{n}@x.example"} for n in range(501)]},
    ],
)
def test_what_cannot_be_read_is_400_and_nobody_enters(files, ask, body):
    ask.post("/v1/enrollments", body, status=400)

    assert ask.get("/v1/enrollments")["enrollments"] == []


# --- looked at ---


def test_people_are_listed_and_found(files, ask, store, clock):
    ask.post("/v1/suppressions", {"address": "never.example"})
    one = enter(ask, IDA)["enrolled"][0]["enrollment_id"]
    clock.pass_(HOUR)
    enter(ask, TOM, name="Kim's")

    def found(**query):
        return [each["email"] for each in ask.get("/v1/enrollments", **query)["enrollments"]]

    assert found() == [TOM, IDA]
    assert found(sequence="Kim's") == [TOM]
    assert found(email=IDA) == [IDA]
    assert found(state="paused") == []
    page = ask.get("/v1/enrollments", limit=1)
    assert found(limit=1, page_token=page["next_page_token"]) == [IDA]
    shown = ask.get(f"/v1/enrollments/{one}")
    with store.reading(clock.now()) as ledger:
        (row,) = [each for each in ledger.views.people() if each["email"] == IDA]
    same = row.keys() - {"next_send_at"}
    assert {name: row[name] for name in same} == {name: shown[name] for name in same}
    assert shown["draft_id"]


def test_it_is_said_why_somebody_gets_nothing_just_now(files, ask):
    one = enter(ask, IDA)["enrolled"][0]["enrollment_id"]
    ask.post("/v1/stop", {"sequence": "Quick question"})
    told = ask.get("/v1/why", email=IDA.upper())

    (standing,) = told["standings"]
    assert (standing["enrollment_id"], standing["state"]) == (one, "paused")
    assert "relent resume" in standing["release"]
    assert ask.get(f"/v1/enrollments/{one}/why") == standing
    ask.get("/v1/why", email="nobody@x.example", status=404)
    ask.get("/v1/why", status=400)


# --- out ---


def test_one_sequence_is_stopped_and_another_goes_on(files, ask):
    one = enter(ask, IDA)["enrolled"][0]["enrollment_id"]
    enter(ask, IDA, name="Kim's")
    receipt = ask.post(f"/v1/enrollments/{one}/stop")

    assert (receipt["people"], receipt["drafts"], receipt["voided"], receipt["left"]) == (1, 1, 1, 0)
    states = {each["sequence"]: each["state"] for each in ask.get("/v1/enrollments")["enrollments"]}
    assert states == {"Quick question": "stopped", "Kim's": "active"}
    assert ask.post(f"/v1/enrollments/{one}/stop")["people"] == 0


def test_a_person_a_sequence_and_the_house_are_stopped_with_a_receipt(files, ask):
    enter(ask, IDA, TOM)
    assert ask.post("/v1/stop", {"email": IDA})["people"] == 1
    assert ask.post("/v1/stop", {"sequence": "Quick question"})["people"] == 1
    assert ask.post("/v1/stop", {"all": True})["left"] == 0
    released = ask.post("/v1/resume", {"all": True})
    assert "stopped everything" in released["house"]["brake"]["why"]
    resumed = ask.post("/v1/resume", {"sequence": "Quick question"})
    assert (resumed["resumed"], len(resumed["people"])) == (1, 1)
    ask.post("/v1/stop", {"sequence": "Quick question"})
    assert ask.post("/v1/resume", {"email": TOM})["resumed"] == 1


@pytest.mark.parametrize(
    "body", [{}, {"all": False}, {"email": IDA, "all": True}, {"email": "x"}, {"everything": True}]
)
def test_a_stop_that_is_not_clear_is_400(ask, body):
    ask.post("/v1/stop", body, status=400)
    ask.post("/v1/resume", body, status=400)


def test_nobody_and_nothing_to_stop_is_404(ask):
    ask.post("/v1/stop", {"email": "nobody@x.example"}, status=404)
    ask.post("/v1/stop", {"sequence": "Nobody's"}, status=404)
    ask.post("/v1/resume", {"email": "nobody@x.example"}, status=404)


# --- the rest of the house ---


def test_sequences_are_shown_as_files_have_them_and_as_they_were_kept(files, ask):
    enter(ask, IDA)
    changed = sequence({"subject": "Other", "body": "Words"}, approval={"steps": "first", "by": [KIM]})
    files(changed, KIMS)
    found = {each["name"]: each for each in ask.get("/v1/sequences")["sequences"]}

    assert set(found) == {"Quick question", "Kim's"}
    quick = found["Quick question"]
    assert (quick["version"], quick["file_version"]) == (sequence().version, changed.version)
    assert (quick["approval"], quick["may_say_yes"], quick["senders"]) == ("first", [KIM], [SAM])
    assert (found["Kim's"]["version"], found["Kim's"]["kept_at"]) == (None, None)
    whole = ask.get("/v1/sequences/Quick%20question")
    assert [each["version"] for each in whole["versions"]] == [sequence().version]
    assert whole["says"]["steps"][0]["subject"] == "Other"
    ask.get("/v1/sequences/Nobody", status=404)


def test_who_is_never_written_to_is_listed_by_the_alphabet_and_nobody_takes_it_back(files, ask):
    enter(ask, IDA)
    for each in ("zoe@x.example", "nordic.example", "Abe@X.example"):
        made = ask.post("/v1/suppressions", {"address": each, "reason": "asked us to"})
    assert (made["address"], made["reason"]) == ("abe@x.example", "asked us to")
    page = ask.get("/v1/suppressions", limit=2)
    rest = ask.get("/v1/suppressions", page_token=page["next_page_token"], limit=2)

    listed = [each["address"] for each in page["suppressions"] + rest["suppressions"]]
    assert listed == ["abe@x.example", "nordic.example", "zoe@x.example"]
    assert ask.get("/v1/enrollments")["enrollments"][0]["stop_reason"] == "suppressed"
    ask.post("/v1/suppressions", {"address": "no address at all"}, status=409)


def test_what_happens_elsewhere_stops_whom_it_stops_and_counts_once(files, ask):
    enter(ask, IDA)
    body = {"name": "meeting_booked", "email": IDA, "event_id": "cal_1"}
    assert ask.post("/v1/events", body) == {
        "event_id": "cal_1", "new": True, "people": 1, "stopped": 1, "went_on": 0, "suppressed": False,
    }  # fmt: skip
    assert ask.post("/v1/events", body)["new"] is False
    assert ask.post("/v1/events", {"name": "clicked", "email": IDA, "value": "a"})["event_id"]
    refused = ask.post("/v1/events", {"name": "Meeting Booked", "email": IDA}, status=409)
    assert "relent event meeting_booked" in refused["message"]


def test_the_log_says_who_did_what_and_when(files, ask):
    one = enter(ask, IDA)["enrolled"][0]["enrollment_id"]
    (draft,) = ask.get("/v1/drafts")["drafts"]
    ask.post(f"/v1/enrollments/{one}/stop")
    lines = ask.get("/v1/audit")["lines"]

    assert lines[0]["actor"] == "key_config_1"
    assert [each["seq"] for each in lines] == sorted((each["seq"] for each in lines), reverse=True)
    of_it = ask.get("/v1/audit", draft_id=draft["draft_id"], ascending=True)["lines"]
    assert [each["what"] for each in of_it] == ["draft: create", "draft: cancel"]
    assert {each["enrollment_id"] for each in ask.get("/v1/audit", enrollment_id=one)["lines"]} == {one}
    page = ask.get("/v1/audit", limit=2)
    rest = ask.get("/v1/audit", limit=100, page_token=page["next_page_token"])
    both = page["lines"] + rest["lines"]
    assert [each["seq"] for each in both] == [
        each["seq"] for each in ask.get("/v1/audit", limit=100)["lines"]
    ]


# --- keys that may less ---


@pytest.fixture
def kims(laid, key_of):
    """A key that ends at Kim's inbox."""
    return key_of(scope="inbox", scope_id=KIM)


def test_a_key_of_an_inbox_sees_and_touches_only_what_is_there(files, ask, kims):
    sams = enter(ask, IDA)["enrolled"][0]["enrollment_id"]
    own = enter(ask, TOM, name="Kim's", key=kims)["enrolled"][0]["enrollment_id"]
    enter(ask, TOM, status=404, key=kims)
    listed = ask.get("/v1/drafts", key=kims)["drafts"]
    assert [each["to"] for each in listed] == [TOM]
    (foreign,) = ask.get("/v1/drafts", to=IDA)["drafts"]
    body = {"content_sha": foreign["content_sha"]}
    assert ask.get("/v1/drafts", inbox_id=SAM, key=kims)["drafts"] == []
    assert [each["email"] for each in ask.get("/v1/enrollments", key=kims)["enrollments"]] == [TOM]
    path = f"/v1/drafts/{foreign['draft_id']}"
    ask.get(path, status=404, key=kims)
    for verb, more in (
        ("approve", body),
        ("edit", body | {"text": "x"}),
        ("send-now", body),
        ("reschedule", {"send_at": "2026-05-01"}),
        ("reject", {"reason": "no"}),
        ("withdraw", {}),
        ("submit", {}),
    ):
        ask.post(f"{path}/{verb}", more, status=404, key=kims)
    wanted = [{"draft_id": foreign["draft_id"], **body}]
    done = ask.post("/v1/drafts/approve", {"drafts": wanted}, key=kims)
    assert (done["approved"], done["results"][0]["changed"]) == (0, None)
    ask.get(f"/v1/enrollments/{sams}", status=404, key=kims)
    ask.get(f"/v1/enrollments/{sams}/why", status=404, key=kims)
    ask.post(f"/v1/enrollments/{sams}/stop", status=404, key=kims)
    ask.get("/v1/why", email=IDA, status=404, key=kims)
    assert [each["name"] for each in ask.get("/v1/sequences", key=kims)["sequences"]] == ["Kim's"]
    ask.get("/v1/sequences/Quick%20question", status=404, key=kims)
    seen = {each["enrollment_id"] for each in ask.get("/v1/audit", key=kims)["lines"]}
    assert seen == {own}
    assert ask.get("/v1/audit", enrollment_id=sams, key=kims)["lines"] == []


def test_a_stop_by_a_key_of_an_inbox_stops_what_is_written_from_there(files, ask, kims):
    enter(ask, IDA)
    enter(ask, IDA, name="Kim's")
    receipt = ask.post("/v1/stop", {"email": IDA}, key=kims)

    assert receipt["people"] == 1
    states = {each["sequence"]: each["state"] for each in ask.get("/v1/enrollments")["enrollments"]}
    assert states == {"Quick question": "active", "Kim's": "stopped"}
    ask.post("/v1/stop", {"email": TOM}, status=404, key=kims)


def test_a_resume_by_a_key_of_an_inbox_resumes_what_is_written_from_there(files, ask, kims):
    enter(ask, IDA)
    enter(ask, IDA, name="Kim's")
    ask.post("/v1/stop", {"sequence": "Quick question"})
    ask.post("/v1/resume", {"email": IDA}, status=404, key=kims)
    ask.post("/v1/stop", {"sequence": "Kim's"})

    assert ask.post("/v1/resume", {"email": IDA}, key=kims)["resumed"] == 1
    states = {each["sequence"]: each["state"] for each in ask.get("/v1/enrollments")["enrollments"]}
    assert states == {"Quick question": "paused", "Kim's": "active"}


def test_what_reaches_the_whole_house_is_403_for_a_key_of_an_inbox(ask, kims):
    for method, path, body in (
        ("POST", "/v1/stop", {"all": True}),
        ("POST", "/v1/stop", {"sequence": "Quick question"}),
        ("POST", "/v1/resume", {"all": True}),
        ("POST", "/v1/resume", {"sequence": "Quick question"}),
        ("GET", "/v1/suppressions", None),
        ("POST", "/v1/suppressions", {"address": "x.example"}),
        ("POST", "/v1/events", {"name": "clicked", "email": IDA}),
    ):
        refused = ask(method, path, body, status=403, key=kims)
        assert refused["code"] == "beyond_its_scope"


def test_a_key_that_drafts_stops_and_resumes_nothing(files, ask, key_of):
    enter(ask, IDA)
    key = key_of("draft")
    enter(ask, TOM, status=403, key=key)
    ask.post("/v1/stop", {"all": True}, status=403, key=key)
    assert ask.post("/v1/stop", {"email": IDA}, key=key)["people"] == 1
    ask.post("/v1/resume", {"email": IDA}, status=403, key=key)
    ask.post("/v1/suppressions", {"address": IDA}, status=403, key=key)


def test_without_a_key_there_is_nothing_to_see(ask):
    ask.get("/v1/drafts", status=401, key="nobody's")


def test_a_key_of_a_pod_sees_what_its_inboxes_write(files, ask, key_of):
    enter(ask, IDA)
    key = key_of(scope="pod", scope_id="pod_default")

    assert len(ask.get("/v1/drafts", key=key)["drafts"]) == 1
    assert len(ask.get("/v1/enrollments", key=key)["enrollments"]) == 1
    assert ask.get("/v1/audit", key=key)["lines"]
