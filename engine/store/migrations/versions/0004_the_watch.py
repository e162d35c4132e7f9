"""Signs of life, a brake for the whole house, and a way to tell that a database is not the one that it was."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Only additions: nobody stands on the brake."""
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
