"""The shelves: inboxes, threads, labels, messages, drafts, enrollments, versions, receipts, suppressions, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Shelf by shelf: whoever is spoken of stands there before."""
    _audit()
    _inbound_event()
    _inbound_message()
    _inbox()
    _instance()
    _sequence_version()
    _suppression()
    _tally()
    _enrollment()
    _thread()
    _draft()
    _thread_label()
    _message()
    _make_the_audit_log_append_only()


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("draft_id", sa.Text(), nullable=True),
        sa.Column("enrollment_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name="audit_pk"),
    )
    op.create_index("audit_draft", "audit", ["draft_id"], unique=False)
    op.create_index("audit_enrollment", "audit", ["enrollment_id"], unique=False)


def _inbound_event() -> None:
    op.create_table(
        "inbound_event",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id", name="inbound_event_pk"),
    )


def _inbound_message() -> None:
    op.create_table(
        "inbound_message",
        sa.Column("inbox_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("inbox_id", "message_id", name="inbound_message_pk"),
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="inbox_pk"),
    )


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="instance_alone"),
        sa.PrimaryKeyConstraint("id", name="instance_pk"),
    )


def _sequence_version() -> None:
    op.create_table(
        "sequence_version",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="sequence_version_pk"),
    )


def _suppression() -> None:
    op.create_table(
        "suppression",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", name="suppression_pk"),
    )


def _tally() -> None:
    op.create_table(
        "tally",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="tally_pk"),
    )


def _enrollment() -> None:
    op.create_table(
        "enrollment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("variables", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name="enrollment_inbox_id_fk"),
        sa.ForeignKeyConstraint(["version"], ["sequence_version.id"], name="enrollment_version_fk"),
        sa.PrimaryKeyConstraint("id", name="enrollment_pk"),
    )
    op.create_index("enrollment_contact", "enrollment", ["contact", "state"], unique=False)
    _partial_index(
        "enrollment_one_life",
        "enrollment",
        ["sequence", "contact"],
        "state IN ('active', 'paused')",
        unique=True,
    )


def _thread() -> None:
    op.create_table(
        "thread",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollment.id"], name="thread_enrollment_id_fk"),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name="thread_inbox_id_fk"),
        sa.PrimaryKeyConstraint("id", name="thread_pk"),
    )
    op.create_index("thread_contact", "thread", ["contact"], unique=False)
    op.create_index("thread_enrollment", "thread", ["enrollment_id"], unique=False)


def _draft() -> None:
    op.create_table(
        "draft",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("inbox_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("send_at", sa.BigInteger(), nullable=False),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content_sha", sa.Text(), nullable=False),
        sa.Column("approved_sha", sa.Text(), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("claim_token", sa.Text(), nullable=True),
        sa.Column("claim_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("gate_at", sa.BigInteger(), nullable=True),
        sa.Column("carrier", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("recalled", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollment.id"], name="draft_enrollment_id_fk"),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name="draft_inbox_id_fk"),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name="draft_thread_id_fk"),
        sa.PrimaryKeyConstraint("id", name="draft_pk"),
        sa.UniqueConstraint("enrollment_id", "step", name="draft_enrollment_id_step_key"),
        sa.UniqueConstraint("message_id", name="draft_message_id_key"),
    )
    _partial_index("draft_asleep", "draft", ["held_until"], "state = 'held'")
    _partial_index("draft_doubtful", "draft", ["id"], "state = 'uncertain'")
    _partial_index("draft_due", "draft", ["send_at"], "state = 'scheduled'")
    _partial_index(
        "draft_one_pending", "draft", ["enrollment_id"], "state NOT IN ('sent', 'cancelled')", unique=True
    )
    _partial_index("draft_open", "draft", ["lease_until"], "state = 'claimed'")
    _partial_index("draft_releasing", "draft", ["gate_at"], "state = 'releasing'")
    op.create_index("draft_thread", "draft", ["thread_id", "state"], unique=False)


def _thread_label() -> None:
    op.create_table(
        "thread_label",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name="thread_label_thread_id_fk"),
        sa.PrimaryKeyConstraint("thread_id", "label", name="thread_label_pk"),
    )
    op.create_index("thread_label_label", "thread_label", ["label"], unique=False)


def _message() -> None:
    op.create_table(
        "message",
        sa.Column("inbox_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("to", sa.JSON(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("in_reply_to", sa.Text(), nullable=True),
        sa.Column("references", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("draft_id", sa.Text(), nullable=True),
        sa.Column("enrollment_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["draft_id"], ["draft.id"], name="message_draft_id_fk"),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollment.id"], name="message_enrollment_id_fk"),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name="message_inbox_id_fk"),
        sa.ForeignKeyConstraint(["thread_id"], ["thread.id"], name="message_thread_id_fk"),
        sa.PrimaryKeyConstraint("inbox_id", "message_id", name="message_pk"),
        sa.UniqueConstraint("thread_id", "position", name="message_thread_id_position_key"),
    )
    op.create_index("message_time", "message", ["timestamp"], unique=False)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    rows = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)


def _make_the_audit_log_append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for deed in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{deed.lower()} BEFORE {deed} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
    )
