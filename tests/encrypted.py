"""Encrypt a library's folder for a test."""

from __future__ import annotations

from pathlib import Path

from localrag.lifecycle import encrypt
from localrag.security.encryption.keyring import Credential, RecoveryKey

SECRET = RecoveryKey.new()


def encrypt_folder(folder: Path, credential: Credential = SECRET) -> None:
    """Encrypt a folder, so that a credential opens it, as the holder "me"."""
    list(encrypt.encrypt(folder, lambda keyring, key: keyring.with_credential(key, "me", credential), lambda: False))
