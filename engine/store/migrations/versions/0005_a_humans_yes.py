"""A human's yes: what it is bound to and what was seen, who may give it, and a log that shows when it was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_TO_REVIEW = "state = 'held' AND held_until IS NULL"


def upgrade() -> None:
    """What was approved before stays approved; what was held before has no oddities and nothing alike."""
    op.add_column("draft", sa.Column("approved_head", sa.Integer()))
    op.add_column("draft", sa.Column("approved_name", sa.Text()))
    op.add_column("draft", sa.Column("approved_until", sa.BigInteger()))
    op.add_column("draft", sa.Column("hour_by", sa.Text()))
    op.add_column("draft", sa.Column("asked_at", sa.BigInteger()))
    op.add_column("draft", sa.Column("yes_by", sa.BigInteger()))
    op.add_column("draft", sa.Column("oddities", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("draft", sa.Column("rank", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("draft", sa.Column("alike", sa.Text()))
    _partial_index("draft_review", "draft", ["rank", "send_at", "id"], _TO_REVIEW)
    _partial_index("draft_alike", "draft", ["alike", "rank", "id"], _TO_REVIEW)
    _partial_index("draft_yes_by", "draft", ["yes_by"], "state = 'held' AND yes_by IS NOT NULL")
    _partial_index(
        "draft_yes_until", "draft", ["approved_until"], "state = 'scheduled' AND approved_until IS NOT NULL"
    )
    _partial_index("enrollment_stopped", "enrollment", ["updated_at", "reason"], "state = 'stopped'")
    op.create_index("inbound_heard", "inbound_event", ["received_at", "event_id"])
    _seal_the_log()
    _keep_reviews()
    _let_people_in()


def _seal_the_log() -> None:
    op.create_table(
        "audit_block",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("ranges", sa.JSON(), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.Column("gaps", sa.JSON(), nullable=False),
        sa.Column("marks", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="audit_block_pk"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for deed in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_block_no_{deed.lower()} BEFORE {deed} ON audit_block "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(  # the function is that of the lines
        "CREATE TRIGGER audit_block_append_only BEFORE UPDATE OR DELETE ON audit_block "
        "FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()"
    )


def _keep_reviews() -> None:
    op.create_table(
        "review",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("draft_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("why", sa.Text()),
        sa.Column("content_sha", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["draft_id"], ["draft.id"], name="review_draft_id_fk"),
        sa.PrimaryKeyConstraint("id", name="review_pk"),
    )
    op.create_index("review_draft", "review", ["draft_id", "number"], unique=True)


def _let_people_in() -> None:
    op.create_table(
        "member",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("teams", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="member_pk"),
        sa.UniqueConstraint("email", name="member_email_key"),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name="visit_member_id_fk"),
        sa.PrimaryKeyConstraint("id", name="visit_pk"),
    )
    op.create_index("visit_member", "visit", ["member_id"])
    op.create_index("visit_end", "visit", ["expires_at"])
    op.create_table(
        "invitation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("teams", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="invitation_pk"),
    )


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    rows = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=rows, postgresql_where=rows)
