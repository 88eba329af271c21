"""Where PostgreSQL's socket goes: its path is limited to 107 bytes, and data directories may be deeper."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from homeserver.storage.embedded.errors import EmbeddedPostgresError
from homeserver.storage.embedded.identity import Identity

_MAX_SOCKET_PATH = 107
_SOCKET_NAME = ".s.PGSQL.5432"
_SHORT_FOLDER = Path("/tmp")  # noqa: S108 - what is made there is ours alone, and checked


def socket_folder(cluster: Path, identity: Identity) -> Path:
    """The cluster's own folder if its path is short enough, else a private folder with a short name."""
    if len(os.fsencode(cluster / _SOCKET_NAME)) <= _MAX_SOCKET_PATH:
        return cluster
    digest = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    folder = _SHORT_FOLDER / f"voicechat-{os.geteuid()}-{digest}"
    if not folder.exists():
        folder.mkdir(mode=0o700)
        identity.give(folder)
    _check_private(folder, identity)
    return folder


def _check_private(folder: Path, identity: Identity) -> None:
    """Whoever may enter the folder may read the database: it has to be a real folder, ours, and closed to others."""
    status = folder.lstat()
    owner = identity.uid if identity.mode == "switch" else os.geteuid()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or stat.S_IMODE(status.st_mode) & 0o077:
        raise EmbeddedPostgresError(
            f"{folder} is to hold the database's socket, but somebody else made it. "
            "Please remove it, or choose a data directory with a shorter path."
        )
