"""All settings, where each value comes from, and every path of localrag.

Later sources win: defaults, `localrag.toml` in the user's configuration folder, then in the current folder (or the file
that LOCALRAG_CONFIG names, instead of both), LOCALRAG_* variables, options; a policy overrides all. An unknown key in a
file is refused, an unknown variable reported. The file in the current folder may have come with documents: beyond the
keys in `PROJECT`, its values are ignored until the user trusts the file, by its path and hash.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import tomllib
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from localrag import policy
from localrag.errors import SettingsError, StorageError
from localrag.types import Ocr

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Think = Literal["auto", "on", "off"]
Theme = Literal["auto", "dark", "light", "contrast"]
Write = Callable[[Path, bytes], None]  # replaces a file atomically

FILE_NAME = "localrag.toml"
AUDIT_FILE = "audit.jsonl"
_PREFIX = "LOCALRAG_"
_NOT_SETTINGS = {"LOCALRAG_CONFIG", policy.VARIABLE}
# What anybody's file may set: it starts nothing, names no file or model, deletes nothing, takes no time or memory, and
# changes neither what is read nor what is answered from it.
PROJECT = frozenset("theme animations source_view answer_form seed".split())
_GROUPS = {  # headings, by the first setting below them
    "theme": "The terminal app",
    "generator": "Models",
    "answer_tokens": "Answers",
    "passages": "Searching and reading",
    "ocr": "Reading files",
    "threads": "Use of this machine",
    "home": "Data and records",
}


def _setting(default: Any, about: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"about": about, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, in the order in which `localrag config show` prints them, under the headings of `_GROUPS`."""

    theme: Theme = _setting("auto", "Colours: auto (dark, or light if the terminal says so), dark, light, contrast.")
    animations: Literal["auto", "on", "off"] = _setting("auto", "Movement: on, off, or auto (off over SSH).")
    source_view: Literal["text", "picture"] = _setting("text", "Show sources as text, or as pictures of pages (Alt+I).")
    viewer: str | None = _setting(
        None, 'Command that opens a source: "evince -i {page} {file}"; else the system\'s own.'
    )

    generator: str | None = _setting(None, "Id of the model that answers; else the choice of `models use`.")
    embedder: str | None = _setting(None, "Id of the embedder for new libraries, or multilingual.")
    generator_server: str | None = _setting(
        None, "Model server in the house that answers: http://HOST:PORT/v1 or unix:///PATH."
    )
    embedder_server: str | None = _setting(None, "Model server in the house that embeds, for new libraries.")
    reranker: Path | None = _setting(None, "Reranker of passages: id of an installed one, or a folder.")
    sources: tuple[str, ...] = _setting(("wheel", "hub"), "Where models may be installed from, in order.")

    answer_tokens: int = _setting(400, "Maximum tokens of an answer.", 8, 100_000)
    answer_form: Literal["sentences", "short"] = _setting("sentences", "Answer in sentences, or in few words (short).")
    min_confidence: float = _setting(0.5, "Confidence that the text holds the answer; lower answers more often.", 0, 1)
    strict: bool = _setting(False, "Answer only what the text supports throughout; show words once checked.")
    think: Think = _setting("off", "Let a reasoning model reason first: off, on, or auto (where work is needed).")
    think_tokens: int = _setting(512, "Maximum tokens of reasoning before the answer.", 1, 100_000)
    temperature: float = _setting(0.0, "0 always takes the likeliest word, which makes answers repeatable.", 0, 2)
    seed: int = _setting(7, "Seed of the sampling; has no effect at temperature 0.", 0, 2**32 - 1)

    passages: int = _setting(8, "Passages retrieved for a question.", 1, 100)
    prompt_tokens: int = _setting(1000, "Maximum tokens of passages in a prompt (`retrieve`).", 128, 1_000_000)
    read_tokens: int = _setting(6000, "Maximum tokens of documents in a prompt (`read`).", 128, 10_000_000)

    ocr: Ocr = _setting("auto", "Recognise text in pictures: auto (pages without text), force (all pages), off.")
    ocr_languages: tuple[str, ...] = _setting(("en",), "Languages that recognition expects (ISO 639-1: en, de).")
    read_seconds: int = _setting(120, "Maximum seconds to read one file.", 1, 86_400)
    read_memory_mb: int = _setting(1500, "Maximum memory to read one file, in MB.", 100, 1_000_000)
    read_unpacked_mb: int = _setting(2000, "Maximum size of an unpacked file (archives, Office), in MB.", 1, 1_000_000)
    archive_depth: int = _setting(3, "How deep files within files are read; 0 reads none.", 0, 20)
    workers: int = _setting(2, "Processes that read files.", 1, 64)

    threads: int = _setting(0, "Threads of the model; 0 uses one for each available core.", 0, 1024)
    gpu_layers: int = _setting(-1, "Layers of the model on the GPU; -1 puts there as many as fit.", -1, 10_000)
    context_tokens: int = _setting(0, "Context of the model in tokens; 0 sizes it to the plan.", 0, 10_000_000)
    keep_model_minutes: int = _setting(
        10,
        "Minutes that the process of `ask` (Linux) or `mcp` keeps the model for further questions; 0: not at all.",
        0,
        1440,
    )
    cache_bytes: int = _setting(
        0, "Maximum size of a prompt cache; 0: a tenth of free space, up to 5 GB.", 0, 2**63 - 1
    )

    store: str | None = _setting(None, "URL of a PostgreSQL database that keeps new libraries; else a folder each.")
    home: Path | None = _setting(None, "Folder of libraries, models and conversations; else the user data folder.")
    key_file: Path | None = _setting(None, "File that opens encrypted libraries, as --key-file does.")
    audit_words: Literal["marks", "full"] = _setting("marks", "Record questions and answers as hashes, or in full.")
    retention_days: int = _setting(0, "Days after which conversations and kept words are deleted; 0: never.", 0, 36_500)

    def __post_init__(self) -> None:
        for name in policy.RULED:
            object.__setattr__(self, name, policy.effective(name, getattr(self, name)))

    @property
    def _data(self) -> Path:
        if self.home is not None:
            return self.home
        import platformdirs

        return Path(platformdirs.user_data_dir("localrag", appauthor=False))

    @property
    def _local_indexes(self) -> Path | None:
        """The folder ./indexes if it is there and `home` is not set."""
        here = _current_folder() / "indexes"
        return here if self.home is None and here.is_dir() else None

    @property
    def indexes_dir(self) -> Path:
        """The folder of libraries: below `home`, else ./indexes if it is there, else in the user data folder."""
        return self._local_indexes or self._data / "indexes"

    def library_dir(self, name: str) -> Path:
        return self.indexes_dir / name

    def library_audit_file(self, library: str) -> Path:
        """The audit record of a library, which moves with its folder."""
        return self.library_dir(library) / AUDIT_FILE

    @property
    def claims_needed(self) -> bool:
        """True if libraries are in ./indexes, where some may have come with the folder."""
        return self.indexes_dir == self._local_indexes

    def own_mark(self, name: str) -> Path:
        """The file that marks a library of ./indexes as made on this machine, and names its store."""
        return self._data / "own" / _path_hash(self.indexes_dir / name)

    def read_marks(self, name: str, root: str = "") -> Path:
        """The folder of marks of what was read into a library on this machine, or the mark of one root."""
        folder = self.general_dir / "read" / _path_hash(self.indexes_dir / name)
        return folder / _path_hash(Path(root)) if root else folder

    @property
    def models_dir(self) -> Path:
        return self._data / "models"

    @property
    def first_start_file(self) -> Path:
        """The answers of a first start that is not done yet."""
        return self._data / "first-start.json"

    @property
    def sessions_dir(self) -> Path:
        return self._data / "sessions"

    @property
    def evaluation_dir(self) -> Path:
        """The folder of libraries used for evaluation only."""
        return self._data / "evaluation"

    @property
    def questions_dir(self) -> Path:
        """Marks of running questions, so that an ingest yields to them."""
        return self._data / "asking"

    @property
    def running_dir(self) -> Path:
        """Sockets of the workers that stay for further questions; no worker may write there once it is confined."""
        return self._data / "running"

    @property
    def general_dir(self) -> Path:
        """Files that belong to no library and that every process may write."""
        return self._data / "general"

    @property
    def audit_file(self) -> Path:
        return self.general_dir / AUDIT_FILE

    @property
    def calibration_file(self) -> Path:
        return self.general_dir / "calibration.json"

    @property
    def speed_file(self) -> Path:
        return self.general_dir / "speed.json"

    @property
    def temporary_dir(self) -> Path:
        return self._data / "tmp"

    def temporary_dir_of(self, libraries: Collection[str]) -> Path:
        """Temporary files of processes that work on these libraries; they may hold words of documents."""
        together = self.indexes_dir / "+".join(sorted(libraries))
        return self.temporary_dir / _path_hash(together) if libraries else self.temporary_dir

    @property
    def proofs_dir(self) -> Path:
        """The folder of the key that signs proofs."""
        return self._data / "proofs"

    @property
    def private_dirs(self) -> tuple[Path, ...]:
        """Folders of which a process that works on one library may see that library's part only."""
        others = (self.evaluation_dir, self.proofs_dir, self._data / "own", self.temporary_dir)
        return self.indexes_dir, self.sessions_dir, *others

    @property
    def digest(self) -> str:
        """A short hash of all values, for records."""
        import hashlib

        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def with_options(self, **options: Any) -> Settings:
        """Return a copy with some values replaced; None leaves a value, an empty text unsets an optional one.

        Raises SettingsError, or PolicyRefused if a policy sets another value.
        """
        given: dict[str, Any] = {}
        for name, value in options.items():
            if value is not None:
                unset = value == "" and name in _FIELDS and _FIELDS[name].default is None
                given[name] = None if unset else check(name, value, "option")
                policy.check_setting(name, given[name])
        return replace(self, **given)


