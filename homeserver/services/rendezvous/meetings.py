"""Meetings: a small text each, that whoever knows its id may read, replace and remove."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from homeserver.protocol.errors import LimitExceeded, MatrixError, NotFound, TooLarge
from homeserver.services.text_limits import check_text

if TYPE_CHECKING:
    from homeserver.services.clock import Clock

# Both MSCs: 4 KiB.
MAX_BYTES: Final = 4096
# Long enough to scan, to look at both screens, and to consent in a browser; too short to be worth guessing at.
LIFETIME_MS: Final = 5 * 60_000
MAX_MEETINGS: Final = 2_000
MAX_OF_NETWORK: Final = 50
# Answers that are remembered for a client whose connection broke.
MAX_TRANSACTIONS: Final = 8
MAX_TRANSACTION_CHARACTERS: Final = 255


class WrittenMeanwhile(MatrixError):  # noqa: N818  (a name of the protocol, as in protocol/errors.py)
    """The other device was quicker: read first, then write."""

    def __init__(self) -> None:
        super().__init__("M_CONCURRENT_WRITE", 409, "The text has been replaced meanwhile")


@dataclass(slots=True)
class Meeting:
    """One text. `version` is another one after each change."""

    id: str
    network: str
    body: bytes
    changed_ms: int
    ends_ms: int
    version: int = 1
    transactions: OrderedDict[str, int] = field(default_factory=OrderedDict)

    @property
    def tag(self) -> str:
        """The version, as clients are told it."""
        return str(self.version)


@dataclass(slots=True)
class Meetings:
    """All that have not ended, the oldest first."""

    clock: Clock
    _meetings: OrderedDict[str, Meeting] = field(default_factory=OrderedDict)
    _of_network: dict[str, int] = field(default_factory=dict)

    def begin(self, body: bytes, network: str) -> Meeting:
        """A new one. `network`: where it is begun from. Raises TooLarge, LimitExceeded."""
        _check_size(body)
        self._end_old()
        if self._of_network.get(network, 0) >= MAX_OF_NETWORK or len(self._meetings) >= MAX_MEETINGS:
            raise LimitExceeded("Too many devices are being signed in", retry_after_ms=LIFETIME_MS // 10)
        now_ms = self.clock.now_ms()
        meeting = Meeting(secrets.token_urlsafe(24), network, body, now_ms, now_ms + LIFETIME_MS)
        self._meetings[meeting.id] = meeting
        self._of_network[network] = self._of_network.get(network, 0) + 1
        return meeting

    def get(self, meeting_id: str) -> Meeting:
        """Raises NotFound, also for those that have ended."""
        self._end_old()
        meeting = self._meetings.get(meeting_id)
        if meeting is None:
            raise NotFound("There is no such meeting, or it is over")
        return meeting

    def replace(self, meeting_id: str, tag: str, body: bytes, transaction: str | None = None) -> str:
        """A new text in the place of the one with this tag; the new tag. The same transaction again changes nothing.

        Raises NotFound, TooLarge, WrittenMeanwhile, InvalidParam.
        """
        _check_size(body)
        meeting = self.get(meeting_id)
        if transaction is not None:
            check_text(transaction, "txn_id", MAX_TRANSACTION_CHARACTERS)
            if transaction in meeting.transactions:
                return str(meeting.transactions[transaction])
        if tag != meeting.tag:
            raise WrittenMeanwhile
        meeting.body, meeting.changed_ms = body, self.clock.now_ms()
        meeting.version += 1
        if transaction is not None:
            meeting.transactions[transaction] = meeting.version
            if len(meeting.transactions) > MAX_TRANSACTIONS:
                meeting.transactions.popitem(last=False)
        return meeting.tag

    def end(self, meeting_id: str) -> None:
        """Remove it. Raises NotFound."""
        self._drop(self.get(meeting_id))

    def tidy(self) -> None:
        """Housekeeping: nothing that has ended stays in memory."""
        self._end_old()

    def _end_old(self) -> None:
        now_ms = self.clock.now_ms()
        while self._meetings:
            oldest = next(iter(self._meetings.values()))
            if oldest.ends_ms > now_ms:
                return
            self._drop(oldest)

    def _drop(self, meeting: Meeting) -> None:
        del self._meetings[meeting.id]
        left = self._of_network[meeting.network] - 1
        if left:
            self._of_network[meeting.network] = left
        else:
            del self._of_network[meeting.network]

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"meetings": len(self._meetings)}


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise TooLarge(f"At most {MAX_BYTES} bytes")
