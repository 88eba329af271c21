"""Why an HTTP request got no answer, or not one of ours."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import aiohttp


def why_no_answer(url: str, error: BaseException) -> str:
    """A sentence for an exception of aiohttp, without the URL's query."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}"
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return (
                f"The certificate at {place} is not trusted: {_reason(error)}. Please serve one for {parts.hostname}."
            )
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return f"{place} does not speak TLS: {_reason(error)}."
        case aiohttp.ClientConnectorDNSError():
            return f"The name {parts.hostname} cannot be found: please add it to the DNS, or correct public_baseurl."
        case TimeoutError():
            return f"{place} does not answer: a firewall may be in the way of port {port_of(url)}, TCP."
        case aiohttp.InvalidURL() | ValueError():
            return f"{url} is not an address."
        case _:
            return f"Nobody answers at {place}: {_reason(error)}."


def port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme in ("https", "wss") else 80)


def _reason(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return str(getattr(cause, "verify_message", None) or getattr(cause, "strerror", None) or cause).rstrip(".")
