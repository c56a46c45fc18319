"""Encrypt a library's folder for a test."""

from localrag.lifecycle import encrypt
from localrag.security.encryption.keyring import RecoveryKey

SECRET = RecoveryKey.new()


def encrypt_folder(folder, credential=SECRET):
    list(encrypt.encrypt(folder, lambda keyring, key: keyring.with_credential(key, "me", credential), lambda: False))
