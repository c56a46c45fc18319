import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from scripts import script

from localrag.security.offline import SWITCHES

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def release():
    return script("release/release.py")


@pytest.fixture(scope="module")
def built(release, tmp_path_factory):
    return release.build(tmp_path_factory.mktemp("release") / "dist")


def package_files():
    files = (path for path in (ROOT / "localrag").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_wheel_holds_every_file_of_the_package_and_no_other(built):
    wheel = next(path for path in built if path.suffix == ".whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if not re.match(r"localrag-[^/]+\.(dist-info|data)/", name)} == package_files()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    share = {name.split("/data/share/")[1] for name in names if ".data/" in name}
    assert {
        "man/man1/localrag-ask.1",
        "bash-completion/completions/localrag",
        "systemd/user/localrag-warm@.timer",
    } < share


def test_the_source_archive_holds_the_package_and_examples_alone(built):
    archive = next(path for path in built if path.name.endswith(".tar.gz"))
    with tarfile.open(archive) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames()}
    assert package_files() <= names and "examples/contracts/lease-corravane-wharf.pdf" in names
    beside = {"docs/commands.md", "release/man_pages.py"}  # what the man pages are made of
    beside |= {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "requirements.lock", ".gitignore"}
    assert {name for name in names if not name.startswith(("localrag/", "examples/", "share/"))} == beside


@pytest.mark.slow
def test_another_build_has_the_same_bytes_also_from_the_source_archive(release, built, tmp_path):
    again = release.build(tmp_path / "again")
    assert [(path.name, release.sha256(path)) for path in again] == [
        (path.name, release.sha256(path)) for path in built
    ]
    wheel, archive = sorted(built, key=lambda path: path.suffix != ".whl")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "source", filter="data")
    (folder,) = (tmp_path / "source").iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": release.commit_time()}
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    assert release.sha256(tmp_path / "dist" / wheel.name) == release.sha256(wheel)


