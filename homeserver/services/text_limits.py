"""Checks for short texts that clients choose: names of devices, display names, device ids."""

from __future__ import annotations

import re

from homeserver.protocol import errors

MAX_DEVICE_ID_CHARACTERS = 255
MAX_DEVICE_NAME_CHARACTERS = 256
MAX_PASSWORD_BYTES = 512
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def check_text(text: str, name: str, maximum: int) -> str:
    """Return the text; raises InvalidParam where it is too long or cannot be stored (NUL, half a surrogate pair)."""
    if len(text) > maximum:
        raise errors.InvalidParam(f"'{name}' has at most {maximum} characters")
    if "\0" in text or (not text.isascii() and _LONE_SURROGATE.search(text)):
        raise errors.InvalidParam(f"'{name}' contains a character that cannot be stored")
    return text


def is_storable(text: str, maximum: int) -> bool:
    """Whether `check_text` would let it pass: for lookups, where what cannot exist is merely not found."""
    return len(text) <= maximum and "\0" not in text and (text.isascii() or not _LONE_SURROGATE.search(text))


def check_device_id(device_id: str) -> str:
    """Return the device id; raises InvalidParam. The spec sets no grammar, so anything printable passes."""
    if not device_id or not device_id.isprintable():
        raise errors.InvalidParam("'device_id' must have at least one character, all of them printable")
    return check_text(device_id, "device_id", MAX_DEVICE_ID_CHARACTERS)


def check_device_name(name: str | None) -> str | None:
    """Return the display name of a device; raises InvalidParam."""
    return None if name is None else check_text(name, "display_name", MAX_DEVICE_NAME_CHARACTERS)
