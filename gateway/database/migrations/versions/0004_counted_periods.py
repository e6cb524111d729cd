"""What was counted of past periods."""

import sqlalchemy as sa
from alembic import op

from gateway.database.types import Id, UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "counted_organizations",
        sa.Column("org_id", Id, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("counted_until", sa.BigInteger(), nullable=False),
        sa.Column("watched", sa.Boolean(), nullable=False),
        sa.Column("read_until", UtcDateTime, nullable=False),
        sa.Column("verified_at", UtcDateTime, nullable=False),
        sa.Column("verifying_since", UtcDateTime),
        sa.Column("verified_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name="pk_counted_organizations"),
    )
    op.create_table(
        "counted_periods",
        sa.Column("org_id", Id, nullable=False),
        sa.Column("period", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("covered", sa.Boolean(), nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("deliveries", sa.BigInteger(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("slots", sa.LargeBinary()),
        sa.Column("outcomes", sa.LargeBinary()),
        sa.Column("cells", sa.LargeBinary()),
        sa.Column("times", sa.LargeBinary()),
        sa.Column("times_by_outcome", sa.LargeBinary()),
        sa.Column("times_by_host", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("org_id", "period", name="pk_counted_periods"),
    )
    op.create_index("ix_counted_periods_org_covered", "counted_periods", ["org_id", "covered", "period"])
    op.create_table(
        "changed_periods",
        sa.Column("org_id", Id, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("mark", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "number", "mark", name="pk_changed_periods"),
    )
    op.create_table(
        "counting_lease",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_counting_lease"),
    )


def downgrade() -> None:
    op.drop_table("counting_lease")
    op.drop_table("changed_periods")
    op.drop_table("counted_periods")
    op.drop_table("counted_organizations")
