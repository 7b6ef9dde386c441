"""Encryption of content with keys of the operator's. Apart, for it needs the extra `encryption`.

Source: NIST SP 800-38D (AES-GCM). Each content has a random nonce of 96 bits under a key of 256.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trunkline.errors import Unstartable

KEY_BYTES: Final = 32
NAME_BYTES: Final = 8
NONCE_BYTES: Final = 12


class AesBox:
    """Encrypts with the first of its keys, and decrypts with whichever fits: so keys can be changed."""

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        self._first = _name(keys[0])
        self._ciphers = {_name(key): AESGCM(key) for key in keys}

    def seal(self, content: bytes, place: bytes) -> bytes:
        """Return it encrypted, bound to its place: the key's name, the nonce, and what AES-GCM makes of it."""
        nonce = os.urandom(NONCE_BYTES)
        return self._first + nonce + self._ciphers[self._first].encrypt(nonce, content, place)

    def open(self, sealed: bytes, place: bytes) -> bytes | None:
        """Return what was encrypted for that place; None where no key fits, or it is not what was encrypted."""
        cipher = self._ciphers.get(sealed[:NAME_BYTES])
        if cipher is None:
            return None
        nonce, rest = sealed[NAME_BYTES : NAME_BYTES + NONCE_BYTES], sealed[NAME_BYTES + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, rest, place)
        except (InvalidTag, ValueError):
            return None


def make_box(text: str) -> AesBox:
    """Return a box from keys as they are written down: 32 random bytes each in base64, parted by blanks.

    Raises:
        Unstartable: there is no key, or it is none.
    """
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise Unstartable(
                "the content key is none: it must be 32 random bytes in base64, as `openssl rand -base64 32` prints; "
                "several are parted by blanks, the one to encrypt with first"
            )
        keys.append(key)
    if not keys:
        raise Unstartable("the content key is empty: make one with `openssl rand -base64 32`")
    return AesBox(tuple(keys))


def _name(key: bytes) -> bytes:
    """What tells keys apart without telling them."""
    return hashlib.sha256(b"trunkline content key\0" + key).digest()[:NAME_BYTES]
