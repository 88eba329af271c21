"""PostgreSQL refuses to run as root, and needs a user with an entry in the user database. Who it becomes.

| we are | it becomes | its files belong to |
|---|---|---|
| a user with an entry | the same | that user |
| root | the same, under another name, in a user namespace | root |
| root, where namespaces are forbidden | `nobody` | `nobody` |
| root, but the files belong to a user (made without `sudo`) | that user | that user |
| a number without an entry (`docker run --user 1234`) | the same, in a user namespace | that number |
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from homeserver.storage.embedded.errors import EmbeddedPostgresError

_CHILD = str(Path(__file__).with_name("child.py"))
_OVERFLOW_UID = 65534  # what unmapped owners look like inside a namespace; better not to be called the same


@dataclass(frozen=True, slots=True)
class Identity:
    """Who PostgreSQL runs as: how, and as which ids."""

    mode: Literal["same", "switch", "namespace"]
    uid: int
    gid: int

    def command(self, program: str, *arguments: str, death_signal: int = 0) -> list[str]:
        """The command line that runs `program` as this identity; `death_signal` reaches it when we die."""
        step = [sys.executable, "-I", "-S", _CHILD, self.mode, str(self.uid), str(self.gid), str(death_signal)]
        return [*step, program, *arguments]

    def give(self, path: Path) -> None:
        """Make `path` belong to who PostgreSQL is outside of any namespace."""
        if self.mode == "switch":
            os.chown(path, self.uid, self.gid)


def choose_identity(owner_uid: int | None) -> Identity:
    """The identity for files that belong to `owner_uid` already, or for new ones (None)."""
    uid = os.geteuid()
    if uid != 0:
        return Identity("same", uid, os.getegid()) if _has_entry(uid) else _namespace()
    if owner_uid not in (None, 0):
        return _switch_to(owner_uid)
    namespace = _namespace()
    if owner_uid == 0 or _works(namespace):
        return namespace
    return _switch_to(pwd.getpwnam("nobody").pw_uid)


def _namespace() -> Identity:
    entries = pwd.getpwall()
    entry = next((entry for entry in entries if entry.pw_uid not in (0, _OVERFLOW_UID)), entries[-1])
    return Identity("namespace", entry.pw_uid, entry.pw_gid)


def _switch_to(uid: int) -> Identity:
    if not _has_entry(uid):
        raise EmbeddedPostgresError(
            f"The database files belong to the user number {uid}, who does not exist on this machine. "
            "Please give them to an existing user (chown -R) and start as that user."
        )
    return Identity("switch", uid, pwd.getpwuid(uid).pw_gid)


def _has_entry(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _works(identity: Identity) -> bool:
    """Whether the kernel lets us enter a user namespace: seen by trying."""
    attempt = subprocess.run(identity.command("/bin/true"), capture_output=True, check=False)  # noqa: S603
    return attempt.returncode == 0
