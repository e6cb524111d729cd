"""The platform's tables, and the gateway's keys."""

import sqlalchemy as sa
from alembic import op

from gateway.database.types import DecimalString, Id, UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", Id, nullable=False),
        sa.Column("org_id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("last_used_at", UtcDateTime),
        sa.Column("revoked_at", UtcDateTime),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_api_keys_org_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
    )
    op.create_index("ix_api_keys_org", "api_keys", ["org_id", "created_at", "id"])
    op.create_table(
        "batches",
        sa.Column("id", Id, nullable=False),
        sa.Column("org_id", Id, nullable=False),
        sa.Column("target_type_code", sa.Text()),
        sa.Column("target_type", sa.Text()),
        sa.Column("target_id", sa.Text()),
        sa.Column("status_code", sa.Text()),
        sa.Column("source_code", sa.Text()),
        sa.Column("items_total", sa.Integer()),
        sa.Column("items_succeeded", sa.Integer()),
        sa.Column("items_failed", sa.Integer()),
        sa.Column("items_cancelled", sa.Integer()),
        sa.Column("input", sa.JSON(none_as_null=True)),
        sa.Column("resolved_template_id", sa.Text()),
        sa.Column("dispatch_provider_link_id", sa.Text()),
        sa.Column("cost", DecimalString),
        sa.Column("output", sa.JSON(none_as_null=True)),
        sa.Column("metadata", sa.JSON(none_as_null=True)),
        sa.Column("callback_url", sa.Text()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_message", sa.Text()),
        sa.Column("failure_stage_code", sa.Text()),
        sa.Column("created_by", sa.Text()),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("started_at", UtcDateTime),
        sa.Column("completed_at", UtcDateTime),
        sa.Column("links", sa.JSON(none_as_null=True)),
        sa.Column("items", sa.JSON(none_as_null=True)),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_batches_org_id"),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_index("ix_batches_org", "batches", ["org_id", "created_at", "id"])
    op.create_table(
        "batch_callback_deliveries",
        sa.Column("id", Id, nullable=False),
        sa.Column("org_id", Id, nullable=False),
        sa.Column("batch_id", Id, nullable=False),
        sa.Column("callback_url", sa.Text()),
        sa.Column("signing_secret_id", Id),
        sa.Column("is_automatic", sa.Boolean()),
        sa.Column("status_code", sa.Text()),
        sa.Column("failure_reason_code", sa.Text()),
        sa.Column("failure_detail", sa.Text()),
        sa.Column("attempt_count", sa.Integer()),
        sa.Column("max_attempts", sa.Integer()),
        sa.Column("next_attempt_at", UtcDateTime),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("updated_at", UtcDateTime),
        sa.Column("completed_at", UtcDateTime),
        sa.Column("callback_host", sa.Text()),
        sa.Column("event", sa.Text()),
        sa.Column("payload_bytes", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_batch_callback_deliveries_batch_id"),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_batch_callback_deliveries_org_id"),
        sa.PrimaryKeyConstraint("id", name="pk_batch_callback_deliveries"),
    )
    op.create_index("ix_batch_callback_deliveries_batch", "batch_callback_deliveries", ["batch_id", "created_at", "id"])
    op.create_index("ix_batch_callback_deliveries_org", "batch_callback_deliveries", ["org_id", "created_at", "id"])
    op.create_index(
        "uq_batch_callback_deliveries_batch_inflight",
        "batch_callback_deliveries",
        ["batch_id"],
        unique=True,
        sqlite_where=sa.text("completed_at IS NULL"),
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.create_table(
        "batch_callback_delivery_attempts",
        sa.Column("id", Id, nullable=False),
        sa.Column("org_id", Id, nullable=False),
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("attempt_number", sa.Integer(), nullable=False),
        sa.Column("status_code", sa.Integer()),
        sa.Column("response_time_ms", sa.Integer()),
        sa.Column("error_message", sa.Text()),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("error_message_masked", sa.Text()),
        sa.Column("response_body", sa.Text()),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["batch_callback_deliveries.id"], name="fk_batch_callback_delivery_attempts_delivery_id"
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name="fk_batch_callback_delivery_attempts_org_id"),
        sa.PrimaryKeyConstraint("id", name="pk_batch_callback_delivery_attempts"),
    )
    op.create_index(
        "ix_batch_callback_delivery_attempts_delivery",
        "batch_callback_delivery_attempts",
        ["delivery_id", "attempt_number", "id"],
    )
    op.create_index(
        "ix_batch_callback_delivery_attempts_org", "batch_callback_delivery_attempts", ["org_id", "created_at", "id"]
    )


def downgrade() -> None:
    op.drop_table("batch_callback_delivery_attempts")
    op.drop_table("batch_callback_deliveries")
    op.drop_table("batches")
    op.drop_table("api_keys")
    op.drop_table("organizations")
