"""Who is told what happens here: webhooks of everybody, of a pod, of an inbox."""

from collections.abc import Iterable

from engine import subscribers as stories
from engine.errors import Forbidden, NotFound
from engine.keys import may
from engine.store.subscribers import EVERYBODY, Subscriber, Within
from mailroom import forms, wire
from mailroom.api.frame import Asked, Endpoint, everywhere, reading, where

#: Whoever may not look at such letters is not told of them either.
_LABELS = {
    f"message.received.{label}": f"label_{label}_read" for label in ("spam", "blocked", "unauthenticated")
}


def _permit(asked: Asked, kinds: Iterable[str]) -> None:
    for kind in kinds:
        if (needed := _LABELS.get(kind)) and not may(asked.caller, needed):
            raise Forbidden(f"To hear of {kind} a key needs the permission {needed}.", "missing_permission")


def create(asked: Asked) -> wire.Webhook:
    wish: forms.NewWebhook = asked.body
    _permit(asked, wish.event_types)
    made = stories.subscribe(
        stories.Subscription(
            url=wish.url,
            event_types=wish.event_types,
            inbox_ids=wish.inbox_ids,
            pod_ids=wish.pod_ids,
            headers=wish.headers,
            client_id=wish.client_id,
        ),
        within=_within(asked),
        by=asked.caller.key_id,
        judge=asked.desk.judge,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )
    return wire.webhook(made)


def page(asked: Asked) -> wire.Webhooks:
    within = _within(asked)
    with reading(asked) as ledger:
        found = ledger.subscribers.page_of(asked.part(), within)
    return asked.listed(wire.Webhooks, found, wire.webhook)


def get(asked: Asked) -> wire.Webhook:
    return wire.webhook(_webhook_of(asked))


def change(asked: Asked) -> wire.Webhook:
    wish: forms.WebhookChange = asked.body
    _permit(asked, wish.event_types or ())
    changed = stories.change(
        asked.id("webhook_id"),
        stories.Change(
            event_types=wish.event_types or (),
            enabled=wish.enabled,
            add_inbox_ids=wish.add_inbox_ids or (),
            remove_inbox_ids=wish.remove_inbox_ids or (),
            add_pod_ids=wish.add_pod_ids or (),
            remove_pod_ids=wish.remove_pod_ids or (),
        ),
        within=_within(asked),
        by=asked.caller.key_id,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )
    return wire.webhook(changed)


def headers(asked: Asked) -> wire.WebhookHeaderNames:
    return {"header_names": sorted(_webhook_of(asked).headers)}


def change_headers(asked: Asked) -> None:
    wish: forms.WebhookHeaders = asked.body
    stories.change_headers(
        asked.id("webhook_id"),
        wish.headers or {},
        wish.remove_headers or (),
        within=_within(asked),
        by=asked.caller.key_id,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )


def delete(asked: Asked) -> None:
    stories.unsubscribe(
        asked.id("webhook_id"),
        within=_within(asked),
        by=asked.caller.key_id,
        store=asked.desk.store,
        clock=asked.desk.clock,
    )


def _within(asked: Asked) -> Within:
    """Those of the place in the path, or of the place that the key is for."""
    with reading(asked) as ledger:
        here = where(asked, ledger)
        match here.scope:
            case "inbox":
                return Within(inbox_id=here.id)
            case "pod":
                return Within(pod_id=here.id)
            case _:
                return EVERYBODY


def _webhook_of(asked: Asked) -> Subscriber:
    within = _within(asked)
    with reading(asked) as ledger:
        found = ledger.subscribers.get(asked.id("webhook_id"), within)
    if found is None:
        raise NotFound(f"There is no webhook {asked.id('webhook_id')}.")
    return found


_ONE = "/v0/webhooks/{webhook_id}"

ENDPOINTS = tuple(
    endpoint
    for each in (
        Endpoint(
            method="POST",
            path="/v0/webhooks",
            handler=create,
            name="webhooks.create",
            summary="Be told. With a client_id that was used before: the webhook that was made then.",
            needs="webhook_create",
            body=forms.NewWebhook,
            answers=wire.Webhook,
            errors=(403,),
        ),
        Endpoint(
            method="GET",
            path="/v0/webhooks",
            handler=page,
            name="webhooks.list",
            summary="List webhooks, the newest first.",
            needs="webhook_read",
            query=forms.Sorted,
            answers=wire.Webhooks,
        ),
        Endpoint(
            method="GET",
            path=_ONE,
            handler=get,
            name="webhooks.get",
            summary="Look at a webhook; its secret is shown every time.",
            needs="webhook_read",
            answers=wire.Webhook,
            errors=(404,),
        ),
        Endpoint(
            method="PATCH",
            path=_ONE,
            handler=change,
            name="webhooks.update",
            summary="Hear of other things, or be switched off and on again.",
            needs="webhook_update",
            body=forms.WebhookChange,
            answers=wire.Webhook,
            errors=(404,),
        ),
        Endpoint(
            method="GET",
            path=f"{_ONE}/headers",
            handler=headers,
            name="webhooks.get_headers",
            summary="The names of the headers that go along; their values are told to nobody.",
            needs="webhook_read",
            answers=wire.WebhookHeaderNames,
            errors=(404,),
        ),
        Endpoint(
            method="PATCH",
            path=f"{_ONE}/headers",
            handler=change_headers,
            name="webhooks.update_headers",
            summary="Send other headers along.",
            needs="webhook_update",
            body=forms.WebhookHeaders,
            errors=(404,),
        ),
        Endpoint(
            method="DELETE",
            path=_ONE,
            handler=delete,
            name="webhooks.delete",
            summary="Hear nothing more.",
            needs="webhook_delete",
            errors=(404,),
        ),
    )
    for endpoint in everywhere(each)
)
