"""What stands on the shelves. Time is kept as UTC milliseconds: SQLite has no time zones to lose."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware in, aware out."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        # rounded down: what has just happened is never still to come
        return (value - _EPOCH) // _MILLISECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
_BYTES = BigInteger().with_variant(
    Integer(), "sqlite"
)  # of all that stands there: more than two billion of them


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """An index of these rows only."""
    rows = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=rows, postgresql_where=rows)


def _everywhere(name: str, first: str, *then: str, where: str) -> Index:
    """The same over all inboxes. An expression, because PostgreSQL must not take it when one inbox is asked for."""
    rows = text(where)
    return Index(name, text(f"({first} + 0)"), *then, sqlite_where=rows, postgresql_where=rows)


_NOT_ENDED = "state NOT IN ('sent', 'cancelled')"
_WAITING = "state = 'scheduled' OR state = 'held'"  # not IN: SQLite would not know that one of them is enough
#: Held until a human says something.
_TO_REVIEW = "state = 'held' AND held_until IS NULL"
_WAITING_ANYWHERE = _WAITING.replace("state", "(state || '')")

#: What is noted of an event that speaks of nobody whom we know.
UNMATCHED = "ignored: no conversation of ours"

#: Where an inbox is that nobody put elsewhere. The migration makes it.
DEFAULT_POD = "pod_default"

instance = Table(  # one row: who we are
    "instance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", LargeBinary, nullable=False),  # what our Message-IDs are made with
    Column("created_at", UtcDateTime, nullable=False),
    Column("boot", Text),  # stands beside the database as well: a copy, or a backup, has another one
    Column("braked_at", UtcDateTime),  # nothing leaves while this is set
    Column("braked_why", Text),
    CheckConstraint("id = 1", name="alone"),
)

sign = Table(  # of life: who was here last, and what they had to say
    "sign",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("says", JSON, nullable=False),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", Text, primary_key=True),  # its address, as a key: see engine/addresses.py
    Column("display_name", Text),
    Column("client_id", Text),
    Column("status", Text, nullable=False, server_default="active"),
    Column("metadata", JSON, nullable=False, server_default="{}"),
    Column("pod_id", Text, nullable=False, server_default=DEFAULT_POD),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, server_default="0"),
    Column("deleted_at", UtcDateTime),
    _partial("inbox_made", "created_at", "id", where="deleted_at IS NULL"),
    Index("inbox_pod", "pod_id", "created_at", "id"),
    _partial("inbox_client", "client_id", where="client_id IS NOT NULL", unique=True),
)

pod = Table(  # inboxes that belong together
    "pod",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("client_id", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    _partial("pod_client", "client_id", where="client_id IS NOT NULL", unique=True),
)

sequence_version = Table(  # immutable: a changed file is another row
    "sequence_version",
    metadata,
    Column("id", Text, primary_key=True),  # the hash of what it says
    Column("name", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

enrollment = Table(
    "enrollment",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", Text, nullable=False),
    Column("version", Text, ForeignKey(sequence_version.c.id), nullable=False),
    Column("inbox_id", Text, ForeignKey(inbox.c.id), nullable=False),
    Column("email", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("variables", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("thread_id", Text, nullable=False),  # the current one; thread.enrollment_id is the way back
    Column("company", Text),  # where they work, if that can be told
    Column("wake_at", UtcDateTime),  # when to look again, while no draft is pending
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("enrollment_contact", "contact"),
    Index("enrollment_inbox", "inbox_id", "created_at"),
    _partial("enrollment_company", "company", where="state IN ('active', 'paused')"),
    _partial("enrollment_asleep", "wake_at", where="wake_at IS NOT NULL"),
    _partial("enrollment_stopped", "updated_at", "reason", where="state = 'stopped'"),
    # nobody stands twice in one sequence at a time, whoever enrolls them and however often
    _partial(
        "enrollment_one_life", "sequence", "contact", where="state IN ('active', 'paused')", unique=True
    ),
)

thread = Table(
    "thread",
    metadata,
    Column("id", Text, primary_key=True),
    Column("inbox_id", Text, ForeignKey(inbox.c.id), nullable=False),
    Column("contact", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("enrollment_id", Text, ForeignKey(enrollment.c.id)),
    Column(
        "last_at", UtcDateTime
    ),  # when the last letter in it was sent or received; none yet: it is not shown
    Column("received_at", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("last_message_id", Text),
    Column("message_count", Integer, nullable=False, server_default="0"),
    Column("last_position", Integer, nullable=False, server_default="0"),
    Column("size", _BYTES, nullable=False, server_default="0"),
    Column("senders", JSON, nullable=False, server_default="[]"),
    Column("recipients", JSON, nullable=False, server_default="[]"),
    Column("preview", Text),
    Column("hidden", Text),  # why it is not shown without being asked for
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, server_default="0"),
    Index("thread_contact", "contact"),
    Index("thread_enrollment", "enrollment_id"),
    _partial("thread_shown", "inbox_id", "last_at", "id", where="last_at IS NOT NULL"),
    _everywhere("thread_shown_all", "last_at", "id", where="last_at IS NOT NULL"),
)

thread_label = Table(
    "thread_label",
    metadata,
    Column("thread_id", Text, ForeignKey(thread.c.id), primary_key=True),
    Column("label", Text, primary_key=True),
    Index("thread_label_label", "label"),
)

draft = Table(
    "draft",
    metadata,
    Column("id", Text, primary_key=True),
    Column("inbox_id", Text, ForeignKey(inbox.c.id), nullable=False),
    Column("thread_id", Text, ForeignKey(thread.c.id), nullable=False),
    Column("enrollment_id", Text, ForeignKey(enrollment.c.id)),
    Column("step", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("send_at", UtcDateTime, nullable=False),
    Column("to", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("html", Text),
    Column("cc", JSON, nullable=False, server_default="[]"),
    Column("bcc", JSON, nullable=False, server_default="[]"),
    Column("attachments", JSON, nullable=False, server_default="[]"),
    Column("also_to", JSON, nullable=False, server_default="[]"),  # whom it is for besides the first
    Column("names", JSON, nullable=False, server_default="{}"),  # of addresses, as people read them
    Column("reply_to", JSON, nullable=False, server_default="[]"),
    Column("headers", JSON, nullable=False, server_default="{}"),
    Column("in_reply_to", Text),
    Column("forward_of", Text),
    Column("goes_into", Text),  # a conversation that its author named, and that nobody has looked for yet
    Column("kind", Text, nullable=False, server_default="plain"),
    Column("labels", JSON, nullable=False, server_default="[]"),  # those of people; draft_label finds them
    Column("client_id", Text),
    Column(
        "edited_at", UtcDateTime, nullable=False, server_default="0"
    ),  # by whoever writes it, and nobody else
    Column("variant", Text),
    Column("opener", Boolean, nullable=False, server_default="0"),  # the first letter of a conversation
    Column("company", Text),  # whose letters are counted together; None: nobody's
    Column("domain", Text),
    Column("reason", Text, nullable=False),
    Column("content_sha", Text, nullable=False),
    Column("approved_sha", Text),
    Column("approved_by", Text),
    Column(
        "approved_head", Integer
    ),  # where its conversation stood when a human said yes; a rule's yes has none
    Column("approved_name", Text),  # the name that its sender went by when a human said yes; "": by none
    Column("approved_until", UtcDateTime),  # a human's yes grows old
    Column("hour_by", Text),  # who chose its hour; None: the rules did
    Column(
        "asked_at", UtcDateTime
    ),  # since when only a human's yes lets it go; None: its author's word may do
    Column("yes_by", UtcDateTime),  # how long it waits for a human's yes
    Column("oddities", JSON, nullable=False, server_default="[]"),  # what a reviewer should look at twice
    Column(
        "rank", Integer, nullable=False, server_default="0"
    ),  # the odder, the lower: the review begins there
    Column("alike", Text),  # letters of one way to say one step have the same; None: this one was reworded
    Column("held_until", UtcDateTime),
    Column("claim_token", Text),
    Column("claim_owner", Text),
    Column("lease_until", UtcDateTime),
    Column("room_until", UtcDateTime),  # while it is claimed: the limits count it as if it had left
    Column("gate_at", UtcDateTime),
    Column("carrier", Text),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("outcome", Text),
    Column("recalled", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("enrollment_id", "step"),  # a step can exist once: making it again is a no-op
    Index("draft_thread", "thread_id"),  # without the state, which an answer changes
    # the planner must be certain of the next four, so their queries write the state as a literal
    _partial("draft_due", "send_at", "opener", "to", where="state = 'scheduled'"),
    _partial("draft_open", "lease_until", where="state = 'claimed'"),
    _partial("draft_releasing", "gate_at", where="state = 'releasing'"),
    _partial("draft_asleep", "held_until", where="state = 'held'"),
    _partial("draft_doubtful", "id", where="state = 'uncertain'"),
    _partial("draft_review", "rank", "send_at", "id", where=_TO_REVIEW),
    _partial("draft_alike", "alike", "rank", "id", where=_TO_REVIEW),
    _partial("draft_yes_by", "yes_by", where="state = 'held' AND yes_by IS NOT NULL"),
    _partial("draft_yes_until", "approved_until", where="state = 'scheduled' AND approved_until IS NOT NULL"),
    Index("draft_mailbox", "inbox_id", "send_at"),
    _partial("draft_company", "company", "send_at", where="company IS NOT NULL"),
    _partial("draft_domain", "domain", "send_at", where="domain IS NOT NULL"),
    *(
        _partial(f"draft_left_by_{column}", column, "gate_at", where="gate_at IS NOT NULL")
        for column in ("inbox_id", "company", "domain")
    ),
    _partial("draft_shown", "inbox_id", "edited_at", "id", where=_NOT_ENDED),
    _everywhere("draft_shown_all", "edited_at", "id", where=_NOT_ENDED),
    _partial("draft_waiting", "inbox_id", "state", "edited_at", "id", where=_WAITING),
    Index(
        "draft_waiting_all",
        text("(state || '')"),  # an expression, because SQLite must not look for what is due by it
        text("(edited_at + 0)"),
        "id",
        sqlite_where=text(_WAITING_ANYWHERE),
        postgresql_where=text(_WAITING_ANYWHERE),
    ),
    _partial("draft_client", "inbox_id", "client_id", where="client_id IS NOT NULL", unique=True),
    # in the order of their birth. Expressions, so that nobody takes them for what is due
    Index("draft_state_all", text("(state || '')"), "id"),
    Index("draft_inbox_all", text("(inbox_id || '')"), "id"),
    # one enrollment, one draft that has not had its end
    _partial("draft_one_pending", "enrollment_id", where=_NOT_ENDED, unique=True),
)

draft_label = Table(
    "draft_label",
    metadata,
    Column("draft_id", Text, ForeignKey(draft.c.id), primary_key=True),
    Column("label", Text, primary_key=True),
    Column("inbox_id", Text, nullable=False),
    Column("edited_at", UtcDateTime, nullable=False),
    Index("draft_label_inbox", "inbox_id", "label", "edited_at", "draft_id"),
    Index("draft_label_all", "label", "edited_at", "draft_id"),
)

message = Table(
    "message",
    metadata,
    Column("inbox_id", Text, ForeignKey(inbox.c.id), primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("thread_id", Text, ForeignKey(thread.c.id), nullable=False),
    Column("direction", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("to", JSON, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("html", Text),
    Column("cc", JSON, nullable=False, server_default="[]"),
    Column("bcc", JSON, nullable=False, server_default="[]"),
    Column("names", JSON, nullable=False, server_default="{}"),
    Column("reply_to", JSON, nullable=False, server_default="[]"),
    Column("headers", JSON, nullable=False, server_default="{}"),
    Column("attachments", JSON, nullable=False, server_default="[]"),
    Column("size", _BYTES, nullable=False, server_default="0"),
    Column("hidden", Text),  # why it is not shown without being asked for
    Column("timestamp", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, server_default="0"),
    Column("in_reply_to", Text),
    Column("references", JSON, nullable=False),
    Column("labels", JSON, nullable=False),  # message_label finds them
    Column("draft_id", Text, ForeignKey(draft.c.id)),
    Column("enrollment_id", Text, ForeignKey(enrollment.c.id)),
    Column("step", Text),
    Column("position", Integer, nullable=False),  # in its thread: two letters may bear the same instant
    UniqueConstraint("thread_id", "position"),
    _partial("message_shown", "inbox_id", "timestamp", "message_id", where="hidden IS NULL"),
    Index("message_every", "inbox_id", "timestamp", "message_id"),
    _partial("message_draft", "draft_id", where="draft_id IS NOT NULL"),
    _partial("message_enrollment", "enrollment_id", where="enrollment_id IS NOT NULL"),
)

message_label = Table(
    "message_label",
    metadata,
    Column("inbox_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("thread_id", Text, nullable=False),
    Column("timestamp", UtcDateTime, nullable=False),
    ForeignKeyConstraint(
        ["inbox_id", "message_id"],
        ["message.inbox_id", "message.message_id"],
        name="message_label_message_fk",
    ),
    Index("message_label_time", "inbox_id", "label", "timestamp", "message_id"),
    Index("message_label_thread", "thread_id", "label"),
)

label_event = Table(  # who was called what, and when that was taken back
    "label_event",
    metadata,
    Column("id", Text, primary_key=True),
    Column("inbox_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("thread_id", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("what", Text, nullable=False),  # added, removed
    Column("at", UtcDateTime, nullable=False),
    Index("label_event_inbox", "inbox_id", "id"),
)

arrival = Table(  # a letter between two inboxes of this house, on its way
    "arrival",
    metadata,
    Column("id", Text, primary_key=True),  # of the event that it becomes
    Column("inbox_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("from_inbox", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("outcome", Text),
    _partial("arrival_due", "next_try_at", where="ended_at IS NULL"),
    _partial("arrival_open", "inbox_id", "from_inbox", where="ended_at IS NULL"),
)

idempotency = Table(  # what was asked for under a key, so that it is done once
    "idempotency",
    metadata,
    Column("key", Text, primary_key=True),
    Column("request_sha", Text, nullable=False),
    Column("draft_id", Text, ForeignKey(draft.c.id), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("idempotency_age", "created_at"),
)

list_entry = Table(  # who may write to whom
    "list_entry",
    metadata,
    Column("scope", Text, primary_key=True),  # organization, pod, inbox
    Column("scope_id", Text, primary_key=True),
    Column("direction", Text, primary_key=True),  # send, receive, reply
    Column("kind", Text, primary_key=True),  # allow, block
    Column("entry", Text, primary_key=True),  # an address, or a domain
    Column("reason", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Index("list_entry_entry", "entry"),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),  # the key itself is kept by nobody here
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),  # organization, pod, inbox
    Column("scope_id", Text, nullable=False),
    Column("permissions", JSON, nullable=False, server_default="{}"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index("api_key_made", "created_at", "id"),
)

webhook = Table(  # whom we tell what happens here
    "webhook",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("event_types", JSON, nullable=False),
    Column("inbox_ids", JSON, nullable=False, server_default="[]"),
    Column("pod_ids", JSON, nullable=False, server_default="[]"),
    Column("inbox_id", Text),  # whose it is, if it is one inbox's
    Column("pod_id", Text),
    Column("headers", JSON, nullable=False, server_default="{}"),
    Column("client_id", Text),
    Column("enabled", Boolean, nullable=False, server_default="1"),
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),  # believed as well, until then
    Column("old_until", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("why_off", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    _partial("webhook_made", "created_at", "id", where="deleted_at IS NULL"),
    _partial("webhook_client", "client_id", where="client_id IS NOT NULL", unique=True),
)

telling = Table(  # what happened, once
    "telling",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("inbox_id", Text, nullable=False),
    Column("thread_id", Text),
    Column("message_id", Text),
    Column("draft_id", Text),
    Column("says", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("telling_at", "at"),
)

delivery = Table(  # and for each who wants to know
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("telling_id", Text, ForeignKey(telling.c.id), nullable=False),
    Column("webhook_id", Text, ForeignKey(webhook.c.id), nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("outcome", Text),
    Column("status", Integer),
    _partial("delivery_due", "next_try_at", where="ended_at IS NULL"),
    Index("delivery_log", "webhook_id", "id"),
    Index("delivery_telling", "telling_id"),
)

delivery_try = Table(
    "delivery_try",
    metadata,
    Column("delivery_id", Text, ForeignKey(delivery.c.id), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("status", Integer),
    Column("words", Text),
    Column("took_ms", Integer, nullable=False),
)

happening = Table(  # what a person did, or what was done to them, elsewhere
    "happening",
    metadata,
    Column("id", Text, primary_key=True),
    Column("contact", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Text),
    Column("at", UtcDateTime, nullable=False),
    Index("happening_contact", "contact", "at"),
)

absence = Table(  # nobody is there: it does not use up a wait
    "absence",
    metadata,
    Column("id", Text, primary_key=True),
    Column("enrollment_id", Text, ForeignKey(enrollment.c.id), nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Index("absence_enrollment", "enrollment_id"),
)

errand = Table(  # a task for somebody, a webhook to call: whatever a sequence does that is no letter
    "errand",
    metadata,
    Column("id", Text, primary_key=True),
    Column("enrollment_id", Text, ForeignKey(enrollment.c.id)),
    Column("step", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("says", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("due", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("outcome", Text),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", UtcDateTime),
    UniqueConstraint("enrollment_id", "step"),
    _partial("errand_open", "next_try_at", where="ended_at IS NULL"),
)

enclosure = Table(  # what is attached, once, however many letters carry it
    "enclosure",
    metadata,
    Column("sha", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

inbound_event = Table(  # every receipt, also of what we could not read
    "inbound_event",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    # what was said about nobody whom we know: we may know them yet
    _partial("inbound_unmatched", "received_at", "event_id", where=f"verdict = '{UNMATCHED}'"),
    Index("inbound_heard", "received_at", "event_id"),
)

inbound_message = Table(  # the same mail under another event's name
    "inbound_message",
    metadata,
    Column("inbox_id", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
)

tally = Table(  # what is counted but not kept: webhooks that nobody believed
    "tally",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

suppression = Table(
    "suppression",
    metadata,
    Column("address", Text, primary_key=True),  # an address, or a domain
    Column("reason", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

audit = Table(  # append-only: the database itself refuses to change a row
    "audit",
    metadata,
    Column("seq", _SERIAL, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("draft_id", Text),
    Column("enrollment_id", Text),
    Column("detail", Text),
    Index("audit_draft", "draft_id"),
    Index("audit_enrollment", "enrollment_id"),
)

audit_block = Table(  # seals the lines of the log, some at a time, each block on top of the one before
    "audit_block",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("ranges", JSON, nullable=False),  # [[first, last], …]: of the lines' numbers
    Column("up_to", BigInteger, nullable=False),  # the highest number so far
    Column(
        "gaps", JSON, nullable=False
    ),  # [[first, last, since], …]: below it, and their lines may still come
    Column(
        "marks", Text, nullable=False
    ),  # eight letters of each line's hash: so that one that changed is named
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

review = Table(  # what a human said of a letter, and what they saw when they said it
    "review",
    metadata,
    Column("id", Text, primary_key=True),
    Column("draft_id", Text, ForeignKey(draft.c.id), nullable=False),
    Column(
        "number", Integer, nullable=False
    ),  # of the words about this letter: whoever spoke later has a higher one
    Column("at", UtcDateTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("verdict", Text, nullable=False),  # approved, rejected, withdrawn, edited, expired
    Column("why", Text),
    Column("content_sha", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Index("review_draft", "draft_id", "number", unique=True),
)

member = Table(  # who may come in by the dashboard
    "member",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),  # viewer, reviewer, admin
    Column("teams", JSON, nullable=False, server_default="[]"),
    Column("password", Text, nullable=False),  # its argon2 hash
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
)

visit = Table(  # somebody is in, until then
    "visit",
    metadata,
    Column("id", Text, primary_key=True),  # the SHA-256 of what their browser keeps
    Column("member_id", Text, ForeignKey(member.c.id), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("visit_member", "member_id"),
    Index("visit_end", "expires_at"),
)

invitation = Table(  # a link that opens once
    "invitation",
    metadata,
    Column("id", Text, primary_key=True),  # the SHA-256 of what stands in the link
    Column("email", Text),  # whom it is for; None: whoever comes first
    Column("role", Text, nullable=False),
    Column("teams", JSON, nullable=False, server_default="[]"),
    Column("made_by", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
)
