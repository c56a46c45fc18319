import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import command_line
import pytest

ROOT = Path(__file__).resolve().parents[1]
UNITS = sorted((ROOT / "share/systemd/user").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
# As a container runs it: another user than root, no rights, no network, one folder to write to.
CONTAINED = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /var/tmp
mount --bind "$LOCALRAG_HOME" "$LOCALRAG_HOME"
cut -d ' ' -f 5 /proc/self/mountinfo | while read -r place; do
    case $place in /proc*|/sys*|/dev*|/var/tmp|"$LOCALRAG_HOME") continue ;; esac
    flags=$(findmnt -no VFS-OPTIONS --mountpoint "$place" | tail -n 1 | tr , '\\n' | grep ^no | tr '\\n' ,)
    mount -o "remount,bind,ro,$flags" "$place"
done
exec unshare --user --map-user=1000 --map-group=1000 -- "$@"
"""


def run(*command, code=0, **more):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **more}, cwd=ROOT, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def needs(tool):
    if shutil.which(tool) is None and "CI" not in os.environ:
        pytest.skip(f"{tool} is not installed")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    run(sys.executable, ROOT / "release/man_pages.py", folder, SOURCE_DATE_EPOCH="1000000000")
    return {path.stem: path for path in folder.iterdir()}


def test_every_command_has_a_man_page_without_mistakes(pages):
    from localrag.cli.app import COMMANDS

    assert pages.keys() == {"localrag", *(f"localrag-{name}" for name in COMMANDS)}
    audit = pages["localrag-audit"].read_text("utf-8")
    assert ".TH localrag\\-audit 1 2001-09-09 " in audit and ".SH localrag audit verify\n" in audit
    needs("mandoc")
    assert run("mandoc", "-Tlint", "-Wwarning", *pages.values()) == ""


def test_completion_of_the_wheel_is_what_the_command_prints():
    for shell, file in (
        ("bash", "bash-completion/completions/localrag"),
        ("zsh", "zsh/site-functions/_localrag"),
        ("fish", "fish/vendor_completions.d/localrag.fish"),
    ):
        printed = command_line.run("completion", shell).stdout
        assert (ROOT / "share" / file).read_text("utf-8") == printed, f"localrag completion {shell} > share/{file}"


def test_units_are_valid_and_confined(tmp_path):
    needs("systemd-analyze")
    tmp_path.chmod(0o700)
    analyze = partial(run, "systemd-analyze", XDG_RUNTIME_DIR=str(tmp_path))
    for unit in UNITS:
        assert analyze("verify", "--user", "--man=no", unit) == ""
    for unit in SERVICES:
        analyze("security", "--user", "--offline=true", "--threshold=15", unit)  # in tenths; it exits with 1 beyond


def test_units_call_options_that_there_are():
    for unit in SERVICES:
        (line,) = re.findall(r"^ExecStart=/usr/bin/env localrag (\S+) (.*)$", unit.read_text("utf-8"), re.M)
        offered = command_line.run(line[0], "--help").stdout
        assert all(option in offered for option in re.findall(r"--[a-z-]+", line[1])), unit


def test_the_image_is_built_from_files_that_are_sent():
    lines = (ROOT / "Containerfile").read_text("utf-8").splitlines()
    copied = {each for line in lines if re.match(r"COPY (?!--from)", line) for each in line.split()[1:-1]}
    sent = {line[1:] for line in (ROOT / ".containerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert copied == sent
    assert all((ROOT / each).exists() for each in copied)


def contained(*command, code=0):
    """Run a command as `podman run --read-only --network none --cap-drop all --user 1000` would, below unshare."""
    shell = ("unshare", "--map-root-user", "--mount", "--net", "sh", "-c", CONTAINED, "sh")
    return run(*shell, *command, code=code, TMPDIR="/var/tmp", LOCALRAG_GENERATOR="smollm2-135m-instruct")


@pytest.mark.model
@pytest.mark.slow
def test_it_works_without_rights_network_and_places_to_write(home, tmp_path):
    needs("unshare")
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "lease.txt").write_text("The lease of Harbour House ends on 14 March 2031.", "utf-8")
    facts = contained("sh", "-c", "id -u; cat /proc/net/dev /proc/self/status")
    assert facts.startswith("1000\n") and "lo:" in facts and "eth" not in facts
    assert re.search(r"^CapEff:\t0+$", facts, re.M)
    for folder in (documents, ROOT, Path.home(), Path("/tmp")):
        assert "Read-only" in contained("touch", folder / "x", code=1)
    localrag = (sys.executable, "-m", "localrag")
    contained(*localrag, "ingest", documents, "--name", "papers")
    answer = contained(*localrag, "ask", "When does the lease of Harbour House end?", "--library", "papers", "--json")
    assert "14 March 2031" in answer
    assert "0 problems" in contained(*localrag, "doctor")
    assert '"proven": true' in contained(*localrag, "prove", "offline", "--json")
