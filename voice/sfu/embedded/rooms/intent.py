"""What a client wants when it connects, whichever protocol it says it in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JoinIntent:
    single_peer: bool
    """One peer connection, where only the client offers (v1); else one each way (v0)."""
    protocol: int
    """LiveKit's protocol version of the client; from 13 on it knows `LeaveRequest.action`."""
    auto_subscribe: bool
    reconnect: bool = False
    participant_sid: str = ""
    """Of the session to resume."""
    offer: Any = None
    """SessionDescription, where the client is quick."""
    add_tracks: Sequence[Any] = ()
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
