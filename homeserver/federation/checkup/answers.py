"""What this server answers to others: its version, its keys, its clock."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from homeserver.federation.checkup.finding import Finding
from homeserver.protocol.canonical_json import decode_lenient
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.server_keys import read_published_keys

if TYPE_CHECKING:
    from homeserver.federation.well_known import Page
    from homeserver.protocol.signing import SigningKey

MAX_SKEW_MS: Final = 60_000
HOUR_MS: Final = 60 * 60_000
PASS_ON: Final = "let the proxy pass everything below /_matrix on to this server, with paths as they came"


def judge_version(page: Page) -> Finding:
    """The answer to `GET /_matrix/federation/v1/version`."""
    server = _object(page).get("server")
    if page.status != 200 or not isinstance(server, dict):
        return Finding(
            False, f"Asked for its version, the server answers {page.status} and no Matrix answer: {PASS_ON}."
        )
    return Finding(True, f"The server answers: {server.get('name')} {server.get('version')}.")


def judge_clock(page: Page, now_ms: int) -> Finding:
    """The Date of an answer. Others refuse keys and events that are not of their time."""
    try:
        skew_ms = round(parsedate_to_datetime(page.headers["Date"]).timestamp() * 1000) - now_ms
    except (KeyError, ValueError, TypeError):
        return Finding(True, "The answer has no date, so clocks were not compared.")
    if abs(skew_ms) > MAX_SKEW_MS:
        return Finding(
            False,
            f"The clock there and the one here differ by {abs(skew_ms) // 1000} seconds: let NTP set both of them.",
        )
    return Finding(True, "The clock there and the one here agree.")


def judge_keys(page: Page, server_name: str, key: SigningKey, now_ms: int) -> Finding:
    """The answer to `GET /_matrix/key/v2/server`. `key`: the one in our file."""
    document = _object(page)
    try:
        published = read_published_keys(document, server_name, now_ms)
    except MatrixError as error:
        if page.status == 200 and isinstance(named := document.get("server_name"), str) and named != server_name:
            return Finding(
                False,
                f"A server named {named[:255]} answers there, not {server_name}: correct server_name or the delegation.",
            )
        return Finding(False, f"The keys cannot be read there ({page.status}, {error.message}): {PASS_ON}.")
    found = published.keys.get(key.key_id)
    if found is None or found.verify_key != key.verify_key or found.usable_until_ms < now_ms:
        return Finding(
            False,
            f"The server there does not sign with {key.key_id}, the key of this machine: restart it after `signing-key rotate`, "
            "else another server answers there, or this is the wrong key file.",
        )
    if published.valid_until_ms < now_ms + HOUR_MS:
        return Finding(
            False, "The keys there end within the hour: something in front of the server keeps an old answer."
        )
    return Finding(True, f"Others find the key {key.key_id}, and it is ours.")


def _object(page: Page) -> dict[str, Any]:
    try:
        document = decode_lenient(page.body)
    except MatrixError:
        return {}
    return document if isinstance(document, dict) else {}
