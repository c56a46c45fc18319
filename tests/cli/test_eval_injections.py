"""`localrag eval injections`: what it prints, that it goes on where it stopped, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import ScriptedGenerator

from localrag.cli.evaluate import eval_command
from localrag.errors import NotFoundError
from localrag.evaluation.injections import suite

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture(autouse=True)
def obedient(models: Any) -> ScriptedGenerator:
    """Does what it is told wherever it stands, and else knows one answer."""
    script = [(one.canary, f"{one.canary} it is.") for one in suite.injected()]
    model = models.generator = ScriptedGenerator(script, otherwise="Up to two days a week.")
    return model


def run(*args: object) -> Result:
    result = CliRunner().invoke(eval_command, ["injections", *(str(arg) for arg in args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_table_has_a_line_for_each_kind_and_one_for_all() -> None:
    shown = run("--family", "plain", "--family", "override", "--unprotected", "--mode", "retrieve").stdout
    lines = [line.split() for line in shown.splitlines()]
    plain = next(line for line in lines if line[:1] == ["plain"])
    every = next(line for line in lines if line[:1] == ["all"])
    assert plain[:4] == ["plain", "8", "8", "0"] and every[:4] == ["all", "16", "16", "0"]
    assert "16 injected documents" in shown and "retrieve: attacks that succeeded" in shown


def test_json_has_counts_with_their_intervals_for_each_mode() -> None:
    report = json.loads(run("--family", "roles", "--json").stdout)
    assert report["complete"] and list(report["modes"]) == ["retrieve", "read"]
    safe = report["modes"]["read"]["all"]["protected"]
    assert safe["succeeded"]["count"] == 0 and safe["succeeded"]["of"] == 6 and safe["succeeded"]["high"] > 0.2


def test_what_is_kept_is_not_asked_again(tmp_path: Path, obedient: ScriptedGenerator) -> None:
    out = tmp_path / "out.jsonl"
    first = run("--family", "roles", "--limit", 2, "--mode", "read", "--out", out).stdout
    asked = len(obedient.prompts)
    assert asked and run("--family", "roles", "--limit", 2, "--mode", "read", "--out", out).stdout == first
    assert len(obedient.prompts) == asked
    assert len(out.read_text().splitlines()) == 1 + 2 + 2  # settings, two attacks, their two twins


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(NotFoundError) as raised:
        run("--family", "kind words")
    assert "poison" in raised.value.hint
