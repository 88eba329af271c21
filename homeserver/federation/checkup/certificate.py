"""The certificate that other servers are shown."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

from homeserver.federation.checkup.finding import Finding
from homeserver.federation.connections import tls_context

if TYPE_CHECKING:
    from homeserver.federation.dns import SocketAddress

TIME_LIMIT_S: Final = 10.0
SOON_S: Final = 14 * 24 * 3600
DAY_S: Final = 24 * 3600
# OpenSSL's X509_V_ERR_… numbers.
EXPIRED, NOT_YET_VALID, SELF_SIGNED, SELF_SIGNED_CHAIN, NO_ISSUER, NO_LEAF_ISSUER, WRONG_NAME, WRONG_IP = (
    10, 9, 18, 19, 20, 21, 62, 64,
)  # fmt: skip


async def look_at_certificate(address: SocketAddress, name: str, ca_file: Path | None, now_s: float) -> Finding:
    """Connects, and shakes hands as another server would."""
    place = f"{address.ip} port {address.port}"
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            context = await asyncio.to_thread(tls_context, ca_file)
            until_s = await _valid_until_s(address, name, context)
    except ssl.SSLCertVerificationError as error:
        return Finding(False, f"The certificate at {place} is not accepted: {_why(error, name)}")
    except ssl.SSLError as error:
        return Finding(
            False,
            f"At {place} there is no TLS ({error.reason or 'broken off'}): let the proxy, or a listener with `tls`, serve it.",
        )
    except (OSError, TimeoutError):
        return Finding(
            False,
            f"Nobody answers at {place}: start the server, open the port in the firewall, or forward it in the router.",
        )
    days = int((until_s - now_s) // DAY_S)
    if until_s - now_s < SOON_S:
        return Finding(
            False, f"The certificate of {name} ends in {days} days: renew it, and see why that did not happen."
        )
    return Finding(True, f"The certificate at {place} is valid for {name}, for {days} days more.")


async def _valid_until_s(address: SocketAddress, name: str, context: ssl.SSLContext) -> float:
    _, writer = await asyncio.open_connection(address.ip, address.port, ssl=context, server_hostname=name)
    try:
        certificate = writer.get_extra_info("peercert")
        return ssl.cert_time_to_seconds(certificate["notAfter"])
    finally:
        writer.close()


def _why(error: ssl.SSLCertVerificationError, name: str) -> str:
    match error.verify_code:
        case code if code in (WRONG_NAME, WRONG_IP):
            return f"it is for another name than {name}. Get one for {name}, or delegate to a name that has one."
        case code if code == EXPIRED:
            return "it has expired. Renew it."
        case code if code == NOT_YET_VALID:
            return "it is not valid yet. Set the clocks right."
        case code if code in (SELF_SIGNED, SELF_SIGNED_CHAIN):
            return "it is signed by an authority that nobody knows. Get one of an authority that everybody trusts."
        case code if code in (NO_ISSUER, NO_LEAF_ISSUER):
            return (
                "the chain is not complete, or of an unknown authority. Give the server the full chain (fullchain.pem)."
            )
    return f"{error.verify_message}."
