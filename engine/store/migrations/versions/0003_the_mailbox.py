"""What a mailbox remembers that others speak to: drafts by hand, labels, threads by their last word, keys, subscribers."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Only additions: whatever was on its way goes on as it was."""
    _inbox()
    _thread()
    _draft()
    _message()
    _api_key()
    _arrival()
    _label_event()
    _list_entry()
    _pod()
    _telling()
    _webhook()
    _delivery()
    _delivery_try()
    _draft_label()
    _idempotency()
    _message_label()
    _who_was_here_before()
    _what_was_said_before()


def _inbox() -> None:
    op.add_column("inbox", _text("display_name", null=True))
    op.add_column("inbox", _text("client_id", null=True))
    op.add_column("inbox", _text("status", default="active"))
    op.add_column("inbox", _json("metadata", default="{}"))
    op.add_column("inbox", _text("pod_id", default="pod_default"))
    op.add_column("inbox", _time("updated_at", default="0"))
    op.add_column("inbox", _time("deleted_at", null=True))
    _partial_index("inbox_client", "inbox", ["client_id"], "client_id IS NOT NULL", unique=True)
    _partial_index("inbox_made", "inbox", ["created_at", "id"], "deleted_at IS NULL")
    op.create_index("inbox_pod", "inbox", ["pod_id", "created_at", "id"])


def _thread() -> None:
    op.add_column("thread", _time("last_at", null=True))
    op.add_column("thread", _time("received_at", null=True))
    op.add_column("thread", _time("sent_at", null=True))
    op.add_column("thread", _text("last_message_id", null=True))
    op.add_column("thread", _number("message_count", default="0"))
    op.add_column("thread", _number("last_position", default="0"))
    op.add_column("thread", _number("size", default="0"))
    op.add_column("thread", _json("senders", default="[]"))
    op.add_column("thread", _json("recipients", default="[]"))
    op.add_column("thread", _text("preview", null=True))
    op.add_column("thread", _text("hidden", null=True))
    op.add_column("thread", _time("updated_at", default="0"))
    _partial_index("thread_shown", "thread", ["inbox_id", "last_at", "id"], "last_at IS NOT NULL")
    _partial_index("thread_shown_all", "thread", [sa.text("(last_at + 0)"), "id"], "last_at IS NOT NULL")


def _draft() -> None:
    op.add_column("draft", _json("also_to", default="[]"))
    op.add_column("draft", _json("names", default="{}"))
    op.add_column("draft", _json("reply_to", default="[]"))
    op.add_column("draft", _json("headers", default="{}"))
    op.add_column("draft", _text("in_reply_to", null=True))
    op.add_column("draft", _text("forward_of", null=True))
    op.add_column("draft", _text("goes_into", null=True))
    op.add_column("draft", _text("kind", default="plain"))
    op.add_column("draft", _json("labels", default="[]"))
    op.add_column("draft", _text("client_id", null=True))
    op.add_column("draft", _time("edited_at", default="0"))
    op.create_index("draft_state_all", "draft", [sa.text("(state || '')"), "id"])
    op.create_index("draft_inbox_all", "draft", [sa.text("(inbox_id || '')"), "id"])
    _partial_index("draft_client", "draft", ["inbox_id", "client_id"], "client_id IS NOT NULL", unique=True)
    _partial_index(
        "draft_shown", "draft", ["inbox_id", "edited_at", "id"], "state NOT IN ('sent', 'cancelled')"
    )
    _partial_index(
        "draft_shown_all", "draft", [sa.text("(edited_at + 0)"), "id"], "state NOT IN ('sent', 'cancelled')"
    )
    waiting = "state = 'scheduled' OR state = 'held'"
    _partial_index("draft_waiting", "draft", ["inbox_id", "state", "edited_at", "id"], waiting)
    everywhere = [sa.text("(state || '')"), sa.text("(edited_at + 0)"), "id"]
    _partial_index("draft_waiting_all", "draft", everywhere, waiting.replace("state", "(state || '')"))


