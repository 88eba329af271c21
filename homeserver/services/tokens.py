"""Tokens that clients hand back: places in a room's timeline, and places in all streams at once.

`t<position>` is a place between events: backwards from it come events with position <= N, forwards those with
position > N. `s<events>_<...>` is where a sync stood in every stream; its first number is a place in timelines too,
so that `next_batch` of /sync serves as `from` of /messages. `p<events>_...` is a place of a sliding sync connection, and one
in timelines by the same reason. Clients treat all as opaque.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from homeserver.protocol.errors import InvalidParam

# 18 digits: always within the database's bigint. Tokens of before there was voice have seven numbers.
_TIMELINE = re.compile(r"t(-?[0-9]{1,18})", re.ASCII)
_STREAMS = re.compile(r"s([0-9]{1,18}(?:_[0-9]{1,18}){6,7})", re.ASCII)
_PLACE = re.compile(r"p([0-9]{1,18})_([0-9a-f]{16})_([0-9]{1,18})", re.ASCII)
MAX_TOKEN_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class StreamToken:
    """Where a reader stands in each stream: everything up to here has been told. The order of fields is the format."""

    events: int = 0
    receipts: int = 0
    typing: int = 0
    presence: int = 0
    account_data: int = 0
    to_device: int = 0
    device_lists: int = 0
    voice: int = 0

    def format(self) -> str:
        """The token as clients get it."""
        return (
            f"s{self.events}_{self.receipts}_{self.typing}_{self.presence}"
            f"_{self.account_data}_{self.to_device}_{self.device_lists}_{self.voice}"
        )

    @classmethod
    def parse(cls, text: str) -> StreamToken:
        """The token a client hands back. Raises InvalidParam where this server never made such a token."""
        found = _STREAMS.fullmatch(text) if len(text) <= MAX_TOKEN_CHARACTERS else None
        if found is None:
            raise InvalidParam("Not a sync token of this server")
        return cls(*map(int, found[1].split("_")))


STREAM_NAMES = tuple(field.name for field in fields(StreamToken))


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a sliding sync connection: how far it is in timelines, which connection, and its number there."""

    events: int
    generation: str
    number: int

    def format(self) -> str:
        """The `pos` as clients get it."""
        return f"p{self.events}_{self.generation}_{self.number}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """The place a client hands back; None where this is no such token."""
        found = _PLACE.fullmatch(text) if len(text) <= MAX_TOKEN_CHARACTERS else None
        return None if found is None else cls(int(found[1]), found[2], int(found[3]))


def format_timeline_token(position: int) -> str:
    """The place just after the event at ``position``."""
    return f"t{position}"


def parse_timeline_token(text: str) -> int:
    """The position a timeline token or a token of a sync, sliding or not, stands for. Raises InvalidParam."""
    if len(text) <= MAX_TOKEN_CHARACTERS:
        if found := _TIMELINE.fullmatch(text):
            return int(found[1])
        if text.startswith("s"):
            return StreamToken.parse(text).events
        if place := Place.parse(text):
            return place.events
    raise InvalidParam("Not a pagination token of this server")
