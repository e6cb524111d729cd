"""Metrics: what a scrape shows of requests, from all workers, in bounded sets of labels."""

import os
import re
import signal
import urllib.request
from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.observability.metrics import CODES, FACES, FAMILIES, LIMITS, NAMES, REQUEST_BUCKETS, Metrics
from gateway.observability.shared_counters import CELLS
from tests.cli.test_server_life import PATIENCE, Served, served, wait_until
from tests.support.documentation import page
from tests.support.edge import BATCH, ask, furnished, gateway

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return furnished(sqlite_template, tmp_path)


def samples(text: str) -> Samples:
    """The samples of a scrape by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def shown(metrics: Metrics) -> Samples:
    return samples(metrics.render()[0].decode())


async def scrape(client: httpx.AsyncClient) -> Samples:
    return samples((await client.get("/metrics")).text)


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def series(found: Samples, name: str) -> list[dict[str, str]]:
    return [dict(labels) for each, labels in found if each == name]


async def test_a_request_is_counted_by_face_operation_plan_and_code(url: str) -> None:
    async with gateway(url) as client:
        for _ in range(2):
            await ask(client, "query Mine { batches(first: 2) { nodes { id } } }")
        await ask(client, "{ nothing }")
        await client.get(f"/v1/batches/{BATCH}/callback")
        await client.get("/v1/batches/none/callback")
        found = await scrape(client)
    planned, unplanned = ({"planned": answer, "face": "graphql"} for answer in ("true", "false"))
    assert value(found, "gateway_requests_total", operation="Mine", code="OK", **planned) == 2
    unfit = "GRAPHQL_VALIDATION_FAILED"
    assert value(found, "gateway_requests_total", operation="", code=unfit, **unplanned) == 1
    rest = {"face": "rest", "operation": "", "planned": "false"}
    assert value(found, "gateway_requests_total", code="OK", **rest) == 1
    assert value(found, "gateway_requests_total", code="VALIDATION_ERROR", **rest) == 1
    assert value(found, "gateway_request_seconds_count", **planned) == 2


async def test_statements_rows_and_the_document_cache_are_counted(url: str) -> None:
    async with gateway(url) as client:
        await ask(client, "{ batches(first: 2) { nodes { id } } }")
        before = await scrape(client)
        for _ in range(3):
            await ask(client, "{ batches(first: 2) { nodes { id } } }")
        after = await scrape(client)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("gateway_statement_seconds_count") == 3
    assert more("gateway_rows_total") in {6, 9}  # one more row tells whether there is another page
    assert more("gateway_cache_hits_total", cache="documents") == 3
    assert more("gateway_cache_misses_total", cache="documents") == 0
    assert value(after, "gateway_cache_entries", cache="documents") == 1
    assert value(after, "gateway_pool_size") == 10
    assert value(after, "gateway_pool_in_use") == 0


async def test_limits_and_legacy_use_are_counted(url: str) -> None:
    async with gateway(url, max_depth=2) as client:
        answer = await ask(client, "{ batches { nodes { callbackDeliveries { id } } } }")
        await client.get(f"/v1/batches/{BATCH}/callback")
        found = await scrape(client)
    assert answer.json()["errors"][0]["extensions"]["code"] == "DEPTH_LIMIT_EXCEEDED"
    assert value(found, "gateway_limits_hit_total", code="DEPTH_LIMIT_EXCEEDED") == 1
    (labels,) = series(found, "gateway_legacy_requests_total")
    assert re.fullmatch(r"[0-9a-f-]{36}", labels["key"])
    assert value(found, "gateway_legacy_requests_total", **labels) == 1


async def test_metrics_need_no_credential_and_come_as_open_metrics_too(url: str) -> None:
    async with gateway(url, "production", key=None) as client:
        plain = await client.get("/metrics")
        modern = await client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.status_code == modern.status_code == 200
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in parse_openmetrics(modern.text)}  # type: ignore[no-untyped-call]
    assert {"gateway_requests", "gateway_pool_size"} <= families


async def test_metrics_can_be_switched_off(url: str) -> None:
    async with gateway(url, metrics=False) as client:
        assert (await ask(client, "{ __typename }")).status_code == 200
        assert (await client.get("/metrics")).status_code == 404


async def test_a_thousand_operations_are_a_hundred_and_one_series(url: str) -> None:
    async with gateway(url) as client:
        for number in range(1_000):
            assert (await ask(client, f"query Q{number} {{ __typename }}")).status_code == 200
        found = await scrape(client)
    operations = {labels["operation"] for labels in series(found, "gateway_operation_seconds_total")}
    assert len(operations) <= NAMES + 1
    assert "other" in operations


async def test_operations_that_are_refused_have_no_series(url: str) -> None:
    async with gateway(url) as client:
        for number in range(5):
            await ask(client, f"query Q{number} {{ nothing }}", operationName=f"Q{number}")
            await client.get(f"/v1/{number}")
            await client.get(f"/{number}")
        found = await scrape(client)
    refused = [labels for labels in series(found, "gateway_requests_total") if labels["code"] != "OK"]
    assert {labels["operation"] for labels in refused} <= {"", "other"}
    assert {labels["face"] for labels in refused} == {"graphql", "rest", "other"}


def test_every_label_is_bounded_and_all_cells_together_suffice() -> None:
    metrics = Metrics()
    for number in range(500):
        name = f"x{number}"
        metrics.request(name, name, planned=True, code="OK", seconds=0)
        metrics.request("rest", name, planned=False, code=name, seconds=0)
        metrics.request("rest", name * 100, planned=False, code="OK", seconds=0)
        metrics.legacy(name)
    found = shown(metrics)
    assert len({labels["key"] for labels in series(found, "gateway_legacy_requests_total")}) == NAMES + 1
    requests = series(found, "gateway_requests_total")
    assert len({labels["operation"] for labels in requests}) <= NAMES + 1
    assert {labels["face"] for labels in requests} == {"other", "rest"}
    assert {labels["code"] for labels in requests} == {"OK", "OTHER"}
    histograms = (len(FACES) * 2 + 1) * (len(REQUEST_BUCKETS) + 2)
    assert len(FACES) * (NAMES + 1) * 2 * (len(CODES) + 10) + 3 * (NAMES + 1) + len(LIMITS) + histograms < CELLS


def test_a_histogram_puts_each_duration_into_the_buckets_that_hold_it() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.0011, 10, 11):
        metrics.request("rest", "", planned=False, code="OK", seconds=seconds)
    found = shown(metrics)
    labels = {"face": "rest", "planned": "false"}
    counts = [
        value(found, "gateway_request_seconds_bucket", le=le, **labels) for le in ("0.001", "0.0025", "10.0", "+Inf")
    ]
    assert counts == [1, 2, 3, 4]
    assert value(found, "gateway_request_seconds_sum", **labels) == pytest.approx(21.0021)


async def test_processes_of_one_folder_are_summed_and_gauges_end_with_them(tmp_path: Path) -> None:
    ours, theirs = Metrics(tmp_path), Metrics(tmp_path)
    for metrics, connections in ((ours, 3), (theirs, 4)):
        metrics.watch("gateway_pool_in_use", partial(int, connections))
        metrics.request("rest", "", planned=False, code="OK", seconds=1)
        await metrics.publish()
    requests = {"face": "rest", "operation": "", "planned": "false", "code": "OK"}
    for metrics in (ours, theirs):
        assert value(shown(metrics), "gateway_requests_total", **requests) == 2
        assert value(shown(metrics), "gateway_pool_in_use") == 7
    ours.worker_ended(os.getpid())  # which is theirs, too; ours knows that it lives itself
    assert value(shown(ours), "gateway_requests_total", **requests) == 2
    assert value(shown(ours), "gateway_pool_in_use") == 3


async def test_what_all_processes_see_is_not_summed(tmp_path: Path) -> None:
    ours, theirs = Metrics(tmp_path), Metrics(tmp_path)
    for metrics, seconds in ((ours, 3.0), (theirs, 4.0)):
        metrics.watch("gateway_replica_lag_seconds", partial(float, seconds), "0")
        await metrics.publish()
    assert value(shown(ours), "gateway_replica_lag_seconds", server="0") == 4.0


def _scraped(server: Served) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=PATIENCE) as answer:
        return samples(answer.read().decode())


def _answered(found: Samples) -> float:
    return sum(
        number
        for (name, labels), number in found.items()
        if name == "gateway_requests_total" and ("face", "graphql") in labels
    )


def test_any_worker_answers_for_all_even_for_those_that_died(tmp_path: Path) -> None:
    with served(tmp_path, "2") as server:
        wait_until(lambda: len(server.workers()) == 2)
        for _ in range(20):
            assert server.ask().status == 200
        wait_until(lambda: _answered(_scraped(server)) == 20)  # it is counted when it has been sent
        for _ in range(5):
            assert _answered(_scraped(server)) == 20
        wait_until(lambda: value(_scraped(server), "gateway_pool_size") == 20)
        for worker in server.workers():
            worker.kill()
        wait_until(lambda: value(_scraped(server), "gateway_worker_restarts_total") == 2)
        assert _answered(_scraped(server)) == 20
        wait_until(lambda: value(_scraped(server), "gateway_pool_size") == 20)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
    assert list(tmp_path.glob("gateway-metrics-*")) == []


def test_the_rooms_readme_names_every_metric() -> None:
    text = page("gateway/observability/README.md")
    for family in FAMILIES.values():
        labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
        assert f"| `{family.name}` | {labels} | {family.text} |" in text.splitlines()
    assert set(re.findall(r"^\| `(gateway_\w+)` \|", text, re.MULTILINE)) == set(FAMILIES)
