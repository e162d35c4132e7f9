"""Who asks, whose house it is, which pods there are in it, and the keys to all of that."""

from engine import inboxes as stories
from engine.errors import NotFound
from engine.store.keys import ApiKey
from mailroom import forms, wire
from mailroom.api.frame import Asked, Endpoint, Where, everywhere, pod_of, reading, where


def me(asked: Asked) -> wire.Identity:
    caller = asked.caller
    pod_id = caller.scope_id if caller.scope == "pod" else None
    if caller.scope == "inbox":
        with reading(asked) as ledger:
            inbox = ledger.inboxes.get(caller.scope_id)
            pod_id = inbox.pod_id if inbox else None
    return wire.identity(caller, organization_id=asked.desk.organization_id, pod_id=pod_id)


def organization(asked: Asked) -> wire.Organization:
    with reading(asked) as ledger:
        return wire.organization(stories.organization(ledger))


# --- pods ---


def create_pod(asked: Asked) -> wire.Pod:
    wish: forms.NewPod = asked.body
    made = stories.open_pod(
        wish.name, wish.client_id, by=asked.caller.key_id, store=asked.desk.store, clock=asked.desk.clock
    )
    return wire.pod(made)


def pods(asked: Asked) -> wire.Pods:
    own = asked.caller.scope_id if asked.caller.scope == "pod" else None
    with reading(asked) as ledger:
        return asked.listed(wire.Pods, ledger.inboxes.pods(asked.part(), pod_id=own), wire.pod)


def pod(asked: Asked) -> wire.Pod:
    with reading(asked) as ledger:
        return wire.pod(pod_of(asked, ledger))


def delete_pod(asked: Asked) -> None:
    with reading(asked) as ledger:
        found = pod_of(asked, ledger)
    stories.delete_pod(found.id, by=asked.caller.key_id, store=asked.desk.store, clock=asked.desk.clock)


# --- keys ---


def create_key(asked: Asked) -> wire.ApiKeyMade:
    wish: forms.NewKey = asked.body
    here = _where(asked)
    made = asked.desk.keys.make(
        wish.name or "API key",
        scope=here.scope,
        scope_id=here.id,
        permissions=wish.permissions,
        expires_at=wish.expires_at,
        by=asked.caller,
    )
    return wire.api_key_made(made)


def list_keys(asked: Asked) -> wire.ApiKeys:
    here = _where(asked)
    found = asked.desk.keys.list(asked.part(), scope=here.scope, scope_id=here.id)
    return asked.listed(wire.ApiKeys, found, wire.api_key)


def key(asked: Asked) -> wire.ApiKey:
    return wire.api_key(_key(asked))


def change_key(asked: Asked) -> wire.ApiKey:
    wish: forms.KeyWords = asked.body
    changed = asked.desk.keys.change(
        _key(asked).id,
        name=wish.name,
        permissions=wish.permissions if wish.said("permissions") else "as they are",
        by=asked.caller,
    )
    return wire.api_key(changed)


def delete_key(asked: Asked) -> None:
    asked.desk.keys.revoke(_key(asked).id, by=asked.caller)


def _where(asked: Asked) -> Where:
    with reading(asked) as ledger:
        return where(asked, ledger)


def _key(asked: Asked) -> ApiKey:
    """The key that the path names. Raises NotFound, also when it is no key of this pod, or this inbox."""
    here = _where(asked)
    found = asked.desk.keys.find(asked.id("api_key_id"), by=asked.caller)
    if {"pod_id", "inbox_id"} & set(asked.path) and not _belongs(found, here, asked):
        raise NotFound(f"There is no key {found.id} in {here.id}.")
    return found


def _belongs(key: ApiKey, here: Where, asked: Asked) -> bool:
    """To a pod belong the keys of its inboxes, too."""
    if key.scope == "inbox" and here.scope == "pod":
        with reading(asked) as ledger:
            inbox = ledger.inboxes.get(key.scope_id)
        return inbox is not None and inbox.pod_id == here.id
    return (key.scope, key.scope_id) == (here.scope, here.id)


_KEYS = (
    Endpoint(
        method="POST",
        path="/v0/api-keys",
        handler=create_key,
        name="api_keys.create",
        summary="Make a key. It is shown this once, and kept by nobody here.",
        needs="api_key_create",
        body=forms.NewKey,
        answers=wire.ApiKeyMade,
        errors=(404, 409),
    ),
    Endpoint(
        method="GET",
        path="/v0/api-keys",
        handler=list_keys,
        name="api_keys.list",
        summary="List keys, the newest first.",
        needs="api_key_read",
        query=forms.Sorted,
        answers=wire.ApiKeys,
    ),
    Endpoint(
        method="GET",
        path="/v0/api-keys/{api_key_id}",
        handler=key,
        name="api_keys.get",
        summary="Look at what is known of a key.",
        needs="api_key_read",
        answers=wire.ApiKey,
    ),
    Endpoint(
        method="PATCH",
        path="/v0/api-keys/{api_key_id}",
        handler=change_key,
        name="api_keys.update",
        summary="Rename a key, or change what it may.",
        needs="api_key_update",
        body=forms.KeyWords,
        answers=wire.ApiKey,
    ),
    Endpoint(
        method="DELETE",
        path="/v0/api-keys/{api_key_id}",
        handler=delete_key,
        name="api_keys.delete",
        summary="Revoke a key. It opens nothing any more.",
        needs="api_key_delete",
    ),
)

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v0/auth/me",
        handler=me,
        name="auth.me",
        summary="Who am I? What this key is for.",
        answers=wire.Identity,
    ),
    Endpoint(
        method="GET",
        path="/v0/organizations",
        handler=organization,
        name="organizations.get",
        summary="Look at the organization: there is one.",
        answers=wire.Organization,
    ),
    Endpoint(
        method="POST",
        path="/v0/pods",
        handler=create_pod,
        name="pods.create",
        summary="Make a pod, for inboxes that belong together.",
        needs="pod_create",
        body=forms.NewPod,
        answers=wire.Pod,
        bare=True,
    ),
    Endpoint(
        method="GET",
        path="/v0/pods",
        handler=pods,
        name="pods.list",
        summary="List pods, the newest first.",
        needs="pod_read",
        query=forms.Sorted,
        answers=wire.Pods,
    ),
    Endpoint(
        method="GET",
        path="/v0/pods/{pod_id}",
        handler=pod,
        name="pods.get",
        summary="Look at a pod.",
        needs="pod_read",
        answers=wire.Pod,
    ),
    Endpoint(
        method="DELETE",
        path="/v0/pods/{pod_id}",
        handler=delete_pod,
        name="pods.delete",
        summary="Delete a pod in which nobody lives any more.",
        needs="pod_delete",
    ),
    *(scoped for each in _KEYS for scoped in everywhere(each)),
)
