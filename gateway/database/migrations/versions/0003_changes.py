"""The index by which what changed in an organization is found."""

from alembic import op

revision = "0003"
down_revision = "0002"

DELIVERIES = "batch_callback_deliveries"


def upgrade() -> None:
    op.create_index(f"ix_{DELIVERIES}_org_updated", DELIVERIES, ["org_id", "updated_at", "id"])


def downgrade() -> None:
    op.drop_index(f"ix_{DELIVERIES}_org_updated", DELIVERIES)
