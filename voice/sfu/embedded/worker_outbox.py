"""What a worker has to say and the homeserver has not read yet."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from voice.sfu.embedded import control
from voice.sfu.embedded.control import (
    MAX_MESSAGE,
    LogLine,
    Reply,
    Report,
    Result,
    SomebodyChanged,
    SomebodyJoined,
    SomebodyLeft,
    Told,
)
from voice.sfu.embedded.control_channel import Channel

MOST_LOG_LINES: Final = 1_000
MOST_MESSAGES: Final = 100_000
_Key = tuple[str, object]


class OutboxFull(Exception):  # noqa: N818 - it is a state, and reads like one
    """Nobody has read for very long: there is no homeserver any more that this worker works for."""


@dataclass(slots=True)
class Outbox:
    """In order, except that of one person's changes only the last one waits: a homeserver that is busy hears less."""

    channel: Channel
    overflown: bool = False
    _waiting: dict[_Key, Report] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _log_lines: int = 0
    _count: int = 0

    def reply(self, reply: Reply) -> None:
        self._put(("reply", reply.id), reply)

    def tell(self, event: Told) -> None:
        match event:
            case SomebodyLeft(sid=sid):
                self._put(("left", sid), event)
            case SomebodyJoined(participant=participant):
                self._put(("here", participant.sid), event)
            case SomebodyChanged(room=room, participant=participant):
                key = ("here", participant.sid)
                unread = isinstance(self._waiting.get(key), SomebodyJoined)
                self._put(key, SomebodyJoined(room, participant) if unread else event)

    def log(self, line: LogLine) -> None:
        """Lines beyond what anybody would read are left out."""
        if self._log_lines < MOST_LOG_LINES:
            self._log_lines += 1
            self._count += 1
            self._put(("log", self._count), line)

    def _put(self, key: _Key, report: Report) -> None:
        self._waiting[key] = report
        self.overflown = self.overflown or len(self._waiting) > MOST_MESSAGES
        self._wake.set()

    async def write(self) -> None:
        """Until the connection ends. Raises ConnectionError or OutboxFull."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        while self._waiting:
            if self.overflown:
                raise OutboxFull
            key = next(iter(self._waiting))
            report = self._waiting.pop(key)
            self._log_lines -= key[0] == "log"
            self.channel.send(_packed(report))
            await self.channel.drain()


def _packed(report: Report) -> bytes:
    """What cannot be said is said to be so: one strange name must not end the calls of everybody."""
    try:
        packed = control.encode(report)
    except UnicodeEncodeError:
        return _instead_of(report, "is no Unicode")
    return packed if len(packed) <= MAX_MESSAGE else _instead_of(report, "is too long")


def _instead_of(report: Report, what: str) -> bytes:
    text = f"{type(report).__name__} {what}"
    if isinstance(report, Reply):
        return control.encode(Reply(report.id, Result(refused=text)))
    return control.encode(LogLine(logging.ERROR, __name__, text))
