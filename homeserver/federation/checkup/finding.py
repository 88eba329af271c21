"""What a checkup finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, in a sentence; what is wrong also with what to do."""

    well: bool
    sentence: str
