"""Many rows, made by the database itself: batches with two deliveries each and two attempts each of these."""

from sqlalchemy import text

from gateway.database.engine import Database
from tests.support.rows import OURS, THEIRS

ID = {
    "sqlite": "printf('%08x-0000-4000-8000-%012x', {kind}, {number})",
    "postgresql": "CAST(lpad(to_hex({kind}), 8, '0') || '-0000-4000-8000-' || lpad(to_hex({number}), 12, '0') AS uuid)",
}
TIME = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%f000Z', 1750000000 + ({seconds}), 'unixepoch')",
    "postgresql": "to_timestamp(1750000000 + ({seconds}))",
}
SERIES = {
    "sqlite": "WITH RECURSIVE series(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series WHERE n + 1 < {count})",
    "postgresql": "WITH series(n) AS (SELECT generate_series(0, {count} - 1))",
}


# Keys that lead nowhere are not looked for, and indexes are made when all is there: half of the time.
UNCHECKED = "SET LOCAL session_replication_role = replica"
INDEXES = """
SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid IN (
  'batches'::regclass, 'batch_callback_deliveries'::regclass, 'batch_callback_delivery_attempts'::regclass
) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


async def fill(database: Database, batches: int) -> None:
    """Insert this many batches: 1 in 10 of another organization, 1 in 20 deliveries failed, 1 in 100 in flight."""
    kind = database.dialect

    def id_(of: int, number: str) -> str:
        return ID[kind].format(kind=of, number=number)

    def time(seconds: str) -> str:
        return TIME[kind].format(seconds=seconds)

    organization = f"CASE WHEN ({{batch}}) % 10 = 9 THEN {_id(kind, THEIRS)} ELSE {_id(kind, OURS)} END"
    of_delivery, of_attempt = "n / 2", "n / 4"
    statements = [
        f"INSERT INTO organizations (id, created_at) SELECT {_id(kind, OURS)}, {time('0')} UNION ALL "
        f"SELECT {_id(kind, THEIRS)}, {time('0')}",
        f"""INSERT INTO batches (id, org_id, status_code, failure_code, metadata, created_at, completed_at)
        {SERIES[kind].format(count=batches)}
        SELECT {id_(0xBA, "n")}, {organization.format(batch="n")},
          CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'succeeded' END, CASE WHEN n % 20 = 0 THEN 'model_error' END,
          '{{"customer": {{"tier": "gold"}}}}', {time("n * 60")}, {time("n * 60 + 30")} FROM series""",
        f"""INSERT INTO batch_callback_deliveries
          (id, org_id, batch_id, callback_url, callback_host, event, is_automatic, status_code,
           failure_reason_code, attempt_count, max_attempts, next_attempt_at, created_at, updated_at, completed_at)
        {SERIES[kind].format(count=2 * batches)}
        SELECT {id_(0xDE, "n")}, {organization.format(batch=of_delivery)}, {id_(0xBA, of_delivery)},
          'https://host-' || (n % 50) || '.example/hook', 'host-' || (n % 50) || '.example',
          CASE WHEN n % 40 = 0 THEN 'batch.failed' ELSE 'batch.succeeded' END, n % 2 = 0,
          CASE WHEN n % 100 = 0 THEN 'retrying' WHEN n % 20 = 1 THEN 'failed' ELSE 'delivered' END,
          CASE WHEN n % 100 = 0 THEN 'timeout' WHEN n % 20 = 1 THEN 'http_5xx' END, 1 + n % 3, 5,
          CASE WHEN n % 100 = 0 THEN {time("n * 30 + 3600")} END, {time("n * 30")}, {time("n * 30 + 5")},
          CASE WHEN n % 100 <> 0 THEN {time("n * 30 + 5")} END FROM series""",
        f"""INSERT INTO batch_callback_delivery_attempts (id, org_id, delivery_id, attempt_number, status_code,
          response_time_ms, error_message, created_at)
        {SERIES[kind].format(count=4 * batches)}
        SELECT {id_(0xA7, "n")}, {organization.format(batch=of_attempt)}, {id_(0xDE, of_delivery)}, 1 + n % 2,
          CASE WHEN n % 40 = 0 THEN 503 WHEN n % 200 = 1 THEN NULL ELSE 200 END, n % 3000,
          CASE WHEN n % 200 = 1 THEN 'connection timed out' END, {time("n * 15")} FROM series""",
        "ANALYZE",
    ]
    async with database.transaction() as connection:
        if kind == "postgresql":
            indexes = (await connection.execute(text(INDEXES))).all()
            dropped = [f"DROP INDEX {name}" for name, _ in indexes]
            statements = [UNCHECKED, *dropped, *statements[:-1], *(sql for _, sql in indexes), statements[-1]]
        for statement in statements:
            await connection.exec_driver_sql(statement)


def _id(kind: str, organization: str) -> str:
    return f"'{organization}'" if kind == "sqlite" else f"CAST('{organization}' AS uuid)"
