"""Sequence numbers of what is forwarded: without holes where packets were left out on purpose."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

REMEMBERED_SPANS = 16


@dataclass(slots=True)
class Renumbering:
    """Maps a publisher's (unwrapped) numbers to ours. Spans in which the difference is constant follow each other.

    A packet that comes late is numbered as its neighbours were; one from between two spans has no number.
    """

    offset: int = 0
    """Of the present span: ours = the publisher's - offset."""
    start: int = 0
    """The publisher's number with which the present span starts."""
    _past: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_SPANS))
    """(first, last, offset) of the spans before."""

    def number(self, theirs: int) -> int:
        """Ours, or -1 for a packet that has none."""
        if theirs >= self.start:
            return theirs - self.offset
        for first, last, offset in reversed(self._past):
            if theirs > last:
                return -1
            if theirs >= first:
                return theirs - offset
        return -1

    def resume(self, last: int, theirs: int, ours: int) -> None:
        """The span ended with the publisher's `last`; with `theirs`, which becomes `ours`, a new one starts."""
        self._past.append((self.start, last, self.offset))
        self.start = theirs
        self.offset = theirs - ours

    def begin(self, theirs: int, ours: int) -> None:
        """Forget what was: a new source of packets, whose numbers have nothing to do with those before."""
        self._past.clear()
        self.start = theirs
        self.offset = theirs - ours

    def omit(self, theirs: int) -> None:
        """This packet, the newest, is left out."""
        if theirs == self.start:  # one more in a row: the span before is the same
            self.start += 1
            self.offset += 1
        else:
            self.resume(theirs - 1, theirs + 1, theirs - self.offset)
