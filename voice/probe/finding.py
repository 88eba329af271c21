"""What was found out, as a sentence for the person who can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    OK = "ok"
    WRONG = "WRONG"
    NOTE = "note"
    """Worth knowing; may be as it should be."""


@dataclass(frozen=True, slots=True)
class Finding:
    mark: Mark
    sentence: str


def ok(sentence: str) -> Finding:
    return Finding(Mark.OK, sentence)


def wrong(sentence: str) -> Finding:
    return Finding(Mark.WRONG, sentence)


def note(sentence: str) -> Finding:
    return Finding(Mark.NOTE, sentence)
