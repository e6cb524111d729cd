"""Bodies as real services write them come out as they went in: import, REST, GraphQL and export, on both databases."""

import json
import shutil
from pathlib import Path

import pytest

from gateway.database.engine import Database
from gateway.reading.exporting import export_lines
from gateway.reading.reader import Reader
from gateway.viewer import READ
from gateway.writing.importing import import_file
from tests.support.acting import acting
from tests.support.asking import data
from tests.support.pages import history_pages
from tests.support.rows import OURS, identifier, replace

BATCH = identifier(0xBA, 1)
EIGHT = (
    '{"event":"batch.succeeded","batch_id":"%s","status":"succeeded","output":%s,"duration_ms":7,'
    '"created_at":"2026-05-06T10:00:00+00:00","completed_at":null,"metadata":%s}'
)
SHAPES = {
    "the platform": EIGHT % (BATCH, '{"items":[]}', "null"),
    "the platform, spaced": json.dumps(json.loads(EIGHT % (BATCH, '{"items":[]}', "null")), indent=2),
    "the platform, other numbers": EIGHT % (BATCH, '{"a":1e3,"b":-0,"c":1.10,"d":12345678901234567890123}', "{}"),
    "the platform, twice the key": EIGHT % (BATCH, '{"a":1,"a":2}', "{}"),
    "the platform, half a pair": EIGHT % (BATCH, '{"a":"\\ud800"}', "{}"),
    "the platform, a NUL": EIGHT % (BATCH, '{"a":"\\u0000"}', "{}"),
    "the platform, deep": EIGHT % (BATCH, '{"a":' + "[" * 150 + "]" * 150 + "}", "{}"),
    "the platform, too deep": EIGHT % (BATCH, '{"a":' + "[" * 1500 + "]" * 1500 + "}", "{}"),
    "the platform, large": EIGHT % (BATCH, json.dumps({"items": ["é😀" * 50] * 1000}, ensure_ascii=False), "{}"),
    "a workflow job": '{"action":"completed","workflow_job":{"id":29679449526,"run_url":"https://api.example/runs/1",'
    '"status":"completed","conclusion":"failure","started_at":"2026-05-06T10:00:00Z","labels":["self-hosted"]}}',
    "a payment event": '{\n  "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy",\n  "object": "event",\n  "created": 1686089970,\n'
    '  "data": {\n    "object": {\n      "amount": 2000,\n      "livemode": false\n    }\n  }\n}',
    "a prediction": '{"id":"ufawqhfynnddngldkgtslldrkq","version":"5c7d5dc6","input":{"text":"Alice"},'
    '"output":null,"error":"CUDA out of memory\\n","logs":"\\u001b[31mred","metrics":{"predict_time":4.5e-05}}',
    "a queue": '{"request_id":"764cabcf-b745-4b3e-ae38-1200304cf45b","status":"ERROR","error":"Status code: 422",'
    '"payload":{"detail":[{"loc":["body","prompt"],"msg":"field required"}]}}',
    "a serverless run": '{"delayTime":2624,"executionTime":163683,"id":"c80ffee4-f315-4e25-a146-0f3d98cf024b-e1",'
    '"output":{"image":"data:image/png;base64,iVBORw0KGgo=\\/\\/"},"status":"COMPLETED"}',
    "lines of a batch": '{"id":"batch_req_1","response":{"status_code":200}}\n{"id":"batch_req_2","error":null}\n',
    "a shop": '{"id":820982911946154508,"email":"jon@example.com","price":"403.00","note":"caf\\u00e9 <b>&amp;</b>"}',
    "a form": "AccountSid=AC123&Body=Hello%2C+world%21&From=%2B15551234567&NumMedia=0",
    "markup": '<?xml version="1.0" encoding="UTF-8"?>\r\n<job>\r\n\t<state><![CDATA[a < b]]></state>\r\n</job>\r\n',
    "a page of a proxy": "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body>\r\n</html>\r\n",
    "compressed bytes, each a character": "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xffKL\x04\x00C\xb7\xe8\xff",
    "colours and other directions": "\x1b[31mfailed\x1b[0m \u202eabc\u202c \u200f\u05d0",
    "a script": "<script>alert('</script>\u2028');</script>",
    "numbers as they are written": '{"a":1E400,"b":-0.0,"c":0.10,"d":1e-7,"e":100000000000000000000}',
    "keys twice": '{"event":"batch.failed","event":"batch.succeeded","a":{"b":1,"b":2}}',
    "quotes of a word processor": "{\u201cevent\u201d:\u201cbatch.failed\u201d}",
    "a byte order mark": '\ufeff{"event":"batch.failed"}',
    "line ends": "{\r\n}\r\r\n\n\u2028\u2029\u0085\x0b\x0c",
    "no JSON": "\x00\x01\x7f\ufffd\uffff\U0010ffff",
    "an empty text": "",
    "a blank": " ",
    "constants": '{"a":NaN,"b":Infinity,"c":-Infinity}',
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    deliveries = [
        {
            "id": identifier(0xDE, number),
            "batch_id": BATCH,
            "payload_bytes": body,
            "created_at": f"2026-05-06T10:00:{number:02}Z",
            "completed_at": "2026-05-06T11:00:00Z",
        }
        for number, body in enumerate(SHAPES.values())
    ]
    path = tmp_path / "history.json"
    path.write_text(json.dumps(deliveries), encoding="utf-8")
    return path


async def exported(database: Database) -> bytes:
    return b"".join([part async for part in export_lines(database, OURS)])


async def test_bodies_come_out_as_they_went_in(
    database: Database, database_url: str, file: Path, tmp_path: Path
) -> None:
    await import_file(database, file, OURS, lambda _: None)
    async with acting(database, database_url, None, scopes=(READ,)) as client:
        answer = await client.get(f"/v1/batches/{BATCH}/callback")
        told = json.loads(answer.content)
        assert dict(zip(SHAPES, (row["payload_bytes"] for row in told), strict=True)) == SHAPES
        asked = {"query": "query ($id: ID!) { batch(id: $id) { callbackDeliveries { payloadBytes } } }"}
        answer = await client.post("/graphql", json=asked | {"variables": {"id": BATCH}})
        rows = json.loads(answer.content)["data"]["batch"]["callbackDeliveries"]
        assert dict(zip(SHAPES, (row["payloadBytes"] for row in rows), strict=True)) == SHAPES
    pages = await history_pages(Reader(database, OURS), BATCH)
    assert [row for page in pages for row in page] == told
    query = """query ($id: ID!) { batch(id: $id) { callbackDeliveries { payloadBytes payload { batchId output metadata }
      payloadBytesPreview(maxBytes: 64) { text truncated byteLength } } } }"""
    shown = (await data(database, query, id=BATCH))["batch"]["callbackDeliveries"]
    assert [row["payloadBytes"] for row in shown] == list(SHAPES.values())
    for row, body in zip(shown, SHAPES.values(), strict=True):
        beginning = row["payloadBytesPreview"]
        assert body.startswith(beginning["text"])
        assert (beginning["byteLength"], beginning["truncated"]) == (len(body.encode()), len(body.encode()) > 64)
    readable = [name for name, row in zip(SHAPES, shown, strict=True) if row["payload"] is not None]
    unreadable = {"the platform, half a pair", "the platform, too deep"}
    assert readable == [name for name in SHAPES if name.startswith("the platform") and name not in unreadable]

    lines = await exported(database)
    kept = [row["payload_bytes"] for line in lines.splitlines() for row in json.loads(line)["callback_deliveries"]]
    assert dict(zip(SHAPES, kept, strict=True)) == SHAPES
    again = tmp_path / "again.ndjson"
    again.write_bytes(lines)
    await replace(database, {})
    await import_file(database, again, OURS, lambda _: None)
    assert await exported(database) == lines


async def test_both_databases_export_the_same_bytes(
    file: Path, tmp_path: Path, sqlite_template: Path, postgres_database_url: str
) -> None:
    copy = tmp_path / "gateway.db"
    shutil.copy(sqlite_template, copy)
    told = []
    for url in (f"sqlite+aiosqlite:///{copy}", postgres_database_url):
        database = Database(url)
        await import_file(database, file, OURS, lambda _: None)
        told.append(await exported(database))
        await database.close()
    assert told[0] == told[1]
    assert told[0].count(b'"payload_bytes"') == len(SHAPES)
