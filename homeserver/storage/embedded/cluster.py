"""The database files ("cluster" in PostgreSQL's words): made once, and checked for their version at every start."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

from homeserver.storage.embedded.binaries import MAJOR_VERSION, Binaries
from homeserver.storage.embedded.errors import EmbeddedPostgresError
from homeserver.storage.embedded.identity import Identity

SUPERUSER = "postgres"


def owner_uid(cluster: Path) -> int | None:
    """Who the files belong to; None while there are none."""
    return (cluster / "PG_VERSION").stat().st_uid if (cluster / "PG_VERSION").exists() else None


def check_version(cluster: Path) -> None:
    """Raise unless our PostgreSQL can read these files: a major version never reads another's."""
    found = int((cluster / "PG_VERSION").read_text().strip().split(".")[0])
    if found > MAJOR_VERSION:
        raise EmbeddedPostgresError(
            f"The database in {cluster} was made by PostgreSQL {found}, newer than our {MAJOR_VERSION}. "
            "Please start the newer VoiceChat again, or restore the backup made before the update."
        )
    if found < MAJOR_VERSION:
        raise EmbeddedPostgresError(
            f"The database in {cluster} was made by PostgreSQL {found}; this VoiceChat brings {MAJOR_VERSION}. "
            "Please make a backup with the older VoiceChat and restore it with this one."
        )


async def make_cluster(cluster: Path, binaries: Binaries, identity: Identity, *, durable: bool) -> None:
    """Make new files. Under another name first, so that one who is killed in between starts anew."""
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700, parents=True)
    identity.give(unfinished)
    command = identity.command(binaries.path("initdb"), *_initdb_options(unfinished, durable=durable))
    result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False, cwd="/")
    if result.returncode != 0:
        raise EmbeddedPostgresError(_why(cluster, identity, result.stderr.strip()[-500:]))
    unfinished.rename(cluster)


def _initdb_options(folder: Path, *, durable: bool) -> list[str]:
    sync = ["--sync-method=syncfs"] if sys.platform.startswith("linux") else []
    return [
        *("-D", str(folder), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"),
        # Byte order for sorting, full Unicode for lower(): independent of the machine's locales.
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        *(sync if durable else ["--no-sync"]),
    ]


def _why(cluster: Path, identity: Identity, words: str) -> str:
    advice = (
        f" It was run as the user number {identity.uid}, because this machine forbids user namespaces: that user must "
        f"be able to reach {cluster.parent} and the installed program. Or start VoiceChat as an ordinary user."
        if identity.mode == "switch"
        else ""
    )
    return f"The database in {cluster} could not be made: {words}{advice}"
