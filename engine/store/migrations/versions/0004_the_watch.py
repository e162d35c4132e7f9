"""Signs of life, a brake for the whole house, and a way to tell that a database is not the one that it was."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nobody stands on the brake. Indexes that an answer would have to change name no state any more."""
    op.add_column("instance", sa.Column("boot", sa.Text()))
    op.add_column("instance", sa.Column("braked_at", sa.BigInteger()))
    op.add_column("instance", sa.Column("braked_why", sa.Text()))
    op.add_column("draft", sa.Column("room_until", sa.BigInteger()))
    op.create_table(
        "sign",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("says", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="sign_pk"),
    )
    _partial_index("message_enrollment", "message", ["enrollment_id"], "enrollment_id IS NOT NULL")
    _partial_index("arrival_open", "arrival", ["inbox_id", "from_inbox"], "ended_at IS NULL")
    _partial_index(
        "inbound_unmatched",
        "inbound_event",
        ["received_at", "event_id"],
        "verdict = 'ignored: no conversation of ours'",
    )
    for name, table, column in (
        ("draft_thread", "draft", "thread_id"),
        ("enrollment_contact", "enrollment", "contact"),
    ):
        op.drop_index(name, table)
        op.create_index(name, table, [column])
    if op.get_bind().dialect.name == "postgresql":  # SQLite has one kind of integer
        for table in ("thread", "message"):
            op.alter_column(table, "size", type_=sa.BigInteger())


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    rows = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=rows, postgresql_where=rows)
