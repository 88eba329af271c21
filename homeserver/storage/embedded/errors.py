"""The errors of this folder."""

from __future__ import annotations


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be started. The message tells the administrator why and what to do."""


class AlreadyRunningError(EmbeddedPostgresError):
    """Another process of ours runs on this data directory."""
