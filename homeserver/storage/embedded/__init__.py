"""Our own PostgreSQL, for a server that was given no `database.url`."""

from homeserver.storage.embedded.errors import AlreadyRunningError, EmbeddedPostgresError
from homeserver.storage.embedded.supervisor import EmbeddedPostgres

__all__ = ["AlreadyRunningError", "EmbeddedPostgres", "EmbeddedPostgresError"]
