"""What the administrator's policy refused, as lines of the general record."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from localrag import policy
from localrag.errors import LocalragError
from localrag.policy import Refusal
from localrag.security.audit import chain


def keep(file: Path) -> None:
    """From here on whatever the policy refuses in this process is a line of the record `file`."""
    policy.tell(lambda refusal: record(file, refusal))


def record(file: Path, refusal: Refusal) -> None:
    """Add a line; where that cannot be done, what was refused stays refused."""
    with suppress(LocalragError, OSError):
        chain.record(
            file, "refused", refusal.library, policy=str(refusal.file), rule=refusal.rule, what=refusal.what
        )  # fmt: skip
