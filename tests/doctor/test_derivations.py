"""What the doctor's SQL derives is what the gateway derives: the same host of any URL, the same event of any body."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import bindparam, select, text

from gateway.cli.doctor import examine
from gateway.database.engine import Database
from gateway.database.required import COUNTED_TABLES
from gateway.database.tables import batch_callback_deliveries as deliveries
from gateway.database.tables import batch_callback_delivery_attempts as attempts
from gateway.database.tables import batches
from gateway.doctor.derivations import LONGEST_READ
from gateway.doctor.findings import Finding
from gateway.doctor.values import ENDS, ROWS_READ
from gateway.reading.hosts import host_of
from gateway.settings import DatabaseSettings
from gateway.writing.derived import event_of
from tests.support.asking import data
from tests.support.existing import Existing
from tests.support.rows import attempt, batch, delivery, replace

TABLE = deliveries.name
URLS = (
    " https://cb.example.com/hook", "\t\r\n https://cb.example.com/hook", "https://[fe80::1%25eth0]/hook",
    "https://İSTANBUL.example/hook", "https://ISTANBUL.example/", "https://BÜCHER.example/", "https://bücher.example/",
    "https://xn--bcher-kva.example/", "https://a.example./", "https://a..example/", "https://a.example:0443/",
    "https://a.example:000000000443/", "https://a.example:65535/", "https://a.example:65536/", "https://a.example:0/",
    "https://a.example:00/", "https://a.example:/", "https://a.example:99999999999999999999/",
    "https://a.example:4 43/",
    "https://a.example:٤٤٣/", "https://a.ex\tample/", "https://a.ex\nample/", "http\n://a.example/",
    "https:/a.example/",
    "https:///a.example/", "https:a.example/", "//a.example", "///a.example", "a.example//b", "/x//a.example", "",
    "https://u:p@ss@a.example/", "https://u:p/@a.example/", "https://@a.example/", "https://a.example@/", "https://@/",
    "https://[::1]:8080/", "https://[::1]x/", "https://[::1/", "https://::1]/", "https://[]/", "https://[%eth]/",
    "https://[fe80::1%]/", "https://[fe80::1%eth 0]/", "https://[v1.x]/", "https://[::1]]/", "https://[[::1]]/",
    "https://u@[::1]:443", "http://[::1]:80?x", "https://a b/", "https://a%2eb/", "https://a\\b/",
    "https://2130706433/",
    "1https://a.example/", "+x://a.example/", "h-t.t+p://A.example:80", "HTTP://A:80", "ht tp://a/", "é://a/",
    "https://a.example#f:1", "https://a.example?x@y", "https://a.example/?x=//b", "http://K.example/",
    "http://℀.example/",
    "https://😀.example:443", "\x0bhttps://a/", "\u00a0https://a/", "\ufeffhttps://a/", "https://a/\u2028",
    "https://a.example:443#", "https://a:b:1/", "https://a.example:1:2/", "mailto:a@b.example", "x" * 5_000,
    "https://" + "a" * 3_000 + "/", "https://a\x7f/", "https://a\x01/", "//:1", "//[", "//]", "//[:]", "//%",
    "https://a:+1/",
)  # fmt: skip
PIECES = (
    "http", "https", "HTTPS", "ftp", ":", ":", "//", "//", "/", "?", "#", "@", "[", "]", "::1", "fe80::1", "%25eth0",
    "%",
    "a.example", "A.EXAMPLE", "İ", "ß", "é", "K", " ", "\t", "\n", "\x01", "\\", "80", "443", "0443", "8080",
    "65536", ".",
    "-", "+", "user", "pass", "1", "٣", "", "\u3000", "'", '"', "%%", "*", "^", "{", "}",
)  # fmt: skip
BODIES: tuple[bytes, ...] = (
    b"", b" ", b"null", b"[]", b'"event"', b"{}", b'{"event": null}', b'{"event": 1}', b'{"event": ["batch.failed"]}',
    b'{"event": {"event": "batch.failed"}}', b'{"x": {"event": "batch.failed"}}', b'[{"event": "batch.failed"}]',
    b'{"event": "batch.failed"}', b' \t\r\n{"event":"batch.failed"} \n', b'\x0c{"event":"batch.failed"}',
    b'{"event":"batch.failed"}x', b'{"event":"batch.failed"}\0', b'\xef\xbb\xbf{"event":"batch.failed"}',
    b'{"event":"batch.failed","metadata":{"a":"\\u0000"}}', b'{"event":"batch.failed","metadata":"\\ud800"}',
    b'{"event":"batch.failed","metadata":"\\ud83d\\ude00"}', b'{"event":"batch.failed","metadata":"\\\\u0000"}',
    b'{"event":"batch.failed","metadata":"\\\\\\u0000"}', b'{"event":"batch.failed","metadata":"\\u00"}',
    b'{"event":"batch.failed","metadata":"\\x"}', b'{"event":"batch.failed","metadata":"a\nb"}',
    b'{"event":"batch.failed","metadata":"\xff\xfe"}', b'{"event":"batch.failed","metadata":"\xed\xa0\x80"}',
    b'{"event":"batch.failed","metadata":NaN}', b'{"event":"batch.failed","metadata":-Infinity}',
    b'{"event":"batch.failed","metadata":1e400}', b'{"event":"batch.failed","metadata":01}',
    b'{"event":"batch.failed","metadata":' + b"9" * 5_000 + b"}", b'{"event":"batch.failed","metadata":.5}',
    b'{"event":"batch.failed","metadata":1.}', b'{"event":"batch.failed","metadata":+1}',
    b'{"event":"batch.failed","metadata":\xa01}', b'{"event":"batch.failed",}', b"{'event':'batch.failed'}",
    b'{"event":"batch.failed"/**/}', b'{event:"batch.failed"}', b'{"event":"batch.failed","event":"batch.succeeded"}',
    b'{"event":"batch.failed","event":1}', b'{"event":1,"event":"batch.failed"}', b'{"Event":"batch.failed"}',
    b'{"ev\\u0065nt":"batch.failed"}', b'{"event":"batch\\u002efailed"}', b'{"event":"b\\u0061tch.failed"}',
    b'{"event":"batch.failed "}', b'{"event":"batch.fail\\u0065d\\u0000"}',
    b'{"event":"batch.cancelled","a":"\\/\\b\\f"}',
    b'{"event":"batch.partial_succeeded","x":{"event":"batch.failed"}}', b'{"event":"batch?failed"}',
    b'{"event":"batch.failed","a":' + b"[" * 400 + b"]" * 400 + b"}", b'{"event":"batch.failed"',
    b'"event":"batch.failed"}',
    b'{"event":"batch.failed","\\ud800":1}', b'{"event":"batch.failed","x":"\x7f\x80\x9f"}', b"\xff\xfe{}", b"\x00",
    b'{"event":"batch.failed","x":tru}', b'{"event":"batch.failed","x":truee}', b'{"event" "batch.failed"}',
    b'{"event":}',
)  # fmt: skip
PARTS: tuple[bytes, ...] = (
    b"{", b"}", b"[", b"]", b",", b":", b'"event"', b'"event":"batch.failed"', b'"event":"batch.succeeded"', b'"x":',
    b'"a"',
    b"1", b"-0", b"1e5", b"null", b"true", b"NaN", b'"\\u0000"', b'"\\ud800"', b'"\\\\"', b'"\\"', b"\\", b'"\xff"',
    b"\xff",
    b" ", b"\n", b"\x00", b'"\\u0065vent":"batch.failed"', b'"', b'"batch.failed"',
)  # fmt: skip


def random_urls(random: Random, count: int) -> list[str]:
    """URLs of pieces, most of them with a scheme."""
    made = []
    for _ in range(count):
        start = random.choice(("https://", "http://", "//", ""))
        made.append(start + "".join(random.choice(PIECES) for _ in range(random.randrange(8))))
    return made


def random_bodies(random: Random, count: int) -> list[bytes]:
    """Bodies of parts, and sound ones with a few bytes changed."""
    made = []
    for _ in range(count):
        if random.random() < 0.5:
            made.append(b"{" + b"".join(random.choice(PARTS) for _ in range(random.randrange(7))) + b"}")
            continue
        value = random.choice(("é", "\x00", "\\", "\ud83d", [1, {"event": "batch.failed"}], 1e5, None))
        event = random.choice(("batch.failed", "batch.succeeded", "other", None))
        text_ = json.dumps({"event": event, "metadata": value}, ensure_ascii=random.random() < 0.9)
        body = bytearray(text_.encode(errors="surrogatepass"))
        for _ in range(random.choice((0, 0, 1, 2))):
            body[random.randrange(len(body))] = random.choice(b'\\"{}[]:,u0 \xff\n')
        made.append(bytes(body))
    return made


async def mended(existing: Existing, column: str, values: Sequence[Any], derived: str) -> list[tuple[Any, Any]]:
    """The values of a column, and what the doctor's SQL derives from each."""
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    parent = batch(0)
    made = [delivery(parent, 10_000 + n, **{column: value}) for n, value in enumerate(values)]
    try:
        await replace(database, {batches: [parent], deliveries: made}, lacking=COUNTED_TABLES)
        await existing.run_now(
            *(f"DROP INDEX IF EXISTS ix_{TABLE}_org_{name}" for name in ("host", "event")),
            f"ALTER TABLE {TABLE} DROP COLUMN {derived}",
        )
        for finding in (await examine(existing.settings(database_url=existing.url)))[1]:
            await existing.run_now(*finding.sql)
        wanted = text(f"SELECT id, {derived} FROM {TABLE} WHERE id IN :ids")
        found = {}
        async with database.connect() as connection:
            ids = {"ids": [row["id"] for row in made]}
            for id_, value in await connection.execute(wanted.bindparams(bindparam("ids", expanding=True)), ids):
                found[str(id_)] = value
    finally:
        await database.close()
    return [(row[column], found[row["id"]]) for row in made]


