"""What the whole language of sequences remembers: companies, variants, absences, errands, events, enclosures."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from alembic import op

from engine.addresses import domain
from engine.companies import company

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
    _who_works_where()
    _what_limits_count()
    _what_came_back()


def _sequence_version() -> None:
    """Until now a file that said nothing of hours and caps meant any hour and none; from now on it does not."""
    versions = sa.table("sequence_version", sa.column("id", sa.Text), sa.column("body", sa.JSON))
    for version, body in op.get_bind().execute(sa.select(versions)).all():
        said = {"schedule": _AT_ANY_HOUR, "limits": _WITHOUT_END} | body
        op.execute(versions.update().where(versions.c.id == version).values(body=said))


def _enrollment() -> None:
    op.add_column("enrollment", sa.Column("company", sa.Text(), nullable=True))
    op.add_column("enrollment", sa.Column("wake_at", sa.BigInteger(), nullable=True))
    op.create_index("enrollment_inbox", "enrollment", ["inbox_id", "created_at"])
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


# --- what is alive is known as if it had been made today ---

_AT_ONCE = 1000
_ENROLLMENT = sa.table(
    "enrollment", *map(sa.column, ("id", "contact", "state", "company", "thread_id", "reason"))
)
_DRAFT = sa.table(
    "draft",
    *map(sa.column, ("id", "enrollment_id", "to", "state", "company", "domain", "opener")),
)


def _who_works_where() -> None:
    """An answer stops their colleagues, and they count as one company's people."""
    living = sa.select(_ENROLLMENT.c.id, _ENROLLMENT.c.contact).where(
        _ENROLLMENT.c.state.in_(["active", "paused"])
    )
    found = ((row.id, company(row.contact)) for row in op.get_bind().execute(living).all())
    _fill(_ENROLLMENT, ({"which": one, "company": employer} for one, employer in found if employer))


def _what_limits_count() -> None:
    """Whose letters they are, and which of them were the first: limits count what has left, too."""
    first: dict[str, str] = {}
    sent = sa.text(
        "SELECT enrollment_id, draft_id FROM message WHERE direction = 'sent' AND draft_id IS NOT NULL"
        ' AND enrollment_id IS NOT NULL ORDER BY "timestamp", position'
    )
    for enrollment_id, draft_id in op.get_bind().execute(sent):
        first.setdefault(enrollment_id, draft_id)
    letters = sa.select(_DRAFT.c.id, _DRAFT.c.enrollment_id, _DRAFT.c.to).where(
        _DRAFT.c.state != "cancelled", _DRAFT.c.enrollment_id.is_not(None)
    )
    _fill(
        _DRAFT,
        (
            {
                "which": row.id,
                "company": company(row.to),
                "domain": domain(row.to),
                "opener": first.get(row.enrollment_id, row.id) == row.id,
            }
            for row in op.get_bind().execute(letters).all()
        ),
    )


def _what_came_back() -> None:
    """What `pause_if` counts is a label on the conversation."""
    labels = sa.table("thread_label", sa.column("thread_id"), sa.column("label"))
    ended = sa.select(
        _ENROLLMENT.c.thread_id, (sa.literal("failed:") + _ENROLLMENT.c.reason).label("label")
    ).where(_ENROLLMENT.c.reason.in_(["bounced", "complained"]))
    op.execute(labels.insert().from_select(["thread_id", "label"], ended))


def _fill(table: sa.TableClause, rows: Iterable[dict[str, Any]]) -> None:
    """Some at a time, each with values of its own."""
    found = list(rows)
    names = [name for name in found[0] if name != "which"] if found else []
    filled = table.update().where(table.c.id == sa.bindparam("which"))
    filled = filled.values({name: sa.bindparam(f"new_{name}") for name in names})
    for begin in range(0, len(found), _AT_ONCE):
        some = found[begin : begin + _AT_ONCE]
        values = [{"which": row["which"]} | {f"new_{name}": row[name] for name in names} for row in some]
        op.get_bind().execute(filled, values)


def _partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    rows = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=rows, postgresql_where=rows)
