"""The way back to a client."""

from __future__ import annotations

from typing import Any, Protocol


class Signal(Protocol):
    """A WebSocket, as rooms see it. Nothing here blocks or raises: who does not read is dropped."""

    def send(self, **message: Any) -> None:
        """Queue a SignalResponse with this one field."""
        ...

    def send_packed(self, packed: bytes) -> None:
        """Queue a SignalResponse that was serialised once for many."""
        ...

    def close(self) -> None:
        """When what is queued has left."""
        ...


class NoSignal:
    """Of a participant whose WebSocket is gone for the moment."""

    def send(self, **message: Any) -> None:
        pass

    def send_packed(self, packed: bytes) -> None:
        pass

    def close(self) -> None:
        pass
