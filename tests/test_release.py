"""The built packages hold all that localrag needs and nothing else, the same bytes each time, and their signature binds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def release() -> ModuleType:
    return script("release/release.py")


@pytest.fixture(scope="module")
def built(release: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheel and the source archive."""
    found: list[Path] = release.build(tmp_path_factory.mktemp("release") / "dist")
    return found


def package_files() -> set[str]:
    files = (path for path in (ROOT / "localrag").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_wheel_holds_every_file_of_the_package_and_no_other(built: list[Path]) -> None:
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


def test_the_source_archive_holds_the_package_and_examples_alone(built: list[Path]) -> None:
    archive = next(path for path in built if path.name.endswith(".tar.gz"))
    with tarfile.open(archive) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames()}
    assert package_files() <= names and "examples/contracts/lease-corravane-wharf.pdf" in names
    beside = {"docs/commands.md", "release/man_pages.py"}  # what the man pages are made of
    beside |= {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "requirements.lock", ".gitignore"}
    assert {name for name in names if not name.startswith(("localrag/", "examples/", "share/"))} == beside


@pytest.mark.slow
def test_another_build_has_the_same_bytes(release: ModuleType, built: list[Path], tmp_path: Path) -> None:
    again = release.build(tmp_path / "dist")
    assert [path.name for path in again] == [path.name for path in built]
    assert [release.sha256(path) for path in again] == [release.sha256(path) for path in built]


@pytest.mark.slow
def test_the_source_archive_builds_the_same_wheel(release: ModuleType, built: list[Path], tmp_path: Path) -> None:
    wheel, archive = sorted(built, key=lambda path: path.suffix != ".whl")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": release.commit_time()}
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    assert release.sha256(tmp_path / "dist" / wheel.name) == release.sha256(wheel)


@pytest.fixture
def signed(release: ModuleType, built: list[Path], tmp_path: Path) -> Path:
    """A folder with the files of a release, their signed checksums, and the signer's line `signers`."""
    if shutil.which("ssh-keygen") is None and "CI" not in os.environ:
        pytest.skip("ssh-keygen is not installed")
    files = [Path(shutil.copy(path, tmp_path)) for path in built]
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    release.sign(release.write_sums(files), key)
    (tmp_path / "signers").write_text("localrag " + key.with_suffix(".pub").read_text())
    return tmp_path


def verifies(folder: Path) -> bool:
    """Run the command of docs/install.md."""
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    command = page.split("## Verify", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode == 0


def test_the_documented_command_verifies_a_release_as_it_was_signed(signed: Path) -> None:
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


def test_only_a_tagged_and_dated_commit_without_changes_is_released(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> None:
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
