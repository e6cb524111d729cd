"""What the URL of a database says: libpq's parameters and SQLite's, and no part of a password in any message."""

import os
import shutil
import sqlite3
import ssl
import subprocess
import sys
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text

from gateway.database.address import INSTEAD, parse_url
from gateway.database.engine import Database
from gateway.errors import DatabaseUnavailable
from tests.support.commands import run
from tests.support.rows import OURS


def refusal(url: str) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        parse_url(url)
    return caught.value.message.removeprefix("GATEWAY_DATABASE_URL ").removeprefix("GATEWAY_DATABASE_URL: ")


@pytest.mark.parametrize(
    ("url", "arguments"),
    [
        ("postgres://u:p@h/d", {"user": "u", "password": "p", "host": ["h"], "database": "d"}),
        ("postgres://u@h:6000/d", {"user": "u", "host": ["h"], "port": [6000], "database": "d"}),
        ("postgres://h1,h2:5433/d", {"host": ["h1", "h2"], "port": [5432, 5433], "database": "d"}),
        ("postgres:///d?host=h1,h2&port=1,2", {"host": ["h1", "h2"], "port": [1, 2], "database": "d"}),
        ("postgres:///d?host=h1,h2&port=7", {"host": ["h1", "h2"], "port": [7, 7], "database": "d"}),
        ("postgres:///d?host=h1:1&host=h2:2", {"host": ["h1", "h2"], "port": [1, 2], "database": "d"}),
        ("postgres:///d?host=/run/postgresql", {"host": ["/run/postgresql"], "database": "d"}),
        ("postgres://%2Frun%2Fpostgresql/d", {"host": ["/run/postgresql"], "database": "d"}),
        ("postgres://[::1]:6000/d", {"host": ["::1"], "port": [6000], "database": "d"}),
        ("postgres://[fe80::1%25eth0]/d", {"host": ["fe80::1%eth0"], "database": "d"}),
        ("postgres://h?user=u&password=p%26&dbname=d", {"user": "u", "password": "p&", "host": ["h"], "database": "d"}),
        ("postgres://u:p%40%2F%3F@h/d", {"user": "u", "password": "p@/?", "host": ["h"], "database": "d"}),
        ("postgres://u:p@w@h/d", {"user": "u", "password": "p@w", "host": ["h"], "database": "d"}),
        ("postgres://u:p w%@h/d", {"user": "u", "password": "p w%", "host": ["h"], "database": "d"}),
        ("postgres://u:p:#+@h/d", {"user": "u", "password": "p:#+", "host": ["h"], "database": "d"}),
        ("postgres://h/d?connect_timeout=3", {"host": ["h"], "database": "d", "timeout": 3.0}),
        ("postgres://h/d?connect_timeout=0", {"host": ["h"], "database": "d"}),
        ("postgres://h/d?ssl=true", {"host": ["h"], "database": "d", "dsn": "postgresql://?sslmode=require"}),
        ("postgres://h/d?ssl=false", {"host": ["h"], "database": "d", "dsn": "postgresql://?sslmode=disable"}),
        ("postgres://h/d?ssl=verify-ca", {"host": ["h"], "database": "d", "dsn": "postgresql://?sslmode=verify-ca"}),
        (
            "postgres://h/d?sslmode=require&target_session_attrs=read-write&sslpassword=a%26b",
            {
                "host": ["h"],
                "database": "d",
                "dsn": "postgresql://?sslmode=require&target_session_attrs=read-write&sslpassword=a%26b",
            },
        ),
        (
            "postgres://h/d?keepalives=1&keepalives_idle=30&tcp_user_timeout=9&gssencmode=prefer&channel_binding=prefer"
            "&client_encoding=UTF8&load_balance_hosts=disable&sslsni=1&prepared_statement_cache_size=100",
            {"host": ["h"], "database": "d"},
        ),
        ("postgres:///", {}),
    ],
)
def test_a_postgresql_url_is_what_libpq_makes_of_it(url: str, arguments: dict[str, Any]) -> None:
    address = parse_url(url)
    assert (address.dialect, dict(address.arguments)) == ("postgresql", arguments)
    assert not address.has_pooler


@pytest.mark.parametrize(
    ("parameters", "settings"),
    [
        ("application_name=me", {"application_name": "me"}),
        ("fallback_application_name=me", {"application_name": "me"}),
        ("application_name=me&fallback_application_name=other", {"application_name": "me"}),
        ("options=-c%20work_mem%3D64MB", {"options": "-c work_mem=64MB"}),
    ],
)
def test_settings_of_a_session_are_passed_on(parameters: str, settings: dict[str, str]) -> None:
    assert dict(parse_url(f"postgres://h/d?{parameters}").settings) == settings