def _message() -> None:
    # PostgreSQL would take it for the newest letters of one inbox, and read everybody's
    op.drop_index("message_time", "message")
    op.add_column("message", _json("bcc", default="[]"))
    op.add_column("message", _json("names", default="{}"))
    op.add_column("message", _json("reply_to", default="[]"))
    op.add_column("message", _json("headers", default="{}"))
    op.add_column("message", _json("attachments", default="[]"))
    op.add_column("message", _number("size", default="0"))
    op.add_column("message", _text("hidden", null=True))
    op.add_column("message", _time("updated_at", default="0"))
    _partial_index("message_draft", "message", ["draft_id"], "draft_id IS NOT NULL")
    op.create_index("message_every", "message", ["inbox_id", "timestamp", "message_id"])
    _partial_index("message_shown", "message", ["inbox_id", "timestamp", "message_id"], "hidden IS NULL")


def _api_key() -> None:
    op.create_table(
        "api_key",
        _text("id"),
        _text("hash"),
        _text("prefix"),
        _text("name"),
        _text("scope"),
        _text("scope_id"),
        _json("permissions", default="{}"),
        _time("created_at"),
        _time("updated_at"),
        _time("used_at", null=True),
        _time("expires_at", null=True),
        _time("revoked_at", null=True),
        sa.PrimaryKeyConstraint("id", name="api_key_pk"),
        sa.UniqueConstraint("hash", name="api_key_hash_key"),
    )
    op.create_index("api_key_made", "api_key", ["created_at", "id"])


def _arrival() -> None:
    op.create_table(
        "arrival",
        _text("id"),
        _text("inbox_id"),
        _text("message_id"),
        _text("from_inbox"),
        _time("at"),
        _number("tries", default="0"),
        _time("next_try_at", null=True),
        _time("ended_at", null=True),
        _text("outcome", null=True),
        sa.PrimaryKeyConstraint("id", name="arrival_pk"),
    )
    _partial_index("arrival_due", "arrival", ["next_try_at"], "ended_at IS NULL")


def _label_event() -> None:
    op.create_table(
        "label_event",
        _text("id"),
        _text("inbox_id"),
        _text("message_id"),
        _text("thread_id"),
        _text("label"),
        _text("what"),
        _time("at"),
        sa.PrimaryKeyConstraint("id", name="label_event_pk"),
    )
    op.create_index("label_event_inbox", "label_event", ["inbox_id", "id"])


def _list_entry() -> None:
    op.create_table(
        "list_entry",
        _text("scope"),
        _text("scope_id"),
        _text("direction"),
        _text("kind"),
        _text("entry"),
        _text("reason", null=True),
        _time("created_at"),
        sa.PrimaryKeyConstraint("scope", "scope_id", "direction", "kind", "entry", name="list_entry_pk"),
    )
    op.create_index("list_entry_entry", "list_entry", ["entry"])


def _pod() -> None:
    op.create_table(
        "pod",
        _text("id"),
        _text("name"),
        _text("client_id", null=True),
        _time("created_at"),
        _time("updated_at"),
        _time("deleted_at", null=True),
        sa.PrimaryKeyConstraint("id", name="pod_pk"),
    )
    _partial_index("pod_client", "pod", ["client_id"], "client_id IS NOT NULL", unique=True)


def _telling() -> None:
    op.create_table(
        "telling",
        _text("id"),
        _text("kind"),
        _text("inbox_id"),
        _text("thread_id", null=True),
        _text("message_id", null=True),
        _text("draft_id", null=True),
        _json("says"),
        _time("at"),
        sa.PrimaryKeyConstraint("id", name="telling_pk"),
    )
    op.create_index("telling_at", "telling", ["at"])


