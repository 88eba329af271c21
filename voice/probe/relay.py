"""What is wrong with a TURN server, when a call through it is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from aioice.stun import TransactionFailed

from voice.participant.paths import Address, RelayRefuses, Turn, allocate

_ALLOCATE_S: Final = 6.0
_BIND_S: Final = 1.0
_WRONG_CREDENTIALS: Final = (401, 403, 431, 441)
_FORBIDDEN: Final = 403


async def check_relay(turn: Turn) -> str | None:
    """Why it gives us no address to be relayed from, as the end of a sentence; None where it does."""
    try:
        async with asyncio.timeout(_ALLOCATE_S):
            transport = await allocate(turn, asyncio.DatagramProtocol())
    except RelayRefuses as error:
        return _why_refused(error.code)
    except TimeoutError:
        return f"nothing answers at port {turn.port}, {_kind(turn)}: open it in the firewall"
    except ssl.SSLError as error:
        return f"its TLS certificate is not accepted ({error.reason or error})"
    except OSError as error:
        return f"it cannot be reached: {error.strerror or error}"
    transport.close()
    return None


def _why_refused(code: int | None) -> str:
    if code is None:
        return "it does not answer: open its port in the firewall"
    if code in _WRONG_CREDENTIALS:
        return (
            f"it refuses our credentials ({code}): its static-auth-secret has to be voice.turn.shared_secret, with "
            "use-auth-secret, and its clock has to be right"
        )
    return f"it refuses to relay (error {code}); its log says why"


def _kind(turn: Turn) -> str:
    return turn.transport.upper()


async def forbidden_peers(turn: Turn, peers: Sequence[Address]) -> list[Address]:
    """Those of the SFU's addresses to which this relay sends nothing by its own rules."""
    errors = _Errors()
    forbidden = []
    async with asyncio.timeout(_ALLOCATE_S + _BIND_S * len(peers)):
        transport = await allocate(turn, errors)
        try:
            for peer in peers:
                errors.codes.clear()
                transport.sendto(b"\0", peer)
                await asyncio.sleep(_BIND_S)
                if _FORBIDDEN in errors.codes:
                    forbidden.append(peer)
        finally:
            transport.close()
    return forbidden


@dataclass(slots=True)
class _Errors(asyncio.DatagramProtocol):
    codes: list[int | None] = field(default_factory=list)

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, TransactionFailed):
            self.codes.append(exc.response.error_code)