@pytest.mark.parametrize("parameter", ["pgbouncer=true", "prepared_statement_cache_size=0", "statement_cache_size=0"])
def test_a_pooler_is_known_by_any_of_its_words(parameter: str) -> None:
    assert parse_url(f"postgres://h/d?sslmode=require&{parameter}").has_pooler


def test_the_machine_s_own_authorities_may_vouch_for_a_server() -> None:
    context = parse_url("postgres://h/d?sslmode=verify-full&sslrootcert=system").arguments["ssl"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert refusal("postgres://h/d?sslmode=require&sslrootcert=system") == (
        "sslrootcert=system needs sslmode=verify-full."
    )


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("schema=public", "the parameter schema, which the gateway does not take: write GATEWAY_DATABASE_SCHEMA"),
        ("connection_limit=5", "write GATEWAY_DATABASE_POOL_SIZE instead"),
        ("pool_timeout=5", "write GATEWAY_DATABASE_WAIT_SECONDS instead"),
        ("channel_binding=require", "write `sslmode=verify-full&sslrootcert=system`"),
        ("hostaddr=10.0.0.1", "write the address as the host"),
        ("load_balance_hosts=random", "the parameter load_balance_hosts, which"),
        ("client_encoding=LATIN1", "the parameter client_encoding, which"),
        ("work_mem=64MB", "`options=-c%20NAME%3DVALUE`"),
        ("sslmode=on", "sslmode is one of disable, allow, prefer, require, verify-ca, verify-full."),
        ("target_session_attrs=write", "target_session_attrs is one of any, read-write"),
        ("sslrootcert=/none/ca.pem", "there is no file /none/ca.pem (sslrootcert)."),
        ("connect_timeout=soon", "connect_timeout is a number of seconds."),
        ("sslmode", "has a parameter without `=`."),
        ("%0A=1", "has a parameter, which the gateway does not take"),
    ],
)
def test_what_is_not_understood_is_named_with_what_to_write_instead(parameter: str, said: str) -> None:
    assert said in refusal(f"postgres://u@h/d?{parameter}")


def test_every_hint_is_for_a_parameter_that_is_refused() -> None:
    for name in INSTEAD:
        assert INSTEAD[name] in refusal(f"postgres://u@h/d?{name}=require")


@pytest.mark.parametrize("around", ["{}\n", " {}", '"{}"', "'{}'", "'{}'\r\n", "\ufeff{}", "`{}`", "\"'{}'\" "])
def test_what_files_and_shells_leave_around_a_url_is_no_part_of_it(around: str) -> None:
    address = parse_url(around.format("postgres://u:p@h/d"))
    assert (address.arguments["password"], address.arguments["database"]) == ("p", "d")
    assert parse_url(around.format("sqlite:///x.db")).file == Path("x.db")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is not a database URL."),
        ("psql 'postgres://u:hunter2Xk29@h/d'", "is not a database URL. It has a quote at one end."),
        ("'postgres://u:hunter2Xk29@h/d", "is not a database URL. It has a quote at one end."),
        ("host=h password=hunter2Xk29", "in the place of keywords"),
        ("jdbc:postgresql://h/d", "is not a database URL."),
        ("postgres://u:p@h/d\n/x", "has a line end or another control character amid it."),
        ("sqlite://gateway.db", "lacks a slash: sqlite+aiosqlite:///FILE"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file::memory:?cache=shared", "must name a file"),
        ("sqlite:///x?mode=memory", "must name a file"),
        ("sqlite:///x?key=hunter2Xk29", "the parameter key, which the gateway does not take"),
        ("mysql+pymysql://u:hunter2Xk29@h/d", "names mysql+pymysql; use sqlite+aiosqlite or postgresql+asyncpg."),
        ("postgres://h1,h2/d?port=1,2,3", "has 2 hosts and 3 ports."),
    ],
)
def test_a_url_that_is_none_is_refused_with_the_cause(url: str, said: str) -> None:
    assert said in refusal(url)


SECRET = "hunter2Xk29"


