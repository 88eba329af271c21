"""Changing the key with which this server signs. Server-server API, "Publishing Keys".

The first line of the key file signs. `rotate` puts a new one there; the server, when it starts next, takes what is behind
it out of the file and writes its public half, with that moment, into `<file>.old`: it is published for ever after, so that
what was signed until then goes on being believed, and nobody can sign anything with it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from homeserver.commands.errors import CommandError
from homeserver.commands.signing_key import new_signing_key, read_signing_keys, written_beside
from homeserver.protocol.hashing import decode_base64, encode_base64
from homeserver.protocol.server_keys import MAX_KEYS, VERIFY_KEY_BYTES, ServerKey
from homeserver.protocol.signing import ALGORITHM, SigningKey, format_signing_keys

MAX_OLD_KEYS: Final = MAX_KEYS - 1
"""Other servers read no document with more keys."""


def rotate(path: Path) -> SigningKey:
    """Put a new key into the file; the server signs with it from its next start. Raises CommandError."""
    keys = read_signing_keys(path)
    if len(keys) > 1:
        raise CommandError(f"The key has been changed already, but the server has not been started since: {path}")
    if len(read_old_keys(path)) >= MAX_OLD_KEYS:
        raise CommandError(f"There are {MAX_OLD_KEYS} old keys already: other servers would not read more of them.")
    taken = {keys[0].version, *(each.key_id.partition(":")[2] for each in read_old_keys(path))}
    key = new_signing_key(taken)
    _replace(path, format_signing_keys([key, *keys]))
    return key


def retire_old_keys(path: Path, now_ms: int) -> list[ServerKey]:
    """At the start of the server: all keys that it does not sign with any more, for publication. Raises CommandError."""
    first, *others = read_signing_keys(path)
    old = read_old_keys(path)
    known = {each.key_id for each in old}
    retired = [ServerKey(each.key_id, each.verify_key, now_ms) for each in others if each.key_id not in known]
    if others:
        # First what is published, then what is thrown away: a crash between the two loses nothing.
        old += retired
        _replace(old_keys_path(path), _format(old))
        _replace(path, format_signing_keys([first]))
    return [each for each in old if each.key_id != first.key_id]


def old_keys_path(path: Path) -> Path:
    """Beside the key file."""
    return path.with_name(f"{path.name}.old")


def read_old_keys(path: Path) -> list[ServerKey]:
    """Of `<file>.old`; none where there is no such file. Raises CommandError."""
    old_path = old_keys_path(path)
    try:
        lines = old_path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise CommandError(f"The old keys {old_path} cannot be read: {error}.") from error
    try:
        return [_parse(line) for line in lines if line.strip() and not line.startswith("#")]
    except ValueError as error:
        raise CommandError(
            f"A line of {old_path} is not 'ed25519 <version> <public key> <until when, in ms>': {error}."
        ) from error


def _parse(line: str) -> ServerKey:
    algorithm, version, text, until_ms = line.split()
    key = decode_base64(text)
    if algorithm != ALGORITHM or len(key) != VERIFY_KEY_BYTES:
        raise ValueError("no public ed25519 key")
    return ServerKey(f"{algorithm}:{version}", key, int(until_ms))


def _format(keys: Iterable[ServerKey]) -> str:
    lines = (
        f"{each.key_id.replace(':', ' ', 1)} {encode_base64(each.verify_key)} {each.usable_until_ms}\n" for each in keys
    )
    return "# Public keys that this server signed with earlier, and until when. Published; not secret.\n" + "".join(
        lines
    )


def _replace(path: Path, text: str) -> None:
    """Complete or as it was before; readable by its owner only."""
    try:
        with written_beside(path, text) as unfinished:
            unfinished.replace(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
