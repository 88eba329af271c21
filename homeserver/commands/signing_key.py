"""The key with which this server signs: read from its file, made at the first start, changed by `signing-key rotate`."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from config.settings import Settings
from homeserver.commands.errors import CommandError
from homeserver.commands.options import add_server_options, settings_of
from homeserver.protocol.signing import SEED_BYTES, SigningKey, format_signing_keys, parse_signing_keys

HELP = "show or change the key with which this server signs"
DEFAULT_NAME = "signing.key"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do with it."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="show|rotate")
    add_server_options(verbs.add_parser("show", help="say which key signs, and which did earlier"))
    add_server_options(verbs.add_parser("rotate", help="sign with a new key from the next start on"))


def run(arguments: Namespace) -> int:
    """Raises CommandError where the file cannot be used."""
    from homeserver.commands.signing_key_rotation import read_old_keys, rotate

    path = signing_key_path(settings_of(arguments))
    if arguments.verb == "rotate":
        key = rotate(path)
        print(f"The server signs with {key.key_id} when it is started next. The old key stays published:")
        print("what it signed goes on being believed. Please restart the server now.")
        return 0
    print(f"The server signs with {read_signing_key(path).key_id}.")
    for old in read_old_keys(path):
        print(f"Until {_date(old.usable_until_ms)} it signed with {old.key_id}.")
    return 0


def _date(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def signing_key_path(settings: Settings) -> Path:
    """Where the key is."""
    return settings.signing_key_path or settings.data_dir / DEFAULT_NAME


def load_or_create_signing_key(path: Path) -> SigningKey:
    """The first key of the file; a new file is readable by its owner only. Raises CommandError."""
    try:
        if not path.exists():
            _create(path)
    except OSError as error:
        raise CommandError(f"The signing key {path} cannot be made: {error.strerror}.") from error
    return read_signing_key(path)


def read_signing_key(path: Path) -> SigningKey:
    """The first key of the file. Raises CommandError, also where there is none."""
    return read_signing_keys(path)[0]


def read_signing_keys(path: Path) -> list[SigningKey]:
    """All keys of the file, at least one. Raises CommandError, also where there is none."""
    try:
        keys = parse_signing_keys(path.read_text("utf-8"))
    except OSError as error:
        raise CommandError(f"The signing key {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandError(f"The signing key {path} cannot be used: {error}.") from error
    if not keys:
        raise CommandError(f"The signing key {path} has no key in it; remove the file to have a new one made.")
    return list(keys)


def new_signing_key(taken: Collection[str] = ()) -> SigningKey:
    """One with a version that is none of those."""
    version = f"a_{secrets.token_hex(3)}"
    while version in taken:
        version = f"a_{secrets.token_hex(3)}"
    return SigningKey.from_seed(version, secrets.token_bytes(SEED_BYTES))


@contextmanager
def written_beside(path: Path, text: str) -> Iterator[Path]:
    """A new file beside this one, on the disk and readable by its owner only, to be put in its place; else removed."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield unfinished
    finally:
        unfinished.unlink(missing_ok=True)


def _create(path: Path) -> None:
    """Complete or not there at all, and never over a key that another process has just made."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with written_beside(path, format_signing_keys([new_signing_key()])) as unfinished, suppress(FileExistsError):
        os.link(unfinished, path)