async def checked(url: str) -> None:
    database = Database(url)
    try:
        await database.check()
    finally:
        await database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:{}@127.0.0.1:1/d",
        "postgres://u:{}@tpw9@127.0.0.1:1/d",
        "postgres://u:tpw9@{}@127.0.0.1:1/d",
        "postgres://u:a/{}@127.0.0.1:1/d",
        "postgres://u:12/{}@127.0.0.1:1/d",
        "postgres://u:a?{}@127.0.0.1:1/d",
        "postgres://u:12?{}=1@127.0.0.1:1/d",
        "postgres://u:a@b?{}=1@127.0.0.1:1/d",
        "postgres://u:a@b/{}@127.0.0.1:1/d",
        "postgres://u:a#{}@127.0.0.1:1/d",
        "postgres://u:a:{}@127.0.0.1:1/d",
        "postgres://u:[{}@127.0.0.1:1/d",
        "postgres://u:{} b@127.0.0.1:1/d",
        "postgres://u:%{}%@127.0.0.1:1/d",
        "postgres://u:%zz{}@127.0.0.1:1/d",
        "postgres://u:a%40{}@127.0.0.1:1/d",
        "postgres://u:a\n{}@127.0.0.1:1/d",
        "postgres://u:é{}@127.0.0.1:1/d",
        "postgres://u:{}",
        "postgres://u:{}/d",
        "postgres://127.0.0.1:1/d?password={}&user=u",
        "postgres://127.0.0.1:1/d?user=u&password=a%26{}",
        "postgres://127.0.0.1:1/d?sslpassword={}",
        "postgres://127.0.0.1:1/d?sslmode={}",
        "postgres://127.0.0.1:1/d?api_key={}",
        "postgres://127.0.0.1:1/d?{}",
        "mysql://u:{}@127.0.0.1/d",
        "u:{}@127.0.0.1:1/d",
        "postgres:u:{}@127.0.0.1:1/d",
        "postgresql+psycopg://u:{}@h/d",
        "host=127.0.0.1 port=1 password={}",
        "sqlite:///none/x.db?password={}",
        "sqlite://u:{}@h/x.db",
    ],
)
async def test_no_part_of_a_password_is_in_any_message(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatabaseUnavailable) as caught:
        await checked(url.format(SECRET))
    assert caught.value.message.startswith(("GATEWAY_DATABASE_URL", "No database answers at"))
    said = "".join(traceback.format_exception(caught.value)) + caplog.text  # which GATEWAY_LOG_LEVEL=DEBUG shows
    lines = {line for line in said.splitlines() if not line.startswith("    ")}  # but for lines of this file
    assert not [line for line in lines if SECRET in line or "tpw9" in line]


def test_the_command_line_shows_no_password_either(tmp_path: Path) -> None:
    variables = {"GATEWAY_DATABASE_URL": f"postgres://u:{SECRET}@tpw9@127.0.0.1:1/d", "GATEWAY_LOG_LEVEL": "DEBUG"}
    status, output, errors = run(tmp_path, "export", "--organization", OURS, **variables)
    assert (status, output) == (1, "")
    assert "No database answers at postgresql+asyncpg://u:***@127.0.0.1:1/d: " in errors
    assert SECRET not in errors
    assert "tpw9" not in errors


async def test_the_database_of_keys_is_named_by_its_own_setting() -> None:
    with pytest.raises(DatabaseUnavailable, match=r"^GATEWAY_KEYS_DATABASE_URL has the parameter schema"):
        Database("postgres://h/d?schema=x", setting="GATEWAY_KEYS_DATABASE_URL")


async def test_both_ways_to_a_server_know_the_parameters(postgres_url: str) -> None:
    asked = (
        "?application_name=mine&options=-c%20statement_timeout%3D12s&sslmode=prefer&connect_timeout=3"
        "&target_session_attrs=any&keepalives=1"
    )
    database = Database(postgres_url + asked)
    statement = text("SELECT current_setting('application_name'), current_setting('statement_timeout')")
    read = (await database.fetch(statement))[0]
    async with database.connect() as connection:
        written = (await connection.execute(statement)).one()
    await database.close()
    assert tuple(read) == tuple(written) == ("mine", "12s")


async def test_the_first_host_that_answers_is_taken(postgres_url: str) -> None:
    url = make_url(postgres_url)
    place = f"{url.host}:{url.port or 5432}"
    database = Database(
        postgres_url.replace(f"@{url.host}", f"@127.0.0.1:1,{url.host}", 1).replace(f"{url.host}:{url.port}:", "", 1)
    )
    assert place in str(database.address)
    await database.check()
    async with database.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_an_unencrypted_server_is_refused_where_encryption_is_asked_for(postgres_url: str) -> None:
    database = Database(f"{postgres_url}?sslmode=verify-full&sslrootcert=system")
    with pytest.raises(DatabaseUnavailable, match="No database answers at"):
        await database.check()
    await database.close()


