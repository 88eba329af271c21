"""Where the handshakes are, and how long and large their answers may be."""

from __future__ import annotations

from typing import Final

from homeserver.federation.client import Limits

V1: Final = "/_matrix/federation/v1"
V2: Final = "/_matrix/federation/v2"

MEBIBYTE: Final = 1024 * 1024
# A template is one event; somebody waits for it, and there may be others to ask.
TEMPLATE_LIMITS: Final = Limits(timeout_ms=20_000, max_bytes=256 * 1024)
# One event comes back, or the few events that describe a room.
SIGNED_LIMITS: Final = Limits(timeout_ms=30_000, max_bytes=4 * MEBIBYTE)
# State and auth chain: some 25 MB for 10,000 members, 250 MB for 100,000, which a slow server takes minutes to find.
JOIN_LIMITS: Final = Limits(timeout_ms=180_000, max_bytes=256 * MEBIBYTE)
QUERY_LIMITS: Final = Limits(timeout_ms=10_000, max_bytes=256 * 1024)
