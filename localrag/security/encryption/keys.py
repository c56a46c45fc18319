"""The key of one encrypted folder, and the keys made from it.

A key is 32 random bytes; what is encrypted with, is derived from it by HKDF-SHA256 (RFC 5869), one for each purpose.
It is held in a page of memory that is not swapped out and not written to crash dumps, where the system allows that.
Limits: what is derived from it lives in ordinary memory of OpenSSL and SQLCipher, and whoever may read the memory of
this process reads it all.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from contextlib import suppress

SIZE = 32


class Key:
    """The key of a folder."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SIZE:
            raise ValueError(f"a key has {SIZE} bytes, not {len(secret)}")
        self._page = _locked_page(secret)
        self.id = self.derive("id", length=16)

    @classmethod
    def new(cls) -> Key:
        return cls(os.urandom(SIZE))

    @property
    def secret(self) -> bytes:
        """The 32 bytes themselves, to be wrapped or handed to another process of localrag's own."""
        return self._page[:SIZE]

    def derive(self, purpose: str, salt: bytes = b"", length: int = SIZE) -> bytes:
        """A key for one purpose."""
        return derived(self.secret, purpose, salt, length)

    def __eq__(self, other: object) -> bool:
        import hmac

        return isinstance(other, Key) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Key {self.id.hex()[:8]}>"


def derived(secret: bytes, purpose: str, salt: bytes = b"", length: int = SIZE) -> bytes:
    """HKDF-SHA256 of a secret that is random already."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt or None, f"localrag 1 {purpose}".encode()).derive(secret)


def _locked_page(secret: bytes) -> mmap.mmap:
    page = mmap.mmap(-1, mmap.PAGESIZE)
    if sys.platform == "linux":
        with suppress(OSError, ValueError, AttributeError):
            page.madvise(mmap.MADV_DONTDUMP)
        # Many users may lock 64 KB and more; where not even that, the key is no worse off than the documents.
        with suppress(OSError, AttributeError):
            address = ctypes.addressof(ctypes.c_char.from_buffer(page))
            ctypes.CDLL(None).mlock(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE))
    page[: len(secret)] = secret
    return page


def no_dumps() -> None:
    """Have the system write no memory of this process to a crash dump, nor let another process of the user read it.

    Called once a key is held. Linux only; elsewhere crash dumps are the administrator's to turn off.
    """
    if sys.platform != "linux":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A dump that the system hands to a program (systemd-coredump) ignores that limit, but not this.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
