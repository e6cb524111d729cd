"""The dashboard: JSON that Grafana imports, over metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli import app
from gateway.observability.metrics import FACES, FAMILIES
from tests.support.commands import run

PRINTED = CliRunner().invoke(app, ["dashboard"]).output
DASHBOARD: dict[str, Any] = json.loads(PRINTED)
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
SERIES = {
    f"{family.name}{suffix}"
    for family in FAMILIES.values()
    for suffix in (("_bucket", "_sum", "_count") if family.buckets else ("",))
}


def test_it_is_printed(tmp_path: Path) -> None:
    assert run(tmp_path, "dashboard") == (0, PRINTED, "")


def test_it_has_what_grafana_needs() -> None:
    assert {"title", "uid", "schemaVersion", "time", "templating", "panels"} <= set(DASHBOARD)
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references == ["A", "B", "C"][: len(references)]


def test_no_panel_covers_another() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))


def test_its_queries_name_metrics_and_labels_that_there_are() -> None:
    for query in QUERIES:
        assert query.count("(") == query.count(")")
        named = set(re.findall(r"\bgateway_\w+", query))
        assert named
        assert named <= SERIES
        for name, matchers in re.findall(r"\b(gateway_\w+)\{(.*?)\}", query):
            family = FAMILIES[re.sub(r"_(bucket|sum|count)$", "", name)]
            assert set(re.findall(r"(\w+)=~?\"", matchers)) - {"job"} <= set(family.labels)
        for labels in re.findall(r"\bby \((.*?)\)", query):
            families = [FAMILIES[re.sub(r"_(bucket|sum|count)$", "", name)] for name in named]
            assert set(labels.split(", ")) - {"le"} <= {label for family in families for label in family.labels}
    assert {"graphql", "rest"} <= FACES


def test_it_shows_every_metric() -> None:
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bgateway_\w+", " ".join(QUERIES))}
    assert named == set(FAMILIES)
