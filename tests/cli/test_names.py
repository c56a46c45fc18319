"""Options have one name in all commands, and old names work for one release, with a note."""

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import run, run_json

from localrag.cli import old_names
from localrag.cli.app import localrag

sys.path.append(str(Path(__file__).parents[2] / "docs"))

from build import commands

LIBRARIES = {"library", "libraries", "name", "names", "targets"}
NOT_LIBRARIES = {f"localrag config {word}" for word in ("get", "set", "unset")}


def params(command, kind):
    return [param for param in command.params if isinstance(param, kind) and not getattr(param, "hidden", False)]


def test_files_are_written_by_out_and_libraries_named_in_one_way():
    for words, command in commands():
        options = {name: option for option in params(command, click.Option) for name in option.opts}
        assert not {"--output", "--report", "--table"} & set(options), words
        assert ("--out" in options) == ("-o" in options), words
        arguments = {argument.name for argument in params(command, click.Argument)}
        assert "out" not in arguments, words
        if arguments & LIBRARIES and words not in NOT_LIBRARIES:
            assert "--library" not in options, words
        assert ("--library" in options) == ("-l" in options), words


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("dates -l a --library=b", "dates a b", "localrag dates a b"),
        ("audit export a.csv -l a --key-file k", "audit export a --out a.csv --key-file k", "--out FILE, --library"),
        ("mcp --key-file k -l a", "mcp a --key-file k", "localrag mcp"),
        ("chat -l a ./folder", "chat a ./folder", "localrag chat"),
        ("backup --clear a a.backup", "backup --clear a --out a.backup", "--out FILE"),
        ("vault key-file a.key", "vault key-file --out a.key", "--out FILE"),
        ("--debug vault open a.age --output -", "--debug vault open a.age --out -", "--output is now --out"),
        ("ask secret --table=a.csv", "ask secret --out=a.csv", "--table is now --out"),
    ],
)
def test_an_old_form_is_read_as_the_new_one(old, new, note):
    words, told = old_names.renewed(old.split())
    assert words == new.split() and note in told and "secret" not in told
    assert old_names.renewed(words) == (words, "")


@pytest.mark.parametrize(
    "words",
    [
        "dates --document -lease.pdf",
        "dates -- -l a",
        "serve --library",
        "audit export contracts",
        "ask --table -l a",
        "search -- --table",
        "backup --check a",
        "extract -- --table",
        "",
    ],
)
def test_what_is_no_old_form_stays(words):
    expected = words.replace("ask --table", "ask --out").split()
    assert old_names.renewed(words.split())[0] == expected


def test_the_note_is_one_line_on_stderr(shelf, settings, tmp_path):
    shelf("papers", {"a.txt": "The Tenant shall pay the rent on 1 May 2031."})
    shelf("others", {})
    new, old = run("dates", "papers", "--json"), run("dates", "-l", "papers", "--json")
    assert new.stdout == old.stdout and "2031-05-01" in old.stdout
    assert new.stderr == "" and old.stderr == "! --library is now an argument: localrag dates papers --json\n"
    done = run("audit", "export", str(tmp_path / "log.csv"), "-l", "papers")
    assert (tmp_path / "log.csv").exists() and done.stderr.count("is now") == 2
    assert run_json("backup", "papers", tmp_path / "a.backup", "--clear")["files"]


def test_the_shell_completes_libraries_after_old_and_new_forms(shelf):
    shelf("papers", {})
    for words in ("localrag dates ", "localrag dates --library x ", "localrag audit show "):
        done = CliRunner().invoke(
            localrag,
            env={"_LOCALRAG_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))},
            prog_name="localrag",
        )
        assert "plain,papers" in done.output and "is now" not in done.output, words
