"""Indexes of the organization's lists: one for each order, one for each filter that picks few rows out of many."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BATCHES = "batches"
DELIVERIES = "batch_callback_deliveries"
ATTEMPTS = "batch_callback_delivery_attempts"
GREATEST_TIME = "9999-12-31T00:00:00.000000Z"
TIMES = {"postgresql": f"TIMESTAMPTZ '{GREATEST_TIME}'", "sqlite": f"'{GREATEST_TIME}'"}


def upgrade() -> None:
    time = TIMES[op.get_bind().dialect.name]
    for name, table, columns, where in indexes(time):
        condition = sa.text(where) if where else None
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    for name, table, _, _ in indexes(""):
        op.drop_index(name, table)


def indexes(time: str) -> list[tuple[str, str, list[str | sa.TextClause], str | None]]:
    """Name, table, columns and condition of each; `time` is the literal that stands for no time."""

    def or_greatest(column: str, greatest: str) -> sa.TextClause:
        return sa.text(f"coalesce({column}, {greatest})")

    return [
        ("ix_batches_org_completed", BATCHES, ["org_id", or_greatest("completed_at", time), "id"], None),
        ("ix_batches_org_status", BATCHES, ["org_id", "status_code", "created_at", "id"], None),
        ("ix_batches_org_failure", BATCHES, ["org_id", "failure_code", "created_at", "id"], None),
        (f"ix_{DELIVERIES}_org_completed", DELIVERIES, ["org_id", or_greatest("completed_at", time), "id"], None),
        (f"ix_{DELIVERIES}_org_next_attempt", DELIVERIES, ["org_id", or_greatest("next_attempt_at", time), "id"], None),
        (f"ix_{DELIVERIES}_org_status", DELIVERIES, ["org_id", "status_code", "created_at", "id"], None),
        (f"ix_{DELIVERIES}_org_reason", DELIVERIES, ["org_id", "failure_reason_code", "created_at", "id"], None),
        (f"ix_{DELIVERIES}_org_host", DELIVERIES, ["org_id", "callback_host", "created_at", "id"], None),
        (f"ix_{DELIVERIES}_org_event", DELIVERIES, ["org_id", "event", "created_at", "id"], None),
        (f"ix_{DELIVERIES}_org_inflight", DELIVERIES, ["org_id", "created_at", "id"], "completed_at IS NULL"),
        (f"ix_{ATTEMPTS}_org_status", ATTEMPTS, ["org_id", "status_code", "created_at", "id"], None),
        (
            f"ix_{ATTEMPTS}_org_response_time",
            ATTEMPTS,
            ["org_id", or_greatest("response_time_ms", "2147483647"), "id"],
            None,
        ),
    ]