MODELS = ("generator", "embedder", "reranker")
# A loaded model stays in memory while these are the same.
MODEL_SETTINGS = frozenset({"home", "generator", "generator_server", "context_tokens", "threads", "gpu_layers"})
_FIELDS = {item.name: item for item in fields(Settings)}
_TYPES: dict[str, Any] = get_type_hints(Settings)


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """What a person is shown of a setting. `kind` in words; `choices` or a range; `optional` if it may be unset."""

    name: str
    group: str
    about: str
    kind: str
    default: Any
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    optional: bool = False

    @property
    def bounds(self) -> str:
        """The values it takes: "a whole number from 1 to 100"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        among = "" if self.low is None else f" from {self.low:,} to {self.high:,}"
        several = ", with commas between them" if self.kind == "list of words" else ""
        return f"a {self.kind}{among}{several}{', or nothing' if self.optional else ''}"


def setting_infos() -> tuple[SettingInfo, ...]:
    """Every setting, group by group."""
    infos, group = [], ""
    for item in fields(Settings):
        kind, group = _TYPES[item.name], _GROUPS.get(item.name, group)
        choices, optional = _choices(kind), item.default is None
        shown = "choice" if choices else _kind_name(kind)
        values = {"kind": shown, "default": item.default, "choices": choices, "optional": optional, **item.metadata}
        infos.append(SettingInfo(item.name, group, **values))
    return tuple(infos)


def as_text(value: Any) -> str:
    """A value as it is typed: empty if unset, a list with commas."""
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings files and variables. Raises SettingsError if a file, a name or a value is wrong."""
    given = _given(os.environ if environ is None else environ)
    return Settings(**{key: value for key, (value, _) in given.items()})