def _webhook() -> None:
    op.create_table(
        "webhook",
        _text("id"),
        _text("url"),
        _json("event_types"),
        _json("inbox_ids", default="[]"),
        _json("pod_ids", default="[]"),
        _text("inbox_id", null=True),
        _text("pod_id", null=True),
        _json("headers", default="{}"),
        _text("client_id", null=True),
        _yes_or_no("enabled", default="1"),
        _text("secret"),
        _text("old_secret", null=True),
        _time("old_until", null=True),
        _time("failing_since", null=True),
        _text("why_off", null=True),
        _time("created_at"),
        _time("updated_at"),
        _time("deleted_at", null=True),
        sa.PrimaryKeyConstraint("id", name="webhook_pk"),
    )
    _partial_index("webhook_client", "webhook", ["client_id"], "client_id IS NOT NULL", unique=True)
    _partial_index("webhook_made", "webhook", ["created_at", "id"], "deleted_at IS NULL")


def _delivery() -> None:
    op.create_table(
        "delivery",
        _text("id"),
        _text("telling_id"),
        _text("webhook_id"),
        _number("tries", default="0"),
        _time("next_try_at", null=True),
        _time("ended_at", null=True),
        _text("outcome", null=True),
        _number("status", null=True),
        sa.ForeignKeyConstraint(["telling_id"], ["telling.id"], name="delivery_telling_id_fk"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.id"], name="delivery_webhook_id_fk"),
        sa.PrimaryKeyConstraint("id", name="delivery_pk"),
    )
    _partial_index("delivery_due", "delivery", ["next_try_at"], "ended_at IS NULL")
    op.create_index("delivery_log", "delivery", ["webhook_id", "id"])
    op.create_index("delivery_telling", "delivery", ["telling_id"])


def _delivery_try() -> None:
    op.create_table(
        "delivery_try",
        _text("delivery_id"),
        _number("number"),
        _time("at"),
        _number("status", null=True),
        _text("words", null=True),
        _number("took_ms"),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name="delivery_try_delivery_id_fk"),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="delivery_try_pk"),
    )


def _draft_label() -> None:
    op.create_table(
        "draft_label",
        _text("draft_id"),
        _text("label"),
        _text("inbox_id"),
        _time("edited_at"),
        sa.ForeignKeyConstraint(["draft_id"], ["draft.id"], name="draft_label_draft_id_fk"),
        sa.PrimaryKeyConstraint("draft_id", "label", name="draft_label_pk"),
    )
    op.create_index("draft_label_all", "draft_label", ["label", "edited_at", "draft_id"])
    op.create_index("draft_label_inbox", "draft_label", ["inbox_id", "label", "edited_at", "draft_id"])


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        _text("key"),
        _text("request_sha"),
        _text("draft_id"),
        _time("created_at"),
        sa.ForeignKeyConstraint(["draft_id"], ["draft.id"], name="idempotency_draft_id_fk"),
        sa.PrimaryKeyConstraint("key", name="idempotency_pk"),
    )
    op.create_index("idempotency_age", "idempotency", ["created_at"])


def _message_label() -> None:
    op.create_table(
        "message_label",
        _text("inbox_id"),
        _text("message_id"),
        _text("label"),
        _text("thread_id"),
        _time("timestamp"),
        sa.ForeignKeyConstraint(
            ["inbox_id", "message_id"],
            ["message.inbox_id", "message.message_id"],
            name="message_label_message_fk",
        ),
        sa.PrimaryKeyConstraint("inbox_id", "message_id", "label", name="message_label_pk"),
    )
    op.create_index("message_label_thread", "message_label", ["thread_id", "label"])
    op.create_index("message_label_time", "message_label", ["inbox_id", "label", "timestamp", "message_id"])


# --- what was there is known as if it had been made today ---

_SOME = 1000
_PREVIEW = 200


