"""The errors localrag raises, and what each tells its reader to do.

    LocalragError                     exit code 1
    ├── UsageError                    2   the command or call was put wrongly
    │   └── SettingsError             2   localrag.toml or a LOCALRAG_* variable
    ├── NotFoundError                 3   a path, library, document or page that is not there
    ├── ModelError                    4   a model is missing, damaged, unsuitable or too large
    │   ├── ModelMissing              4
    │   └── ModelDamaged              4   its hash is not the pinned one
    ├── LibraryError                  5   a library cannot be used as it is
    │   ├── LibraryLocked             5   another process is writing to it
    │   ├── EmbedderMismatch          5   its vectors were made by another embedder
    │   ├── VaultLocked               5   it is encrypted, and its key is not here
    │   ├── VaultDamaged              5   its key ring is damaged or was tampered with
    │   └── IntegrityError                5   an encrypted file is not what was written
    ├── StorageError                  6   the disk is full or cannot be written
    ├── OfflineRefused                7   something tried to reach the network (also an OSError)
    ├── ReadError                     8   one file could not be read; ingest reports it and goes on
    ├── PolicyRefused                 9   the administrator's policy does not allow it
    │   └── PolicyUnreadable          9   it cannot be read or understood, so that nothing is allowed
    └── Cancelled                     130 the person stopped it

Every error says what went wrong and with which value, and carries a hint: what to do next. The core raises,
only `cli` and `tui` print.
"""

from __future__ import annotations


class LocalragError(Exception):
    """Base of all errors that localrag raises on purpose.

    Args:
        message: what went wrong, naming the value.
        hint: what to do next, in one or two sentences; empty where nothing can be done.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(LocalragError):
    exit_code = 2


class SettingsError(UsageError):
    pass


class NotFoundError(LocalragError):
    exit_code = 3


class ModelError(LocalragError):
    exit_code = 4


class ModelMissing(ModelError):
    pass


class ModelDamaged(ModelError):
    pass


class LibraryError(LocalragError):
    exit_code = 5


class LibraryLocked(LibraryError):
    pass


class EmbedderMismatch(LibraryError):
    pass


class VaultLocked(LibraryError):
    pass


class VaultDamaged(LibraryError):
    pass


class IntegrityError(LibraryError):
    pass


class StorageError(LocalragError):
    exit_code = 6


class OfflineRefused(LocalragError, OSError):
    """Also an OSError, so that libraries that expect a dead network handle it as one."""

    exit_code = 7


class ReadError(LocalragError):
    exit_code = 8


class PolicyRefused(LocalragError):
    exit_code = 9


class PolicyUnreadable(PolicyRefused):
    pass


class Cancelled(LocalragError):
    exit_code = 130


def internal(error: BaseException) -> LocalragError:
    """An exception that nobody foresaw, in the form in which errors are shown."""
    return LocalragError(
        f"internal error: {type(error).__name__}: {error}",
        "This is a defect of localrag, not of your documents. You can go on; `localrag doctor` may say more.",
    )
