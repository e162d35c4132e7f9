"""Messages, threads and files over HTTP: whose they are, who may see them, and what their links are good for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from engine.ids import new_id
from engine.model import Enclosure
from engine.receive import Arrived, receive
from mailroom.hearsay import told

IDA = "ida@nordic.example"

Comes = Callable[..., str]


@pytest.fixture
def comes(house, clock) -> Comes:
    """A letter lands; its Message-ID."""

    def one(inbox: str, **more: Any) -> str:
        clock.pass_(timedelta(seconds=1))
        event_id = new_id("evt", clock.now())
        usual: dict[str, Any] = {
            "event_id": event_id,
            "inbox_id": inbox,
            "message_id": f"<{event_id}@nordic.example>",
            "sender": IDA,
            "to": (inbox,),
            "subject": "Hello",
            "text": "Good day.",
        }
        arrived = Arrived(**usual | more)
        receive(arrived, read=told, store=house.store, clock=clock, pace=house.pace)
        return arrived.message_id

    return one


@pytest.fixture
def messages(inbox) -> str:
    return f"/v0/inboxes/{inbox}/messages"


def _names(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["message_id"] for each in answer.json()["messages"]]


def _key(api, **wanted: Any) -> dict[str, str]:
    answer = api.post(wanted.pop("at", "/v0/api-keys"), json={"name": "a test"} | wanted)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['api_key']}"}


# --- how they are named ---


@pytest.mark.parametrize("odd", ["<a/b@x.test>", "<a%41b@x.test>", "<a+b@x.test>", "<a?b#c@x.test>", "<raw>"])
def test_a_message_is_found_whatever_signs_are_in_its_id(api, inbox, messages, comes, odd):
    comes(inbox, message_id=odd)
    for way in odd, odd.strip("<>"):
        answer = api.get(f"{messages}/{quote(way, safe='')}")
        assert answer.json().get("message_id") == odd, answer.text


def test_the_raw_form_of_a_message_whose_id_ends_like_a_path(api, inbox, messages, comes):
    comes(inbox, message_id="<a/raw@x.test>")
    assert api.get(f"{messages}/{quote('<a/raw@x.test>')}/raw").json()["message_id"] == "<a/raw@x.test>"


def test_a_list_shows_no_bodies_and_a_message_does(api, inbox, messages, comes):
    name = comes(inbox, text="Yes.\n\nOn Monday, Sam wrote:\n> Would you?\n", html="<p>Yes.</p>")
    [item] = api.get(messages).json()["messages"]
    assert item["preview"].startswith("Yes.")
    assert {"text", "html", "extracted_text"}.isdisjoint(item)
    whole = api.get(f"{messages}/{quote(name)}").json()
    assert (whole["html"], whole["extracted_text"].strip()) == ("<p>Yes.</p>", "Yes.")


def test_a_page_token_is_good_for_its_own_list_only(api, inbox, messages, comes):
    made = [comes(inbox) for _ in range(3)]
    first = api.get(messages, params={"limit": 2}).json()
    token = first["next_page_token"]
    assert _names(api.get(messages, params={"limit": 2, "page_token": token})) == made[:1]
    for other, params in (messages, {"labels": "unread"}), (f"/v0/inboxes/{inbox}/threads", {}):
        answer = api.get(other, params={"page_token": token, **params})
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")


# --- search ---


def test_many_words_are_too_many(api, messages):
    answer = api.get(f"{messages}/search", params={"q": " ".join(map(str, range(21)))})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == ["q"]


def test_a_search_is_paged(api, inbox, messages, comes):
    made = [comes(inbox, text="zeppelin") for _ in range(3)]
    first = api.get(f"{messages}/search", params={"q": "zeppelin", "limit": 2}).json()
    more = {"q": "zeppelin", "limit": 2, "page_token": first["next_page_token"]}
    rest = api.get(f"{messages}/search", params=more)
    assert [each["message_id"] for each in first["messages"]] + _names(rest) == made[::-1]


# --- labels ---


def test_a_label_is_one_or_several(api, inbox, messages, comes):
    name = quote(comes(inbox))
    for said in "Hot", ["Hot"]:
        answer = api.patch(f"{messages}/{name}", json={"add_labels": said})
        assert answer.json()["labels"] == ["received", "unread", "hot"]


def test_a_label_of_the_house_is_refused_by_its_place(api, inbox, messages, comes):
    name = quote(comes(inbox))
    answer = api.patch(f"{messages}/{name}", json={"remove_labels": ["hot", "sent"]})
    assert (answer.status_code, answer.json()["errors"][0]["path"][0]) == (400, "remove_labels")


def test_labels_are_told_as_events(api, inbox, messages, comes):
    name = comes(inbox)
    api.patch(f"{messages}/{quote(name)}", json={"add_labels": "hot"})
    [event] = api.get(f"/v0/inboxes/{inbox}/events").json()["events"]
    assert (event["event_type"], event["label"], event["message_id"]) == ("label.added", "hot", name)


# --- who may see what ---


def test_what_is_hidden_is_not_there_for_a_key_that_may_not_see_it(api, inbox, messages, comes):
    name = comes(inbox, spam=True)
    thread_id = api.get(f"{messages}/{quote(name)}").json()["thread_id"]
    blind = _key(api, permissions={"message_read": True, "message_update": True, "message_delete": True})
    asked: dict[str, Any] = {"params": {"include_spam": "true"}}
    assert _names(api.get(messages, **asked)) == [name]
    assert _names(api.get(messages, **asked, headers=blind)) == []
    assert api.get(f"/v0/inboxes/{inbox}/threads", **asked, headers=blind).json()["count"] == 0
    one, thread = f"{messages}/{quote(name)}", f"/v0/threads/{thread_id}"
    for method, path in (
        ("GET", one), ("PATCH", one), ("DELETE", one), ("GET", f"{one}/raw"), ("GET", thread), ("PATCH", thread),
        ("DELETE", thread),
    ):  # fmt: skip
        body = {"json": {}} if method == "PATCH" else {}
        assert api.request(method, path, headers=blind, **body).status_code == 404, (method, path)
    batch = {"message_ids": [name]}
    assert _names(api.post(f"{messages}/batch-get", json=batch, headers=blind)) == []
    assert api.post(f"{messages}/batch-update", json=batch, headers=blind).status_code == 400
    assert _names(api.post(f"{messages}/batch-get", json=batch)) == [name]


@pytest.mark.parametrize(
    ("method", "needs"), [("GET", "message_read"), ("PATCH", "message_update"), ("DELETE", "message_delete")]
)
def test_a_key_needs_its_permission(api, inbox, messages, comes, method, needs):
    name = quote(comes(inbox))
    without = _key(api, permissions={"inbox_read": True})
    for path in f"{messages}/{name}", "/v0/threads/thr_1":
        body = {"json": {}} if method == "PATCH" else {}
        answer = api.request(method, path, headers=without, **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_permission")
        assert needs in answer.json()["message"]


def test_the_key_of_an_inbox_sees_its_threads_only(api, inbox, comes):
    other = api.post("/v0/inboxes", json={"username": "kim", "domain": "house.test"}).json()["inbox_id"]
    comes(inbox)
    comes(other)
    own = _key(api, at=f"/v0/inboxes/{other}/api-keys")
    listed = api.get("/v0/threads", headers=own).json()["threads"]
    assert [each["inbox_id"] for each in listed] == [other]
    assert api.get("/v0/threads").json()["count"] == 2
    [thread_id] = [each["thread_id"] for each in api.get(f"/v0/inboxes/{inbox}/threads").json()["threads"]]
    for path in f"/v0/threads/{thread_id}", f"/v0/inboxes/{inbox}/threads", f"/v0/inboxes/{inbox}/messages":
        assert api.get(path, headers=own).status_code == 404
    assert api.get("/v0/threads/search", params={"q": "day"}, headers=own).json()["count"] == 1


def test_a_pod_has_the_threads_of_its_inboxes_only(api, inbox, comes):
    comes(inbox)
    other = api.post("/v0/pods", json={"name": "another"}).json()["pod_id"]
    home = api.get(f"/v0/inboxes/{inbox}").json()["pod_id"]
    [thread] = api.get(f"/v0/pods/{home}/threads").json()["threads"]
    assert api.get(f"/v0/pods/{other}/threads").json()["count"] == 0
    assert api.get(f"/v0/pods/{other}/threads/{thread['thread_id']}").status_code == 404
    assert api.get(f"/v0/pods/{home}/threads/{thread['thread_id']}").json()["message_count"] == 1
    assert api.get("/v0/pods/pod_nobody/threads").status_code == 404


# --- what their links are good for ---


@pytest.fixture
def link(api, inbox, messages, comes) -> str:
    """To a file of a message."""
    page = Enclosure(name='a "page"\u00e9.html', content_type="text/html", content=b"<script>1</script>")
    name = quote(comes(inbox, files=(page,)))
    [file] = api.get(f"{messages}/{name}").json()["attachments"]
    told = api.get(f"{messages}/{name}/attachments/{file['attachment_id']}").json()
    assert (told["filename"], told["size"]) == ('a "page"\u00e9.html', 18)
    return str(told["download_url"]).removeprefix("http://testserver")


def test_a_link_needs_no_key_and_gives_nothing_to_run(api, link):
    answer = api.get(link, headers={"Authorization": ""})
    assert (answer.status_code, answer.content) == (200, b"<script>1</script>")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%22page%22%C3%A9.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")


def test_a_link_is_good_for_an_hour(api, clock, link):
    clock.pass_(timedelta(minutes=59))
    assert api.get(link).status_code == 200
    clock.pass_(timedelta(minutes=1))
    assert api.get(link).status_code == 404


def test_a_link_that_was_tampered_with_is_good_for_nothing(api, link):
    head, _, token = link.rpartition("/")
    for wrong in token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), token[1:], "x", "A" * 5000, "%00":
        assert api.get(f"{head}/{wrong}").status_code == 404


def test_a_page_token_is_no_link(api, inbox, messages, comes):
    for _ in range(2):
        comes(inbox)
    token = api.get(messages, params={"limit": 1}).json()["next_page_token"]
    assert api.get(f"/v0/downloads/{token}").status_code == 404


def test_the_link_to_a_message_ends_with_it(api, inbox, messages, comes):
    name = quote(comes(inbox, names={IDA: "Ida Ø."}, headers={"X-Campaign": "north"}))
    told = api.get(f"{messages}/{name}/raw").json()
    link = told["download_url"]
    letter = api.get(link, headers={"Authorization": ""})
    assert letter.headers["content-type"] == "message/rfc822"
    assert len(letter.content) == told["size"]
    assert b"X-Campaign: north" in letter.content
    assert api.delete(f"{messages}/{name}").status_code == 204
    assert api.get(link).status_code == 404


def test_the_links_of_a_deleted_inbox_end_with_it(api, inbox, link):
    assert api.delete(f"/v0/inboxes/{inbox}").status_code == 204
    assert api.get(link).status_code == 404


def test_the_link_to_a_file_ends_with_what_held_it(api, inbox, messages, comes):
    files = (Enclosure(name="a.txt", content_type="text/plain", content=b"the same"),)
    name, twin = (quote(comes(inbox, files=files)) for _ in range(2))
    told = api.get(f"{messages}/{name}").json()
    [file] = told["attachments"]
    holders = f"{messages}/{name}", f"/v0/threads/{told['thread_id']}"
    links = [
        api.get(f"{each}/attachments/{file['attachment_id']}").json()["download_url"] for each in holders
    ]
    assert [api.get(link).status_code for link in links] == [200, 200]
    assert api.delete(f"{messages}/{name}").status_code == 204
    assert [api.get(link).status_code for link in links] == [404, 404]
    assert api.get(f"{messages}/{twin}").json()["attachments"]


@pytest.mark.parametrize("leaves", [True, False])
def test_the_link_to_a_file_of_a_draft_ends_with_it_unless_it_leaves(api, inbox, leaves):
    drafts = f"/v0/inboxes/{inbox}/drafts"
    body = {"to": [IDA], "attachments": [{"filename": name, "content": "aGk="} for name in "ab"]}
    made = api.post(drafts, json=body).json()
    here = f"{drafts}/{made['draft_id']}"
    link = api.get(f"{here}/attachments/{made['attachments'][0]['attachment_id']}").json()["download_url"]
    assert api.get(link).content == b"hi"
    assert (api.post(f"{here}/send") if leaves else api.delete(here)).status_code in (200, 204)
    assert api.get(link).status_code == (200 if leaves else 404)


def test_a_draft_has_no_more_files_than_a_letter_however_many_requests_bring_them(api, inbox):
    files = [{"filename": str(number), "content": ""} for number in range(100)]
    made = api.post(f"/v0/inboxes/{inbox}/drafts", json={"attachments": files[:99]}).json()
    here = f"/v0/inboxes/{inbox}/drafts/{made['draft_id']}"
    assert len(api.patch(here, json={"add_attachments": files[:1]}).json()["attachments"]) == 100
    refused = api.patch(here, json={"add_attachments": files[:1]})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, ["add_attachments"])
    one_for_one = {
        "add_attachments": files[:1],
        "remove_attachments": [made["attachments"][0]["attachment_id"]],
    }
    assert len(api.patch(here, json=one_for_one).json()["attachments"]) == 100


def test_a_file_of_nobody_is_not_found(api, inbox, messages, comes):
    name = comes(inbox)
    thread_id = api.get(f"{messages}/{quote(name)}").json()["thread_id"]
    for path in f"{messages}/{quote(name)}/attachments/att_1", f"/v0/threads/{thread_id}/attachments/att_1":
        assert api.get(path).status_code == 404