async def test_sql_derives_the_host_that_the_gateway_derives(existing: Existing) -> None:
    urls = [*URLS, *random_urls(Random(11), 3_000)]  # noqa: S311 - it keeps no secret
    pairs = await mended(existing, "callback_url", urls, "callback_host")
    assert [(url, host, host_of(url)) for url, host in pairs if host != host_of(url)] == []
    assert sum(host is not None for _, host in pairs) > 1_000


async def test_sql_derives_the_event_that_the_gateway_derives(existing: Existing) -> None:
    bodies = [*BODIES, *random_bodies(Random(12), 3_000)]  # noqa: S311
    pairs = await mended(existing, "payload_bytes", bodies, "event")
    assert [(body, event, event_of(body)) for body, event in pairs if event != event_of(body)] == []
    assert sum(event is not None for _, event in pairs) > 300


async def test_a_url_finds_its_deliveries_in_tables_that_the_doctor_mended(existing: Existing) -> None:
    await mended(existing, "callback_url", URLS, "callback_host")
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    query = "query ($url: String!) { callbackDeliveries(filter: {callbackUrl: {eq: $url}}) { nodes { callbackUrl } } }"
    secrets = frozenset({"batches:read_secrets"})
    for url in URLS:
        found = (await data(database, query, scopes=secrets, url=url))["callbackDeliveries"]["nodes"]
        assert found == [{"callbackUrl": url}], url
    await database.close()


