"""How a participant of a test or a benchmark differs from an ordinary one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All of it may be left as it is."""

    opens_packets: bool = True
    """Decrypt what comes in; without it packets are only counted, at a third of the price."""
    reads_stamps: bool = False
    """Payloads that come in begin with the moment they were sent (`listening.stamped`). Needs `opens_packets`."""
    asks_again: bool = False
    """Send NACKs for lost packets."""
    resends: bool = True
    """Send again what the SFU asks for."""
    auto_subscribe: bool = True
    data_section: bool = True
    """Offer a data channel, as browsers do."""
    audio_sections: int = 3
    """To receive in, offered from the start."""
    video_sections: int = 0
    loses_sent: Callable[[], bool] | None = None
    """Asked for each RTP packet: whether the network loses it."""
    loses_received: Callable[[], bool] | None = None
