"""The settings PostgreSQL runs with: small, quiet, durable. On its command line, so that our updates change them."""

from __future__ import annotations

from collections.abc import Mapping

MAX_CONNECTIONS = 40

_SERVER: Mapping[str, str] = {
    "listen_addresses": "",  # the socket only
    "unix_socket_permissions": "0700",
    "max_connections": str(MAX_CONNECTIONS),
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "huge_pages": "off",
    "io_method": "worker",
    "io_workers": "1",
    "autovacuum_naptime": "30s",
    "autovacuum_max_workers": "2",
    "max_parallel_workers_per_gather": "0",  # a query of ours is too short to be worth another process
    "jit": "off",
    "random_page_cost": "1.1",
    "wal_level": "replica",  # what pg_basebackup needs
    "max_wal_senders": "3",
    "min_wal_size": "48MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",  # each checkpoint makes the next change of a page expensive
    "client_connection_check_interval": "2s",  # a query whose asker is gone stops
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}

_FORGETFUL: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "96MB",  # the files may be in memory
}


def command_line_options(*, durable: bool) -> list[str]:
    """`-c name=value` for each setting. Without `durable` a power cut may lose everything: for tests only."""
    settings = _SERVER if durable else {**_SERVER, **_FORGETFUL}
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
