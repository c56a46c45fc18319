"""`localrag doctor`: what is right and wrong with this installation, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from localrag import policy
from localrag.cli.diagnosis import Finding, diagnose
from localrag.errors import PolicyUnreadable, SettingsError
from localrag.settings import Settings, explain, load_settings, origins

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--settings", "show_settings", is_flag=True, help="Show every setting, its value and where it is from.")
def doctor_command(as_json: bool, show_settings: bool) -> None:
    """Check this installation; each finding comes with its remedy.

    Ends with exit code 1 where there is a problem; warnings alone end with 0.
    """
    if show_settings:
        _print_settings(as_json)
        return
    found = []
    with policy.quietly():  # a look at a library is no attempt to use it
        for finding in _findings():
            found.append(finding)
            if not as_json:
                _print(finding)
    if as_json:
        click.echo(json.dumps({"findings": [finding.to_dict() for finding in found]}, ensure_ascii=False, indent=2))
    problems = sum(finding.state == "problem" for finding in found)
    warnings = sum(finding.state == "warning" for finding in found)
    click.echo(f"{problems} problem(s), {warnings} warning(s)", err=True)
    if problems:
        raise click.exceptions.Exit(1)


def _findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except PolicyUnreadable as error:
        yield Finding("policy", "problem", error.message, error.hint)
        return
    except SettingsError as error:
        yield Finding("settings", "problem", f"{error.message}; the rest is checked with the defaults", error.hint)
        settings = Settings()
    yield from diagnose(settings)


def _print(finding: Finding) -> None:
    click.secho(f"{finding.state:8}", fg=_COLOURS[finding.state], nl=False)
    click.echo(f"{finding.area:10} {finding.message}")
    if finding.remedy:
        click.echo(f"{'':19}-> {finding.remedy}")


def _print_settings(as_json: bool) -> None:
    settings, given = load_settings(), origins()
    abouts = {name: about for name, _, about in explain()}
    rows = [
        {
            "name": item.name,
            "value": _plain(getattr(settings, item.name)),
            "origin": given.get(item.name, "default"),
            "about": abouts[item.name],
        }
        for item in fields(settings)
    ]
    if as_json:
        click.echo(json.dumps({"settings": rows}, ensure_ascii=False, indent=2))
        return
    for row in rows:
        shown = "not set" if row["value"] is None else row["value"]
        click.echo(f"{row['name']} = {shown}  ({row['origin']})\n    {row['about']}")


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
