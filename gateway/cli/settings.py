"""`gateway settings`: what can be set, as the table of `gateway/cli/README.md`."""

from typing import Any

import typer

from gateway.cli.session import variable
from gateway.settings import Profile, Settings


def settings() -> None:
    """Print a table, in Markdown, of every setting: its variable, its default and what it is."""
    typer.echo("| variable | default | what it is |\n| --- | --- | --- |")
    for name, field in Settings.model_fields.items():
        description = " ".join((field.description or "").split())
        typer.echo(f"| `{variable(name)}` | {_default(name)} | {description} |")


def _default(name: str) -> str:
    """The default of a setting, whatever the environment holds; both where it depends on the profile."""
    field = Settings.model_fields[name]
    production, development = (
        _shown(field.get_default(call_default_factory=True, validated_data={"profile": profile})) for profile in Profile
    )
    return production if production == development else f"{production}; in development {development}"


def _shown(value: Any) -> str:
    """A value as the table writes it: 50000 as `50,000`, a text as code, nothing as `none`."""
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"`{value}`"
    return ", ".join(value) if isinstance(value, tuple) else f"{value:,}" if isinstance(value, int) else f"{value:g}"
