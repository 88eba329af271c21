"""Whole messages over a stream socket: four bytes of length (big endian), then the message."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

from voice.sfu.embedded.control import MAX_MESSAGE, BadMessage

_LENGTH: Final = 4


@dataclass(slots=True, eq=False)
class Channel:
    """One end of the connection between the homeserver and a worker."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def receive(self) -> bytes:
        """Raises EOFError or ConnectionError when the other side is gone, BadMessage for one that is too long."""
        size = int.from_bytes(await self.reader.readexactly(_LENGTH), "big")
        if size > MAX_MESSAGE:
            raise BadMessage(f"a message of {size} bytes")
        return await self.reader.readexactly(size)

    def send(self, message: bytes) -> None:
        """Queue it; what the other side does not read is bounded by callers.

        Raises BadMessage for one that is too long, ConnectionError when the other side is gone.
        """
        if len(message) > MAX_MESSAGE:
            raise BadMessage(f"a message of {len(message)} bytes")
        if self.writer.is_closing():
            raise ConnectionResetError("the other side is gone")
        self.writer.write(len(message).to_bytes(_LENGTH, "big") + message)

    async def drain(self) -> None:
        """Wait until the other side has read most of it. Raises ConnectionError."""
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


async def open_channel(end: socket.socket) -> Channel:
    """`end` is one of a pair, and belongs to the channel from now on."""
    end.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return Channel(reader, writer)
