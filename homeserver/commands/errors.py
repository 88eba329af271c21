"""The one error of commands."""

from __future__ import annotations


class CommandError(Exception):
    """Something a person has to mend. The message is a sentence for that person; it is shown without a traceback."""