@pytest.mark.slow
def test_requirements_of_a_release_pin_every_package_with_hashes_and_no_address(release, tmp_path):
    release.write_requirements(file := tmp_path / "requirements.txt")
    text = file.read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {"faiss-cpu", "llama-cpp-python", "pypdf", "sentence-transformers", "textual"} <= pins.keys()
    assert all(locked.get(name, version) == version for name, version in pins.items())
    assert len(re.findall(r"^[a-z0-9-]+==.* \\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins)
    assert "://" not in text


@pytest.fixture
def signed(release, built, tmp_path):
    if shutil.which("ssh-keygen") is None and "CI" not in os.environ:
        pytest.skip("ssh-keygen is not installed")
    files = [Path(shutil.copy(path, tmp_path)) for path in built]
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    release.sign(release.write_sums(files), key)
    (tmp_path / "signers").write_text("localrag " + key.with_suffix(".pub").read_text())
    return tmp_path


def verifies(folder):
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    command = page.split("## Verify", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0


def test_the_documented_command_verifies_a_release_as_it_was_signed(signed):
    assert verifies(signed)
    for name in ("*.whl", "*.tar.gz", "SHA256SUMS", "SHA256SUMS.sig"):
        (path,) = signed.glob(name)
        data = path.read_bytes()
        changed = bytearray(data)
        changed[len(data) // 2] ^= 1
        path.write_bytes(changed)
        assert not verifies(signed), f"with another {name}"
        path.write_bytes(data)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", signed / "other"], check=True)
    (signed / "signers").write_text("localrag " + (signed / "other.pub").read_text())
    assert not verifies(signed), "by another signer"


def test_only_a_tagged_and_dated_commit_without_changes_is_released(release, tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(release, "ROOT", tmp_path)
    changes = tmp_path / "CHANGELOG.md"
    changes.write_text("## [1.2.3] - unreleased\n")
    git("init", "-q")
    git("add", ".")
    with pytest.raises(SystemExit, match="CHANGELOG"):
        release.check_tree("1.2.3")
    git("commit", "-qm", "One")
    with pytest.raises(SystemExit, match=r"v1\.2\.3"):
        release.check_tree("1.2.3")
    git("tag", "v1.2.3")
    with pytest.raises(SystemExit, match="date"):
        release.check_tree("1.2.3")
    changes.write_text("## [1.2.3] - 2026-11-28\n")
    git("commit", "-qam", "Two")
    git("tag", "-f", "v1.2.3")
    release.check_tree("1.2.3")


PAGE = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def packages():
    return script("release/packages.py")


def test_every_direct_dependency_stands_in_the_table_and_no_other():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    needed = {re.match(r"[a-z0-9-]+", line)[0] for line in (*PROJECT["dependencies"], *extras)}
    listed = re.findall(r"^\| `([a-z0-9-]+)`", PAGE, re.MULTILINE)
    assert set(listed) == needed and listed == sorted(listed)


def test_every_switch_that_the_table_names_is_set_and_known_to_its_library():
    """A switch that a new version no longer reads would be set in vain."""
    named = set(re.findall(r"`([A-Z][A-Z_]{5,})`", PAGE))
    assert named <= SWITCHES.keys() and {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK"} <= named
    hub = "HF_HUB_OFFLINE HF_HUB_DISABLE_TELEMETRY DO_NOT_TRACK HF_HUB_DISABLE_IMPLICIT_TOKEN"
    for package, file, switches in (
        ("huggingface_hub", "constants.py", hub),
        ("onnxruntime", "Privacy.md", "ORT_DISABLE_TELEMETRY"),
        ("ray", "_common/usage/usage_constants.py", "RAY_USAGE_STATS_ENABLED"),
    ):
        text = Path(find_spec(package).submodule_search_locations[0], file).read_text(encoding="utf-8")
        assert [switch for switch in switches.split() if switch not in text] == [], f"{package} no longer reads it"


def test_no_package_that_runs_with_localrag_has_a_licence_that_binds(packages):
    found = packages.installed()
    assert {"torch", "onnxruntime", "textual", "transformers", "cryptography"} <= found.keys()
    assert not {"pytest", "ruff", "mypy", "keyring", "textual-image"} & found.keys()
    assert [each.name for each in found.values() if packages.objection(each.licence)] == []
    fine = ["MIT", "BSD License", "Apache-2.0 OR BSD-3-Clause", "MPL-2.0 AND MIT"]
    binding = ["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "LGPL-3.0-or-later", "BUSL-1.1", "", "Ours"]
    binding += ["GNU Affero General Public License v3"]
    assert [each for each in (*fine, *binding) if not packages.objection(each)] == fine


def test_the_bill_of_materials_holds_every_package_and_what_it_needs(packages):
    found = packages.installed()
    bill = packages.bill(found)
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.6"
    assert bill["metadata"]["component"]["name"] == "localrag"
    refs = [bill["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in bill["components"])]
    assert len(refs) == len(set(refs)) == len(found)
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.%-]+", ref) for ref in refs)
    assert all(each["licenses"][0] for each in bill["components"])
    needs = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert set(needs) == set(refs) and {ref for those in needs.values() for ref in those} <= set(refs)
    assert found["onnxruntime"].purl in needs[refs[0]]
    assert packages.bill(found)["serialNumber"] == bill["serialNumber"]


FILES = {
    "localrag/__init__.py": "",
    "localrag/types.py": "class Answer:\n    text: str\n    sure: float\n\n\nclass Page:\n    text: str\n",
    "localrag/cli/__init__.py": "",
    "localrag/cli/ask.py": "import localrag.ways as ways\n\n\ndef ask():\n    from localrag.search import deep\n    return ways, deep\n",
    "localrag/ways.py": (
        "from typing import TYPE_CHECKING\nfrom localrag.types import Answer\nif TYPE_CHECKING:\n    from localrag import unused\n\n\n"
        "def made(answer, found: Answer, page, texts):\n"
        "    replace(page, text=''), text.replace('a', 'b'), Answered(answer)\n"
        "    return [\n        Answer(''),\n        replace(answer, text=''),\n        replace(found, text=''),\n        replace(texts[0], sure=1.0),\n"
        "        Answered(replace(other, text='')),\n    ]\n"
    ),
    "localrag/unused.py": "",
    "localrag/search/__init__.py": "",
    "localrag/search/deep.py": "",
    "localrag/search/words.txt": "one\ntwo\n",
    "tests/test_it.py": "\n",
}
BUDGET = """[tool.localrag.budget]
python = 28
words = 2
files = 8
tests = 1
answers = 5
reached = { "localrag.cli.ask" = 7 }
[tool.localrag.budget.rooms]
top = [22, 0]
cli = [6, 0]
search = [0, 2]
"""


@pytest.fixture
def checkout(tmp_path):
    for name, text in (FILES | {"pyproject.toml": BUDGET}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def budget(checkout, *options):
    command = [sys.executable, str(ROOT / "release/budget.py"), "--root", str(checkout), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_package_within_its_budget_passes_and_its_numbers_are_printed(checkout):
    code, shown = budget(checkout)
    assert code == 0, shown
    rooms = "[tool.localrag.budget.rooms]"
    assert budget(checkout, "--today") == (0, BUDGET.replace(rooms, f"\n{rooms}"))
    assert "localrag.search.deep" in budget(checkout, "--reached", "localrag.cli.ask")[1]
    assert "localrag/ways.py:10" in budget(checkout, "--answers")[1]


def test_what_is_over_its_number_is_named(checkout):
    (checkout / "localrag/search/deep.py").write_text("x = 1  # fmt: " + "skip\n")
    (checkout / "localrag/fresh").mkdir()
    (checkout / "localrag/fresh/__init__.py").write_text("from localrag import unused\n")
    code, shown = budget(checkout)
    over = shown.split("over budget:\n")[1].splitlines()[:-1]
    assert code == 1 and over[:2] == ["fresh, Python", "search, Python"]
    assert over[2:] == ["Python in all rooms", "Python files", "localrag/search/deep.py:1 keeps the formatter away"]