def test_what_a_delivery_tells_is_asked_only_of_json() -> None:
    assert event_of(b'{"event": "batch.failed"}') == "batch.failed"
    assert event_of(b'{"event": "batch.failed", "x": NaN}') is None
    assert event_of(None) is None


STALE = (
    ("callback_host", {"callback_url": "https://Cb.example.com:443/hook"}, "other.example.com", "cb.example.com"),
    ("callback_host", {"callback_url": "https://cb.example.com/hook"}, None, "cb.example.com"),
    ("callback_host", {"callback_url": "no URL"}, "cb.example.com", None),
    ("event", {"payload_bytes": b'{"event":"batch.failed"}'}, "batch.succeeded", "batch.failed"),
    ("event", {"payload_bytes": b'{"event":"batch.failed"}'}, None, "batch.failed"),
    ("event", {"payload_bytes": b"no JSON"}, "batch.failed", None),
    ("error_message_masked", {"error_message": "401 for token=hunter2Xk29"}, None, ""),
    ("error_message_masked", {"error_message": "token=a1 token=hunter2Xk29"}, "token=[masked] token=hunter2Xk29", ""),
    ("error_message_masked", {"error_message": "connection refused"}, "[masked]", None),
)


@pytest.mark.parametrize(("column", "source", "stored", "mended_to"), STALE)
async def test_what_earlier_versions_derived_is_found_and_mended(
    existing: Existing, column: str, source: dict[str, Any], stored: str | None, mended_to: str | None
) -> None:
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    of_attempts = column == "error_message_masked"
    parent = delivery(batch(0), 1, **({} if of_attempts else {**source, column: stored}))
    tries = [attempt(parent, 1, **source, **{column: stored})] if of_attempts else []
    table = attempts if of_attempts else deliveries
    await replace(database, {batches: [batch(0)], deliveries: [parent], attempts: tries}, lacking=COUNTED_TABLES)
    (found,) = await stale(existing)
    assert found.message.startswith(
        f"{table.name}.{column} is not what today's gateway derives from {next(iter(source))} "
    )
    assert f"(1 of the 1 rows that were looked at, such as {(tries or [parent])[0]['id']})" in found.message
    assert "hunter2Xk29" not in found.message

    await existing.run_now(*found.sql)
    async with database.connect() as connection:
        assert (await connection.execute(select(table.c[column]))).scalar_one() == mended_to
    assert await stale(existing) == []
    await database.close()