@pytest.mark.parametrize(
    ("url", "file", "read_only"),
    [
        ("sqlite:///x.db", "x.db", False),
        ("sqlite:////a/x%20y.db", "/a/x y.db", False),
        ("sqlite:////a/x y%23.db?mode=ro", "/a/x y#.db", True),
        ("sqlite:///x.db?immutable=1", "x.db", True),
        ("sqlite:///x.db?mode=rw&timeout=5&check_same_thread=false", "x.db", False),
        ("sqlite:///file:/a/x.db?mode=ro&uri=true", "/a/x.db", True),
        ("sqlite:///file:///a/x.db?mode=ro", "/a/x.db", True),
        ("file:x.db?mode=ro", "x.db", True),
    ],
)
def test_a_sqlite_url_names_a_file(url: str, file: str, read_only: bool) -> None:
    address = parse_url(url)
    assert (address.file, address.is_read_only) == (Path(file), read_only)
    again = parse_url(address.url.render_as_string())
    assert (again.file, again.is_read_only) == (address.file, read_only)


@pytest.mark.parametrize("form", ["sqlite:///{}?mode=ro", "file:{}?mode=ro", "sqlite:///file:{}?immutable=1&uri=true"])
async def test_a_file_that_is_only_read_is_not_written(form: str, sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "a b?#%.db"
    shutil.copy(sqlite_template, path)
    quoted = str(path).translate({ord("%"): "%25", ord("?"): "%3F", ord("#"): "%23"})
    if "sqlite:///file:" in form:
        quoted = quoted.replace("%", "%25")
    database = Database(form.format(quoted))
    await database.check()
    async with database.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM batches"))).scalar_one() == 0
        with pytest.raises(Exception, match="readonly"):
            await connection.execute(text("DELETE FROM batches"))
    await database.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs users")
def test_why_a_file_cannot_be_read_is_said(sqlite_template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    path = folder / "gateway.db"
    path.write_bytes(sqlite_template.read_bytes())
    assert path.read_bytes()[18:20] == b"\2\2"
    for each in (tmp_path, *tmp_path.parents[:3]):
        if each.stat().st_uid == os.getuid():
            each.chmod(each.stat().st_mode | 0o111)
    path.chmod(0o444)
    folder.chmod(0o555)
    others = folder / "other.db", tmp_path / "none" / "x.db", folder
    urls = [f"sqlite:///{path}{asked}" for asked in ("", "?mode=ro", "?immutable=1")]
    said = as_nobody([f"sqlite:///{sqlite_template}", *urls, *(f"sqlite:///{other}" for other in others)])
    reason = "keeps a write-ahead log, for which its folder would have to be written"
    assert reason in said[1]
    assert reason in said[2]
    assert said[0] == said[3] == "answers"
    assert "there is no file" in said[4]
    assert "there is no folder" in said[5]
    assert "is no file" in said[6]
    path.chmod(0o000)
    assert "may not be read" in as_nobody([f"sqlite:///{sqlite_template}", urls[0]])[1]
    folder.chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="needs users")
def test_a_log_with_rows_beside_a_file_is_never_left_out(sqlite_template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    path = folder / "gateway.db"
    path.write_bytes(sqlite_template.read_bytes())
    for each in (tmp_path, *tmp_path.parents[:3]):
        if each.stat().st_uid == os.getuid():
            each.chmod(each.stat().st_mode | 0o111)
    urls = [f"sqlite:///{path}{asked}" for asked in ("", "?mode=ro", "?immutable=1")]
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("INSERT INTO organizations VALUES ('a', 'a', '2026-05-06T10:00:00.000000Z')")
        for made in folder.iterdir():
            made.chmod(0o444)
        folder.chmod(0o555)
        left_out = "has rows in its write-ahead log, which ?immutable=1 leaves out"
        plain, read_only, immutable = as_nobody([f"sqlite:///{sqlite_template}", *urls])[1:]
        assert plain == read_only == "answers"
        assert left_out in immutable

        folder.chmod(0o755)
        path.with_name("gateway.db-shm").rename(tmp_path / "index")  # as a copy of two of the three files has it
        folder.chmod(0o555)
        plain, read_only, immutable = as_nobody([f"sqlite:///{sqlite_template}", *urls])[1:]
        assert "wal_checkpoint(TRUNCATE)" in plain
        assert "immutable" not in plain
        assert "wal_checkpoint(TRUNCATE)" in read_only
        assert left_out in immutable
        folder.chmod(0o755)
        (tmp_path / "index").rename(path.with_name("gateway.db-shm"))


AS_NOBODY = """
import asyncio, os, sys
from gateway.database.engine import Database

async def check(url):
    database = Database(url)
    try:
        await database.check()
        print("answers")
    except Exception as failure:
        print(failure)
    finally:
        await database.close()

first, *others = sys.argv[1:]
asyncio.run(check(first))  # which imports what there is to import
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for url in others:
    asyncio.run(check(url))
"""


def as_nobody(urls: list[str]) -> list[str]:
    """What is said of each database, to a user who may not do everything."""
    ran = subprocess.run([sys.executable, "-c", AS_NOBODY, *urls], check=True, capture_output=True, text=True)
    return ran.stdout.splitlines()
