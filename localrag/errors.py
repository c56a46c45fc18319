"""The errors localrag raises. Each has an exit code, a message (what failed, with which value) and a hint (what to do).

The core raises; only `cli` and `tui` print.
"""

from __future__ import annotations


class LocalragError(Exception):
    """Base of all errors that localrag raises on purpose. `hint` is empty if nothing can be done."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(LocalragError):
    """A command or call is wrong."""

    exit_code = 2


class SettingsError(UsageError):
    """A value of localrag.toml, a LOCALRAG_* variable or an option is wrong."""


class NotFoundError(LocalragError):
    """A path, library, document or page does not exist."""

    exit_code = 3


class ModelError(LocalragError):
    """A model is unsuitable or too large."""

    exit_code = 4


class ModelMissing(ModelError):
    """A model is not installed."""


class ModelDamaged(ModelError):
    """The hash of a model's weights is not the pinned one."""


class LibraryError(LocalragError):
    """A library cannot be used as it is."""

    exit_code = 5


class LibraryLocked(LibraryError):
    """Another process is writing to the library."""


class EmbedderMismatch(LibraryError):
    """The library's vectors were made by another embedder."""


class KeyRequired(LibraryError):
    """The library or file is encrypted, and its key is not here."""


class KeyringDamaged(LibraryError):
    """A keyring is damaged or was tampered with."""


class IntegrityError(LibraryError):
    """An encrypted file is not what was written."""


class StorageError(LocalragError):
    """The disk is full or cannot be written."""

    exit_code = 6


class OfflineRefused(LocalragError, OSError):
    """Something tried to reach the network. An OSError, so that libraries handle it like a dead network."""

    exit_code = 7


class ReadError(LocalragError):
    """One file could not be read; an ingest reports it and continues."""

    exit_code = 8


class PolicyRefused(LocalragError):
    """The administrator's policy forbids it."""

    exit_code = 9


class PolicyUnreadable(PolicyRefused):
    """The policy cannot be read or understood, so that nothing is allowed."""


class ClusterError(LocalragError):
    """A cluster cannot be reached, or its machines cannot work."""

    exit_code = 10


class Cancelled(LocalragError):
    """The person stopped it."""

    exit_code = 130


def internal(error: BaseException) -> LocalragError:
    """Wrap an unexpected exception as an error that can be shown."""
    return LocalragError(
        f"internal error: {type(error).__name__}: {error}",
        "This is a defect of localrag, not of your documents. You can continue; `localrag doctor` may say more.",
    )