def origins(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The file, variable or policy that set each value; settings with their default are left out."""
    given = _given(os.environ if environ is None else environ)
    ruled = {
        name: str(file)
        for name in policy.RULED
        if (file := policy.origin(name, given[name][0] if name in given else _FIELDS[name].default)) is not None
    }
    return {key: origin for key, (_, origin) in given.items()} | ruled


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """A warning for each LOCALRAG_* variable that names no setting."""
    return [
        f"{name} is ignored: there is no such setting. {_nearest(key)}"
        for name, key in _variables(os.environ if environ is None else environ)
        if key not in _FIELDS
    ]


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """The variables that should name a setting, and its name."""
    names = (name for name in environ if name.startswith(_PREFIX) and name not in _NOT_SETTINGS)
    return [(name, name.removeprefix(_PREFIX).lower()) for name in names if not name.startswith("LOCALRAG_TEST_")]


def _given(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """Every value that was given, and by which file or variable."""
    values: dict[str, tuple[Any, str]] = {}
    for path in config_files(environ):
        own = path == user_file(environ)
        found = _read(path, links=own)
        ignored = {} if own else found.ignored
        data = {key: value for key, value in found.values.items() if key not in ignored}
        if own and (unknown := next((key for key in data if key not in _FIELDS), None)):
            raise _unknown(unknown, str(path), f"`localrag config unset {unknown}` removes it. ")
        values |= {key: (check(key, value, str(path), path.parent), str(path)) for key, value in data.items()}
    named = {key: (check(key, environ[name], name), name) for name, key in _variables(environ) if key in _FIELDS}
    return values | named


def config_files(environ: Mapping[str, str] | None = None) -> list[Path]:
    """The settings files that are read, in order."""
    environ = os.environ if environ is None else environ
    named = environ.get("LOCALRAG_CONFIG")
    if named:
        if not Path(named).is_file():
            raise SettingsError(f"LOCALRAG_CONFIG names no file: {named!r}", "Correct the path or unset it.")
        return [Path(named)]
    own, project = user_file(environ), _current_folder() / FILE_NAME
    there = [path for path in (own, project) if path.is_file()]
    return [own] if len(there) == 2 and own.samefile(project) else there


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a settings file holds. `trusted`: the user trusts this content at this path."""

    path: Path
    sha256: str
    values: Mapping[str, Any]
    trusted: bool

    @property
    def restricted(self) -> dict[str, Any]:
        """The values that a file in the current folder sets only if it is trusted."""
        return {key: value for key, value in self.values.items() if key in _FIELDS.keys() - PROJECT}

    @property
    def ignored(self) -> dict[str, Any]:
        return {} if self.trusted else self.restricted

    @property
    def warning(self) -> str:
        """What is ignored, and what to do; empty if nothing is."""
        hint = "The file may have come with documents. If you trust it: localrag config trust"
        return f"Ignored in {self.path}: {', '.join(self.ignored)}. {hint}" if self.ignored else ""


def project_file(environ: Mapping[str, str] | None = None) -> SettingsFile | None:
    """Return the settings file of the current folder, if it is read. Raises SettingsError if that fails."""
    return next((_read(path) for path in config_files(environ) if path != user_file(environ)), None)


def trusted_list() -> Path:
    """The file that lists the trusted settings files of other folders, each with its hash."""
    return _user_folder() / "trusted.json"


def trust(file: SettingsFile, write: Write, *, revoke: bool = False) -> None:
    """Trust a file with this content, or no longer. Raises StorageError if that cannot be saved."""
    listed = {path: sha256 for path, sha256 in _trusted().items() if path != str(file.path)}
    listed |= {} if revoke else {str(file.path): file.sha256}
    write(trusted_list(), json.dumps(listed, indent=2).encode())


def _trusted() -> dict[str, str]:
    """The trusted files; none if the list is missing or damaged."""
    with suppress(OSError, ValueError, RecursionError):
        listed = json.loads(trusted_list().read_bytes())
        return listed if isinstance(listed, dict) else {}
    return {}


def read_file(path: Path, *, links: bool = False, most: int = 1 << 20) -> bytes:
    """Read a regular file of at most so many bytes that may not be a link unless `links`. Raises OSError."""
    if not links and path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link")
    # Non-blocking, as a pipe would wait for a writer.
    flags = ("O_NONBLOCK", "O_BINARY", *(() if links else ("O_NOFOLLOW",)))
    descriptor = os.open(path, os.O_RDONLY | sum(getattr(os, name, 0) for name in flags))
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        data = stream.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes")
    return data


def _read(path: Path, *, links: bool = False) -> SettingsFile:
    import hashlib

    try:
        data = read_file(path, links=links)
        values = tomllib.loads(data.decode())
        repr(values)  # fails for numbers that are too long to be shown
    except (OSError, ValueError, RecursionError) as error:
        message = f"cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}"
        raise SettingsError(message, "Correct the file or move it away.") from None
    sha256 = hashlib.sha256(data).hexdigest()  # of the bytes that were parsed
    return SettingsFile(path, sha256, values, _trusted().get(str(path)) == sha256)


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise SettingsError("the current folder was deleted", "Change to another folder.") from None


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """The file that a person's own settings are saved to: the one LOCALRAG_CONFIG names, else the user's."""
    named = (os.environ if environ is None else environ).get("LOCALRAG_CONFIG")
    return Path(named) if named else _user_folder() / FILE_NAME


def _user_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_config_dir("localrag", appauthor=False))


