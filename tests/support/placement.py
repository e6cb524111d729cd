"""The rows of an organization in one place among several: hash partitions of one server, or other servers.

`org_id` places the rows, since it stands in every table and every statement: what belongs together lies together.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.schema import CreateIndex

from gateway.database.tables import (
    batch_callback_deliveries,
    batch_callback_delivery_attempts,
    batches,
    changed_periods,
    counted_organizations,
    counted_periods,
)
from tests.support.servers import Server

PARTITIONS = 4
PLACED = (batches, batch_callback_deliveries, batch_callback_delivery_attempts)
COUNTED = (counted_organizations, counted_periods, changed_periods)  # with the rows that are counted
# A key of a partitioned table must hold the column that places its rows.
KEYS = """
ALTER TABLE batches ADD PRIMARY KEY (id, org_id);
ALTER TABLE batches ADD FOREIGN KEY (org_id) REFERENCES organizations (id);
ALTER TABLE batch_callback_deliveries ADD PRIMARY KEY (id, org_id);
ALTER TABLE batch_callback_deliveries ADD FOREIGN KEY (batch_id, org_id) REFERENCES batches (id, org_id);
ALTER TABLE batch_callback_delivery_attempts ADD PRIMARY KEY (id, org_id);
ALTER TABLE batch_callback_delivery_attempts ADD FOREIGN KEY (delivery_id, org_id)
  REFERENCES batch_callback_deliveries (id, org_id);
CREATE UNIQUE INDEX ON batch_callback_deliveries (batch_id, org_id) WHERE completed_at IS NULL;
ALTER TABLE counted_organizations ADD PRIMARY KEY (org_id);
ALTER TABLE counted_periods ADD PRIMARY KEY (org_id, period);
ALTER TABLE changed_periods ADD PRIMARY KEY (org_id, number, mark);
"""
SHARD = """
CREATE SERVER {name} FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '127.0.0.1', port '{port}', dbname 'postgres',
           use_remote_estimate 'true', fetch_size '1000', batch_size '1000');
CREATE USER MAPPING FOR CURRENT_USER SERVER {name} OPTIONS (user 'postgres');
"""


def partition(server: Server, database: str) -> None:
    """Turn the tables of a migrated, empty database into hash partitioned ones."""
    statements = [_parents((*PLACED, *COUNTED))]
    for table in (*PLACED, *COUNTED):
        statements += [
            f"CREATE TABLE {table.name}_{number} PARTITION OF {table.name} "
            f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number});"
            for number in range(PARTITIONS)
        ]
        statements += _indexes(table)
    server.sql("\n".join([*statements, KEYS]), database)


def shard(server: Server, database: str, shards: Sequence[Server]) -> None:
    """Let the rows of a migrated, empty database live on other servers, whose database is migrated and empty, too.

    Keys and indexes are those of the shards. The organizations stay here, where no shard's foreign key sees them.
    """
    statements = [_parents(PLACED), "CREATE EXTENSION postgres_fdw;"]
    for number, other in enumerate(shards):
        statements.append(SHARD.format(name=f"shard_{number}", port=other.port))
        for table in PLACED:
            other.sql(f"ALTER TABLE {table.name} DROP CONSTRAINT fk_{table.name}_org_id")
            statements.append(
                f"CREATE FOREIGN TABLE {table.name}_{number} PARTITION OF {table.name} "
                f"FOR VALUES WITH (MODULUS {len(shards)}, REMAINDER {number}) "
                f"SERVER shard_{number} OPTIONS (table_name '{table.name}');"
            )
    server.sql("\n".join(statements), database)


def _parents(tables: Sequence[Table]) -> str:
    """The tables again, without rows, keys and indexes of their own."""
    return "\n".join(
        f"CREATE TABLE placed (LIKE {table.name}) PARTITION BY HASH (org_id);"
        f"DROP TABLE {table.name} CASCADE;"
        f"ALTER TABLE placed RENAME TO {table.name};"
        for table in tables
    )


def _indexes(table: Table) -> list[str]:
    """The table's own indexes, as they are but for the unique one, which is among the keys."""
    postgresql: Any = dialect()  # type: ignore[no-untyped-call]
    return [f"{CreateIndex(index).compile(dialect=postgresql)};" for index in table.indexes if not index.unique]
