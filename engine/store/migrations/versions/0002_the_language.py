"""What the whole language of sequences remembers: companies, variants, absences, errands, events, enclosures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_AT_ANY_HOUR = {"timezone": "UTC", "windows": ["mon-sun 00:00-24:00"]}
_WITHOUT_END = {"per_mailbox": "1000000/day"}
_ALIVE = "state IN ('active', 'paused')"


def upgrade() -> None:
    """Only additions: whatever was on its way goes on as it was."""
    _sequence_version()
    _enrollment()
    _draft()
    _message()
    _happening()
    _absence()
    _errand()
    _enclosure()


def _sequence_version() -> None:
    """Until now a file that said nothing of hours and caps meant any hour and none; from now on it does not."""
    versions = sa.table("sequence_version", sa.column("id", sa.Text), sa.column("body", sa.JSON))
    for version, body in op.get_bind().execute(sa.select(versions)).all():
        said = {"schedule": _AT_ANY_HOUR, "limits": _WITHOUT_END} | body
        op.execute(versions.update().where(versions.c.id == version).values(body=said))


def _enrollment() -> None:
    op.add_column("enrollment", sa.Column("company", sa.Text(), nullable=True))
    op.add_column("enrollment", sa.Column("wake_at", sa.BigInteger(), nullable=True))
    _partial_index("enrollment_company", "enrollment", ["company"], _ALIVE)
    _partial_index("enrollment_asleep", "enrollment", ["wake_at"], "wake_at IS NOT NULL")


def _draft() -> None:
    op.add_column("draft", sa.Column("html", sa.Text(), nullable=True))
    for name in ("cc", "bcc", "attachments"):
        op.add_column("draft", sa.Column(name, sa.JSON(), server_default="[]", nullable=False))
    op.add_column("draft", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("draft", sa.Column("opener", sa.Boolean(), server_default="0", nullable=False))
    op.add_column("draft", sa.Column("company", sa.Text(), nullable=True))
    op.add_column("draft", sa.Column("domain", sa.Text(), nullable=True))
    op.drop_index("draft_due", "draft")
    _partial_index("draft_due", "draft", ["send_at", "opener", "to"], "state = 'scheduled'")
    op.create_index("draft_mailbox", "draft", ["inbox_id", "send_at"])
    _partial_index("draft_company", "draft", ["company", "send_at"], "company IS NOT NULL")
    _partial_index("draft_domain", "draft", ["domain", "send_at"], "domain IS NOT NULL")
    for column in ("inbox_id", "company", "domain"):
        _partial_index(f"draft_left_by_{column}", "draft", [column, "gate_at"], "gate_at IS NOT NULL")


def _message() -> None:
    op.add_column("message", sa.Column("html", sa.Text(), nullable=True))
    op.add_column("message", sa.Column("cc", sa.JSON(), server_default="[]", nullable=False))


def _happening() -> None:
    op.create_table(
        "happening",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="happening_pk"),
    )
    op.create_index("happening_contact", "happening", ["contact", "at"])


def _absence() -> None:
    op.create_table(
        "absence",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollment.id"], name="absence_enrollment_id_fk"),
        sa.PrimaryKeyConstraint("id", name="absence_pk"),
    )
    op.create_index("absence_enrollment", "absence", ["enrollment_id"])


def _errand() -> None:
    op.create_table(
        "errand",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("says", sa.JSON(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["enrollment_id"], ["enrollment.id"], name="errand_enrollment_id_fk"),
        sa.PrimaryKeyConstraint("id", name="errand_pk"),
        sa.UniqueConstraint("enrollment_id", "step", name="errand_enrollment_id_step_key"),
    )
    _partial_index("errand_open", "errand", ["next_try_at"], "ended_at IS NULL")


def _enclosure() -> None:
    op.create_table(
        "enclosure",
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha", name="enclosure_pk"),
    )


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    rows = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=rows, postgresql_where=rows)
