"""Letters that leave now: new ones, answers, and what is passed on."""

from collections.abc import Mapping
from typing import Any

from engine.errors import NotFound
from engine.post import post
from engine.wish import Author, Wish
from mailroom import forms, wire
from mailroom.api.frame import Asked, Endpoint, inbox_of, reading
from mailroom.forms import addresses, names


def send(asked: Asked) -> wire.SendMessageResponse:
    return _post(asked, _new(asked.body))


def reply(asked: Asked) -> wire.SendMessageResponse:
    body: forms.Answer = asked.body
    said = {name: getattr(body, name) for name in ("to", "cc", "bcc")}
    readers = {name: None if each is None else addresses(each) for name, each in said.items()}
    known = names(*said.values())
    return _post(
        asked, {**readers, "names": known, "reply_all": body.reply_all, "in_reply_to": _named(asked)}
    )


def reply_all(asked: Asked) -> wire.SendMessageResponse:
    return _post(asked, {"reply_all": True, "in_reply_to": _named(asked)})


def forward(asked: Asked) -> wire.SendMessageResponse:
    return _post(asked, {**_new(asked.body), "forward_of": _named(asked)})


def _new(body: forms.Send) -> dict[str, Any]:
    return {
        "to": addresses(body.to),
        "cc": addresses(body.cc),
        "bcc": addresses(body.bcc),
        "names": names(body.to, body.cc, body.bcc),
        "subject": body.subject,
    }


def _named(asked: Asked) -> str:
    """The message in the path, in whichever way its id can be read."""
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
        found = ledger.letters.get(inbox.id, *asked.path["message_id"])
    if found is None:
        raise NotFound(f"There is no message {asked.id('message_id')} in {inbox.id}.")
    return found.message_id


def _post(asked: Asked, more: Mapping[str, Any]) -> wire.SendMessageResponse:
    body = asked.body
    with reading(asked) as ledger:
        inbox = inbox_of(asked, ledger)
    wish = Wish(
        inbox_id=inbox.id,
        text=body.text or "",
        html=body.html,
        reply_to=addresses(body.reply_to),
        headers=body.headers,
        files=tuple(file.enclosure() for file in body.attachments),
        labels=tuple(body.labels),
        **{**more, "names": {**names(body.reply_to), **more.get("names", {})}},
    )
    posted = post(wish, key=asked.once, by=Author(id=asked.caller.key_id), counter=asked.counter)
    return {"message_id": posted.message_id, "thread_id": posted.thread_id}


def _endpoint(
    name: str, path: str, handler: Any, body: Any, summary: str, needs: str = "message_send"
) -> Endpoint:
    return Endpoint(
        method="POST",
        path=f"/v0/inboxes/{{inbox_id}}/messages/{path}",
        handler=handler,
        name=f"inboxes.messages.{name}",
        summary=summary,
        needs=needs,
        body=body,
        once=True,
        answers=wire.SendMessageResponse,
        errors=(400, 403, 404, 409, 422),
    )


_MESSAGE = "{message_id:path}"

ENDPOINTS = (
    _endpoint("send", "send", send, forms.Send, "A new letter"),
    _endpoint(
        "reply", f"{_MESSAGE}/reply", reply, forms.Answer, "An answer to whoever wrote", "message_reply"
    ),
    _endpoint(
        "reply_all",
        f"{_MESSAGE}/reply-all",
        reply_all,
        forms.AnswerAll,
        "An answer to everybody",
        "message_reply",
    ),
    _endpoint("forward", f"{_MESSAGE}/forward", forward, forms.Send, "Passed on, with its files"),
)