async def test_columns_that_the_database_generates_are_made_anew(postgres_existing: Existing) -> None:
    await postgres_existing.run_now(
        f"ALTER TABLE {TABLE} DROP COLUMN event",
        f"ALTER TABLE {TABLE} ADD COLUMN event text GENERATED ALWAYS AS (left(status_code, 3)) STORED",
        f"UPDATE {TABLE} SET status_code = 'failed', payload_bytes = '{{\"event\":\"batch.failed\"}}'",
    )
    (found,) = await stale(postgres_existing)
    await postgres_existing.run_now(*found.sql)
    assert await stale(postgres_existing) == []
    await postgres_existing.run_now(f'UPDATE {TABLE} SET payload_bytes = \'{{"event":"batch.cancelled"}}\'')
    assert await stale(postgres_existing) == []


async def test_rows_at_the_ends_of_a_history_are_looked_at_and_long_values_are_not(existing: Existing) -> None:
    database = Database(existing.url, DatabaseSettings(database_schema=existing.schema))
    parent, url = batch(0), "https://cb.example.com/hook"
    made = [
        delivery(parent, number, callback_url=url, callback_host="cb.example.com") for number in range(2 * ROWS_READ)
    ]
    made[-1]["callback_host"] = "old.example.com"
    made[0]["payload_bytes"] = b'{"event":"batch.failed"}' + b" " * LONGEST_READ
    made[1] |= {"callback_url": None, "event": "batch.failed"}  # whose URL and body are not kept any more
    await replace(database, {batches: [parent], deliveries: made}, lacking=COUNTED_TABLES)
    await database.close()
    (found,) = await stale(existing)
    assert found.message.startswith(f"{TABLE}.callback_host ")
    assert f"such as {made[-1]['id']})" in found.message
    told, looked_at = found.message.partition("(1 of the ")[2].split(" ", 1)[0].replace(",", ""), ROWS_READ + 2 * ENDS
    assert ROWS_READ < int(told) <= looked_at


async def stale(existing: Existing) -> list[Finding]:
    """What the doctor finds of columns that follow from others."""
    findings = (await examine(existing.settings(database_url=existing.url)))[1]
    return [found for found in findings if found.code == "DERIVED_OTHERWISE"]
