"""The one error of this package."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration cannot be used. One line a problem: where it stands, what is wrong, and how to mend it."""
