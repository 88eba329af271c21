"""Our own PostgreSQL, for a server that was given no `database.url`."""

from homeserver.storage.embedded.errors import AlreadyRunning, EmbeddedPostgresError
from homeserver.storage.embedded.supervisor import EmbeddedPostgres

__all__ = ["AlreadyRunning", "EmbeddedPostgres", "EmbeddedPostgresError"]
