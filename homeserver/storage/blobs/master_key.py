"""The key that all files' keys are derived from: 32 random bytes in a file that only the owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


class MasterKeyError(Exception):
    """The key file cannot be used. The message tells the administrator what is wrong."""


def load_or_make_master_key(path: Path) -> bytes:
    """The key; made at the first start. Without it no stored file can be read any more: it belongs into every backup."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return _make(path)
    if len(key) != KEY_BYTES:
        raise MasterKeyError(f"{path} does not hold a key of {KEY_BYTES} bytes; restore it from a backup")
    return key


def _make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = secrets.token_bytes(KEY_BYTES)
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        # Never over a key that another process made meanwhile.
        os.link(aside, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        aside.unlink(missing_ok=True)
    return key