def _who_was_here_before() -> None:
    pods = sa.table("pod", *map(sa.column, ("id", "name", "created_at", "updated_at")))
    now = op.get_bind().scalar(sa.text("SELECT min(created_at) FROM inbox")) or 0
    op.execute(pods.insert().values(id="pod_default", name="Default", created_at=now, updated_at=now))
    op.execute("UPDATE inbox SET updated_at = created_at")
    op.execute("UPDATE draft SET edited_at = updated_at")
    op.execute('UPDATE message SET updated_at = "timestamp", size = length(subject) + length(text)')
    op.execute(
        "UPDATE message SET attachments = (SELECT attachments FROM draft WHERE draft.id = message.draft_id)"
        " WHERE draft_id IN (SELECT id FROM draft)"
    )
    op.execute("UPDATE thread SET updated_at = created_at")


def _what_was_said_before() -> None:
    """Every conversation gets what its letters say of it, and every letter can be found by its labels."""
    said = sa.text(
        'SELECT thread_id, inbox_id, message_id, direction, sender, "to", cc, text, labels, "timestamp", position, size'
        " FROM message ORDER BY thread_id, position"
    ).columns(to=sa.JSON, cc=sa.JSON, labels=sa.JSON)
    threads, labels = [], []
    for thread_id, letters in groupby(op.get_bind().execute(said).all(), key=lambda row: row.thread_id):
        found = list(letters)
        threads.append({"which": thread_id} | _summed_up(found))
        labels += [each for letter in found for each in _labels_of(letter)]
    columns = (
        "id", "last_at", "received_at", "sent_at", "last_message_id", "message_count", "last_position", "size",
        "preview", "updated_at",
    )  # fmt: skip
    lists = [sa.column(name, sa.JSON) for name in ("senders", "recipients")]
    table = sa.table("thread", *map(sa.column, columns), *lists)
    summed = table.update().where(table.c.id == sa.bindparam("which"))
    for some in _some(threads):
        op.get_bind().execute(summed, some)
    found_by = sa.table(
        "message_label", *map(sa.column, ("inbox_id", "message_id", "label", "thread_id", "timestamp"))
    )
    for some in _some(labels):
        op.get_bind().execute(found_by.insert(), some)


def _summed_up(letters: list[Any]) -> dict[str, Any]:
    last = max(letters, key=lambda letter: (letter.timestamp, letter.position))
    by = {way: [each.timestamp for each in letters if each.direction == way] for way in ("received", "sent")}
    return {
        "last_at": last.timestamp,
        "received_at": max(by["received"], default=None),
        "sent_at": max(by["sent"], default=None),
        "last_message_id": last.message_id,
        "message_count": len(letters),
        "last_position": max(each.position for each in letters),
        "size": sum(each.size for each in letters),
        "senders": list(dict.fromkeys(each.sender for each in letters)),
        "recipients": list(dict.fromkeys(one for each in letters for one in [*each.to, *each.cc])),
        "preview": " ".join(last.text.split())[:_PREVIEW],
        "updated_at": last.timestamp,
    }


def _labels_of(letter: Any) -> Iterator[dict[str, Any]]:
    for label in dict.fromkeys(letter.labels):
        yield {
            "inbox_id": letter.inbox_id,
            "message_id": letter.message_id,
            "label": label,
            "thread_id": letter.thread_id,
            "timestamp": letter.timestamp,
        }


def _some(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(rows), _SOME):
        yield rows[begin : begin + _SOME]


# --- words for columns ---


def _text(name: str, *, default: str | None = None, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), server_default=default, nullable=null)


def _time(name: str, *, default: str | None = None, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), server_default=default, nullable=null)


def _json(name: str, *, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(), server_default=default, nullable=False)


def _number(name: str, *, default: str | None = None, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), server_default=default, nullable=null)


def _yes_or_no(name: str, *, default: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), server_default=default, nullable=False)


def _partial_index(name: str, table: str, columns: list[Any], where: str, *, unique: bool = False) -> None:
    rows = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)
