"""The person's own `localrag.toml`, changed one setting at a time.

Comments, order and lines that are not understood stay as they are (tomlkit), and the file is replaced whole or not
at all. What would not be read back is never written: a value is checked by the code that reads the file. A file that
is not TOML is left alone, and said. That another model was chosen is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import policy, settings
from localrag.errors import SettingsError, StorageError
from localrag.security import audit, storage

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def save(name: str, value: Any, environ: Mapping[str, str] | None = None) -> Path:
    """Write a setting; the value may be text as it is typed. Returns the file.

    Raises:
        SettingsError: the name or the value is wrong, or the file is not TOML.
        StorageError: it cannot be read or written.
        PolicyRefused: the policy says another value.
    """
    path = settings.user_file(environ)
    checked = settings.check(name, value, str(path))
    policy.check_setting(name, checked)
    document = _read(path)
    document[name] = _plain(checked)
    _write(path, document)
    _record(name, settings.as_text(checked), environ)
    return path


def drop(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Take a setting out of the file, so that its default (or another file) holds; False if it was not there.

    Raises:
        SettingsError, StorageError: as `save`. A name that is no setting may be dropped, if it is there.
    """
    path = settings.user_file(environ)
    document = _read(path)
    if name not in document:
        if name not in {knob.name for knob in settings.knobs()}:
            settings.check(name, "", "the command")  # raises, and names the near one
        return False
    del document[name]
    _write(path, document)
    _record(name, "", environ)
    return True


def _record(name: str, value: str, environ: Mapping[str, str] | None) -> None:
    """Record which model is to answer, embed or rank from now on."""
    if name in settings.MODELS:
        with suppress(SettingsError):  # another line of the file is wrong: nothing runs before it is put right
            file = settings.load_settings(environ).audit_file
            audit.record(file, "model", None, deed="set", setting=name, model=value)


def _read(path: Path) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(storage.read_bytes(path).decode("utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        message = f"cannot change {str(path)!r}: {error}"
        raise SettingsError(message, "Correct the file or move it away.") from None
    except OSError as error:
        raise StorageError(f"cannot read {str(path)!r}: {error.strerror}", "Check the rights of the file.") from error


def _write(path: Path, document: TOMLDocument) -> None:
    import tomlkit

    # A link is followed, so that a file kept elsewhere (with other dotfiles) stays where it is.
    storage.write_bytes(path.resolve(), tomlkit.dumps(document).encode("utf-8"))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