def check(key: str, value: Any, origin: str, base: Path | None = None) -> Any:
    """Convert a value from a file or variable (`origin`), or raise SettingsError; `base` is where paths start."""
    if key not in _FIELDS:
        raise _unknown(key, origin)
    kind, about = _TYPES[key], str(_FIELDS[key].metadata["about"])
    try:
        converted = _convert(kind, value, base)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: "~nobody" names no home
        hint = f"Give a {_kind_name(kind)}. {about}"
        raise SettingsError(f"{key} = {value!r} in {origin} is not a {_kind_name(kind)}", hint) from None
    low, high = _FIELDS[key].metadata["low"], _FIELDS[key].metadata["high"]
    if low is not None and not low <= converted <= high:
        raise SettingsError(f"{key} = {value!r} in {origin} must be between {low} and {high}", about)
    return converted


def _unknown(key: str, origin: str, hint: str = "") -> SettingsError:
    return SettingsError(f"unknown setting {key!r} in {origin}", hint + _nearest(key))


def _nearest(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, _FIELDS, 1)
    return f"Did you mean {near[0]!r}?" if near else "`localrag config show` lists the settings."


def _convert(kind: Any, value: Any, base: Path | None) -> Any:
    if kind is bool:
        return bool(("false", "true").index(str(value).lower()))
    if kind in (int, float):
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise TypeError
        return kind(value)
    if kind == tuple[str, ...]:
        items = value.split(",") if isinstance(value, str) else value
        return tuple(str(item).strip() for item in items if str(item).strip())
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError
        return value
    if not isinstance(value, str | Path) or not str(value):
        raise TypeError
    if kind == Path | None:
        return (base or _current_folder()) / Path(value).expanduser()
    return str(value)


