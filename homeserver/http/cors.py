"""The headers every answer carries, so that clients in a browser may read it.

Client-server API, "Web Browser Clients": the recommended values, on all requests and also on errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HEADERS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization, Date, If-Match, If-None-Match",
    # Not part of the recommendation: a browser hides these from the client unless they are named here.
    "Access-Control-Expose-Headers": "Retry-After, Content-Disposition, ETag",
    "Server": "VoiceChat",
}
# A day: browsers ask again before every other request otherwise.
PREFLIGHT_HEADERS: Final[Mapping[str, str]] = {**HEADERS, "Access-Control-Max-Age": "86400"}
JSON_HEADERS: Final[Mapping[str, str]] = {**HEADERS, "Content-Type": "application/json"}
