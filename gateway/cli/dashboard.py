"""`gateway dashboard`: what to look at, for Grafana."""

from importlib.resources import files

import typer

from gateway import observability


def dashboard() -> None:
    """Print a Grafana dashboard over the metrics, to import."""
    typer.echo(files(observability).joinpath("dashboard.json").read_text(encoding="utf-8"), nl=False)
