"""Asking a server for an empty call, with the server's own signature as the password."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from homeserver.protocol.signing import SigningKey, sign_json
from voice.probe.reaching import why_no_answer

PATH: Final = "/livekit/probe"
PURPOSE: Final = "voice probe"
MAX_ANSWER_BYTES: Final = 64 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=15)


class NotInvited(Exception):  # noqa: N818 - it is a verdict, and reads like one
    """There is nothing to test. The message is a sentence for people."""


class Relays(msgspec.Struct, frozen=True):
    uris: Sequence[str]
    username: str
    password: str


class Invitation(msgspec.Struct, frozen=True):
    """`url` is the SFU's without `/rtc`; `ports` those that have to be open, empty where the server does not know."""

    url: str
    tokens: tuple[str, str]
    turn: Relays | None = None
    ports: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever has the key of this server."""

    server_name: str
    key: SigningKey

    def request(self, *, region: str | None = None, now_ms: int | None = None) -> dict[str, Any]:
        """Good for one probe, within a minute. `region`: which LiveKit cluster."""
        asked: dict[str, Any] = {
            "server_name": self.server_name,
            "purpose": PURPOSE,
            "ts": time.time_ns() // 1_000_000 if now_ms is None else now_ms,
            "nonce": secrets.token_urlsafe(24),
        }
        return sign_json(asked if region is None else {**asked, "region": region}, self.server_name, self.key)


async def ask(http: aiohttp.ClientSession, base_url: str, request: dict[str, Any]) -> Invitation:
    """Raises NotInvited."""
    url = base_url.rstrip("/") + PATH
    try:
        async with http.post(url, json=request, timeout=_TIMEOUT, allow_redirects=False) as response:
            status, body = response.status, await response.content.read(MAX_ANSWER_BYTES)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise NotInvited(why_no_answer(url, error)) from error
    if status != 200:
        raise NotInvited(_refusal(base_url, status, body))
    try:
        return msgspec.json.decode(body, type=Invitation)
    except msgspec.DecodeError as error:
        raise NotInvited(f"What answers at {base_url} is no VoiceChat server: {error}.") from error


def _refusal(base_url: str, status: int, body: bytes) -> str:
    said = _error_of(body)
    if said is None:
        return f"{base_url} answers {status}, and not as VoiceChat does: the proxy has to send all of {PATH} there."
    if status == 404:
        return f"The server at {base_url} has no voice: voice.enabled is off, or its version is older than this one."
    if status == 403:
        return f"The server at {base_url} refuses the test: {said}."
    if status == 503:
        return f"Voice is down: {said}. The server's log says why."
    return f"The server at {base_url} answers {status}: {said}."


def _error_of(body: bytes) -> str | None:
    """The `error` of a Matrix error; None for what somebody else says."""
    try:
        said = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    if not isinstance(said, dict) or "errcode" not in said:
        return None
    return str(said.get("error", said["errcode"])).rstrip(".")
