"""The codes themselves: of an authenticator app (RFC 6238), and those for who has lost it. Pure but for new secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

STEP_S: Final = 30
# "The verifier should allow at most one time step as the network delay" (RFC 6238 section 5.2); clocks of phones are as
# often ahead as behind.
WINDOW: Final = 1
# "The length of the shared secret MUST be at least 128 bits. [...] RECOMMENDED 160 bits" (RFC 4226 section 4).
SECRET_BYTES: Final = 20
RECOVERY_CODES: Final = 10
# 80 bits: whoever reads the hashes finds no code by trying all of them.
RECOVERY_BYTES: Final = 10
MAX_CODE_CHARACTERS: Final = 40

_APP_CODE = re.compile(r"[0-9]{6}")
_RECOVERY_CODE = re.compile(r"[a-z2-7]{16}")
_BEHIND_PASSWORD = re.compile(r"(.*) ([0-9]{6}|(?:[A-Za-z2-7]{4}-){3}[A-Za-z2-7]{4})", re.DOTALL)


def new_secret() -> str:
    """Base32, as apps want it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def app_uri(secret: str, user_id: str, issuer: str) -> str:
    """otpauth://, the key URI format that authenticator apps read from QR codes."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=user_id, issuer_name=issuer)


def qr_svg(uri: str) -> str:
    """A picture to be scanned, to stand in a page."""
    import segno

    return str(segno.make(uri, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", title="QR code"))


def app_code(text: str) -> str | None:
    """The six digits somebody typed, as apps show them with a space between; None for anything else."""
    code = text.replace(" ", "")
    return code if _APP_CODE.fullmatch(code) else None


def step_of(secret: str, code: str, now_ms: int) -> int | None:
    """The step whose code this is, the newest where it is that of several; None where it is wrong, or of another time."""
    import pyotp

    now, generator, found = now_ms // (STEP_S * 1000), pyotp.HOTP(secret), None
    for step in range(max(0, now - WINDOW), now + WINDOW + 1):
        # All of them, however soon one fits: how long it takes says nothing.
        if hmac.compare_digest(generator.at(step), code):
            found = step
    return found


def new_recovery_codes() -> list[str]:
    """To be written down: "abcd-efgh-2345-6789"."""
    return [_grouped(_base32(secrets.token_bytes(RECOVERY_BYTES))) for _ in range(RECOVERY_CODES)]


def recovery_hash(user_id: str, text: str) -> bytes | None:
    """What is kept of a recovery code, however it is spelt; None where it cannot be one."""
    code = text.replace("-", "").replace(" ", "").lower()
    if not _RECOVERY_CODE.fullmatch(code):
        return None
    return hashlib.sha256(f"{user_id} {code}".encode()).digest()


def split_password(text: str) -> tuple[str, str | None]:
    """A password with a code behind it and a space between, for clients that know of passwords only."""
    found = _BEHIND_PASSWORD.fullmatch(text)
    return (found[1], found[2]) if found else (text, None)


def _base32(value: bytes) -> str:
    return base64.b32encode(value).decode().lower()


def _grouped(code: str) -> str:
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
