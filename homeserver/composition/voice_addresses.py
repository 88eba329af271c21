"""Where calls are, and how clients get through: from the settings, for all who say it to them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from config.settings import TurnSettings
from voice.turn import TurnAccess

SFU_PATH: Final = "/livekit/sfu"
"""Where our own SFU answers below the public base URL; clients put `/rtc` behind it."""


def sfu_url(public_baseurl: str) -> str:
    """Where clients reach our own SFU, without the number of the worker."""
    parts = urlsplit(public_baseurl.rstrip("/") + SFU_PATH)
    return urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))


def turn_access(turn: TurnSettings) -> TurnAccess | None:
    """None where no TURN server is configured."""
    if not turn.uris or turn.shared_secret is None:
        return None
    return TurnAccess(turn.uris, turn.shared_secret, turn.lifetime_ms // 1000)