def _choices(kind: Any) -> tuple[str, ...]:
    return ("true", "false") if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()


def _kind_name(kind: Any) -> str:
    names = {int: "whole number", float: "number", tuple[str, ...]: "list of words", Path | None: "path"}
    if choices := _choices(kind):
        return f"choice of {', '.join(choices)}"
    return names.get(kind, "piece of text")


def _path_hash(folder: Path) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:24]


def save(name: str, value: Any, write: Write, environ: Mapping[str, str] | None = None) -> Path:
    """Write a setting and return the file, whose comments stay. Raises SettingsError, StorageError, PolicyRefused."""
    path = user_file(environ)
    checked = check(name, value, str(path))
    policy.check_setting(name, checked)
    document = _document(path)
    document[name] = str(checked) if isinstance(checked, Path) else checked
    _write(path, document, write)
    return path


def unset(name: str, write: Write, environ: Mapping[str, str] | None = None) -> bool:
    """Remove a setting, known or not, from the file; False if it is not there. Raises as `save`."""
    path = user_file(environ)
    document = _document(path)
    if name not in document:
        if name not in _FIELDS:
            raise _unknown(name, str(path))
        return False
    del document[name]
    _write(path, document, write)
    return True


def _document(path: Path) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        message = f"cannot change {str(path)!r}: {error}"
        raise SettingsError(message, "Correct the file or move it away.") from None
    except OSError as error:
        raise StorageError(f"cannot read {str(path)!r}: {error.strerror}", "Check the rights of the file.") from error


def _write(path: Path, document: TOMLDocument, write: Write) -> None:
    import tomlkit

    # A link is followed, so that a file kept elsewhere (with other dotfiles) stays there.
    write(path.resolve(), tomlkit.dumps(document).encode("utf-8"))
