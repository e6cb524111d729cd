"""The tables. Names and columns are the platform's contract.

Deliveries and attempts repeat their batch's `org_id`: every statement names the organization without a join, every
list of an organization has an index that leads with it, and a distributed database has one column to place rows by.
Lists are ordered by `created_at` (attempts of a delivery: `attempt_number`), so these are never null.

What else there is to know of a column stands in its `info`:

- `derived`: it follows from other columns, and is written with them; no file that is exported has it;
- `optional`: a platform's table may lack it, and then it is null in every row.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from gateway.database.dialects import or_greatest
from gateway.database.types import DecimalString, Id, UtcDateTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

organizations = Table(
    "organizations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text),
    Column("created_at", UtcDateTime, nullable=False),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("org_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("target_type_code", Text),
    Column("target_type", Text),
    Column("target_id", Text),
    Column("status_code", Text),
    Column("source_code", Text),
    Column("items_total", Integer),
    Column("items_succeeded", Integer),
    Column("items_failed", Integer),
    Column("items_cancelled", Integer),
    Column("input", JSON(none_as_null=True)),
    Column("resolved_template_id", Text),
    Column("dispatch_provider_link_id", Text),
    Column("cost", DecimalString),
    Column("output", JSON(none_as_null=True)),
    Column("metadata", JSON(none_as_null=True)),
    Column("callback_url", Text),
    Column("duration_ms", BigInteger),
    Column("failure_code", Text),
    Column("failure_message", Text),
    Column("failure_stage_code", Text),
    Column("created_by", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    Column("links", JSON(none_as_null=True), info={"optional": True}),
    Column("items", JSON(none_as_null=True), info={"optional": True}),
    Index("ix_batches_org", "org_id", "created_at", "id"),
)

batch_callback_deliveries = Table(
    "batch_callback_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("org_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("batch_id", Id, ForeignKey("batches.id"), nullable=False),
    Column("callback_url", Text),
    Column("signing_secret_id", Id),
    Column("is_automatic", Boolean),
    Column("status_code", Text),
    Column("failure_reason_code", Text),
    Column("failure_detail", Text),
    Column("attempt_count", Integer),
    Column("max_attempts", Integer),
    Column("next_attempt_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    # Derived from callback_url and payload_bytes by whoever writes the row, so that lists can be filtered by them.
    Column("callback_host", Text, info={"derived": True}),
    Column("event", Text, info={"derived": True}),
    # Last, because SQLite walks over a large value to reach the columns behind it.
    Column("payload_bytes", LargeBinary),
    Index("ix_batch_callback_deliveries_batch", "batch_id", "created_at", "id"),
    Index("ix_batch_callback_deliveries_org", "org_id", "created_at", "id"),
    Index(
        "uq_batch_callback_deliveries_batch_inflight",
        "batch_id",
        unique=True,
        sqlite_where=text("completed_at IS NULL"),
        postgresql_where=text("completed_at IS NULL"),
    ),
)

batch_callback_delivery_attempts = Table(
    "batch_callback_delivery_attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("org_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("delivery_id", Id, ForeignKey("batch_callback_deliveries.id"), nullable=False),
    Column("attempt_number", Integer, nullable=False),
    Column("status_code", Integer),
    Column("response_time_ms", Integer),
    Column("error_message", Text),
    Column("created_at", UtcDateTime, nullable=False),
    # Derived from error_message by whoever writes the row, where credentials are masked in it: filters of viewers who
    # may not see them look here, since letter by letter a filter would tell what is masked.
    Column("error_message_masked", Text, info={"derived": True}),
    Column("response_body", Text),
    Index("ix_batch_callback_delivery_attempts_delivery", "delivery_id", "attempt_number", "id"),
    Index("ix_batch_callback_delivery_attempts_org", "org_id", "created_at", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("org_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary(32), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Index("ix_api_keys_org", "org_id", "created_at", "id"),
)

# What changed lately, in the order of the changes. Attempts are only ever added: their list's index serves.
Index(
    "ix_batch_callback_deliveries_org_updated",
    batch_callback_deliveries.c.org_id,
    batch_callback_deliveries.c.updated_at,
    batch_callback_deliveries.c.id,
)

# What was counted of past periods: see `gateway.counting`. They may live in another database than the rows, so that
# nothing here refers to those, and each is placed by `org_id` as the rows are; the lease is one row for all.
counted_organizations = Table(
    "counted_organizations",
    metadata,
    Column("org_id", Id, primary_key=True),
    Column("version", BigInteger, nullable=False),  # another one whenever something below was written anew
    Column("counted_until", BigInteger, nullable=False),  # every quarter of an hour before this one is counted
    Column("watched", Boolean, nullable=False),  # by triggers, which leave a mark of every change
    Column("read_until", UtcDateTime, nullable=False),  # where nothing watches: changes before are marked
    Column("verified_at", UtcDateTime, nullable=False),  # what happened before is counted, noticed or not
    Column("verifying_since", UtcDateTime),
    Column("verified_until", BigInteger, nullable=False),  # the quarter at which that goes on
)

counted_periods = Table(
    "counted_periods",
    metadata,
    Column("org_id", Id, primary_key=True),
    Column("period", BigInteger, primary_key=True, autoincrement=False),  # its level and its number: see `periods`
    Column("covered", Boolean, nullable=False),  # by a longer period
    Column("changed_at", UtcDateTime, nullable=False),  # when something in it changed last, as far as was noticed
    Column("deliveries", BigInteger, nullable=False),
    Column("completed", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    # MessagePack, null where there are too many different values to be worth it: see `tally`.
    Column("slots", LargeBinary),
    Column("outcomes", LargeBinary),
    Column("cells", LargeBinary),
    Column("times", LargeBinary),
    Column("times_by_outcome", LargeBinary),
    Column("times_by_host", LargeBinary),
    Index("ix_counted_periods_org_covered", "org_id", "covered", "period"),
)

changed_periods = Table(
    "changed_periods",
    metadata,
    Column("org_id", Id, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # of a quarter of an hour since 1970
    Column("mark", BigInteger, primary_key=True, autoincrement=False),  # tells one change from the next
)

counting_lease = Table(
    "counting_lease",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", Text),
    Column("beat", BigInteger, nullable=False),
)

# The indexes of an organization's lists: one for each order, one for each filter that picks few rows out of many.
for _table, _name, _column in (
    (batches, "completed", or_greatest(batches.c.completed_at)),
    (batch_callback_deliveries, "completed", or_greatest(batch_callback_deliveries.c.completed_at)),
    (batch_callback_deliveries, "next_attempt", or_greatest(batch_callback_deliveries.c.next_attempt_at)),
    (
        batch_callback_delivery_attempts,
        "response_time",
        or_greatest(batch_callback_delivery_attempts.c.response_time_ms),
    ),
):
    Index(f"ix_{_table.name}_org_{_name}", _table.c.org_id, _column, _table.c.id)
for _table, _name, _column in (
    (batches, "status", batches.c.status_code),
    (batches, "failure", batches.c.failure_code),
    (batch_callback_deliveries, "status", batch_callback_deliveries.c.status_code),
    (batch_callback_deliveries, "reason", batch_callback_deliveries.c.failure_reason_code),
    (batch_callback_deliveries, "host", batch_callback_deliveries.c.callback_host),
    (batch_callback_deliveries, "event", batch_callback_deliveries.c.event),
    (batch_callback_delivery_attempts, "status", batch_callback_delivery_attempts.c.status_code),
):
    Index(f"ix_{_table.name}_org_{_name}", _table.c.org_id, _column, _table.c.created_at, _table.c.id)
Index(
    "ix_batch_callback_deliveries_org_inflight",
    batch_callback_deliveries.c.org_id,
    batch_callback_deliveries.c.created_at,
    batch_callback_deliveries.c.id,
    sqlite_where=text("completed_at IS NULL"),
    postgresql_where=text("completed_at IS NULL"),
)
