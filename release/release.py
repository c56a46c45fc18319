"""Build the files of a release in dist/, and sign them.

    make dist                       the wheel and the source archive
    make release KEY=~/.ssh/NAME    the same from a clean tree at the tag of the version (v0.2.0), built twice and
                                    compared, with the bundle, the requirements with their hashes, a bill of
                                    materials, SHA256SUMS, and its signature by that SSH key

The same commit and build tools give the same bytes: files carry the time of the commit, not of the build.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
SUMS = "SHA256SUMS"
NAMESPACE = IDENTITY = "localrag"


def run(*words: str | Path, **more: str) -> str:
    """Run a command in the repository and return what it prints; exits with its error where it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env={**os.environ, **more},
        text=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        sys.exit(f"release: {' '.join(map(str, words))} ended with exit code {done.returncode}")
    return done.stdout.strip()


def build(folder: Path) -> list[Path]:
    """Build the wheel and the source archive in an empty `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, SOURCE_DATE_EPOCH=commit_time())
    return sorted(folder.iterdir())


def commit_time() -> str:
    """Seconds since 1970; hatchling has a time of its own where this is no git repository."""
    return run("git", "log", "-1", "--format=%ct")


def check_tree(version: str) -> None:
    """Exit where the release would not be the tagged commit, whole and alone."""
    if changed := run("git", "status", "--porcelain"):
        sys.exit(f"release: commit or remove these first:\n{changed}")
    if f"v{version}" not in (tags := run("git", "tag", "--points-at", "HEAD").split()):
        sys.exit(f"release: this commit has the tags {tags}, but not v{version}: git tag v{version}")
    heading = f"## [{version}] - "
    dated = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if heading in line]
    if not dated or dated[0].endswith("unreleased"):
        sys.exit(f"release: CHANGELOG.md has no line {heading!r} with a date")


def write_requirements(file: Path) -> None:
    """Write what the wheel needs on every platform, in the versions of the lock, with their hashes."""
    options = ("--quiet", "--universal", "--generate-hashes", "--no-annotate", "--no-header")
    uv = Path(sys.executable).with_name("uv")
    run(
        uv,
        "pip",
        "compile",
        *options,
        "--python-version=3.11",
        "--constraint=requirements.lock",
        "pyproject.toml",
        "-o",
        file,
    )


def write_sums(files: list[Path]) -> Path:
    """Write what `sha256sum --check` reads."""
    sums = files[0].with_name(SUMS)
    sums.write_text("".join(f"{sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")
    return sums


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def sign(sums: Path, key: Path) -> Path:
    """Sign a file with an SSH key, or with a public key whose other half an agent has. Needs OpenSSH 8.1."""
    signature = sums.with_name(f"{sums.name}.sig")
    signature.unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-Y", "sign", "-f", key.expanduser(), "-n", NAMESPACE, sums)
    return signature


def release(key: Path) -> None:
    version = run(sys.executable, "-m", "hatchling", "version")
    check_tree(version)
    if (there := metadata.version("localrag")) != version:
        sys.exit(
            f"release: the bill of materials would name localrag {there}; delete .venv/.installed and run it again"
        )
    files = build(DIST)
    with tempfile.TemporaryDirectory() as again:
        for first, second in zip(files, build(Path(again) / "dist"), strict=True):
            if sha256(first) != sha256(second):
                sys.exit(f"release: two builds of {first.name} differ")
    run(sys.executable, "release/bundle.py")
    bill = DIST / f"localrag-{version}.cdx.json"
    run(sys.executable, "release/packages.py", "sbom", bill, SOURCE_DATE_EPOCH=commit_time())
    write_requirements(DIST / f"localrag-{version}-requirements.txt")
    sums = write_sums(sorted(DIST.iterdir()))
    signature = sign(sums, key)
    print(sums.read_text(encoding="utf-8"), end="")
    print(f"{signature.relative_to(ROOT)}: signed; docs/install.md says how to verify it")


def main() -> None:
    match sys.argv[1:]:
        case ["dist"]:
            for file in build(DIST):
                print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")
        case ["release", key] if key:
            release(Path(key))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
