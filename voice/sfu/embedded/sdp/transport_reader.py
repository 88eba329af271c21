"""ICE and DTLS attributes, which stand in sections or before them."""

from __future__ import annotations

import re

from voice.sfu.embedded.sdp.description import Fingerprint, SdpError, TransportAttributes

_UFRAG = re.compile(r"[A-Za-z0-9+/]{4,256}", re.ASCII)
_PASSWORD = re.compile(r"[A-Za-z0-9+/]{22,256}", re.ASCII)
_SETUPS = ("actpass", "active", "passive", "holdconn")
_HASH_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_HEX_PAIRS = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*", re.ASCII)


class TransportReader:
    """Collects the attributes; later ones of the same name win, but for fingerprints the first good one."""

    __slots__ = ("_fingerprint", "_password", "_setup", "_ufrag")

    def __init__(self, inherited: TransportAttributes | None = None) -> None:
        start = inherited or TransportAttributes()
        self._ufrag, self._password, self._setup = start.ufrag, start.password, start.setup
        self._fingerprint = start.fingerprint

    def attribute(self, name: str, value: str) -> None:
        """Take it, where it is one of these; raises SdpError where it breaks its grammar."""
        if name == "ice-ufrag":
            self._ufrag = _matching(_UFRAG, value, name)
        elif name == "ice-pwd":
            self._password = _matching(_PASSWORD, value, name)
        elif name == "setup":
            self._setup = _known_setup(value.strip())
        elif name == "fingerprint":
            self._fingerprint = _fingerprint(value) or self._fingerprint

    def attributes(self) -> TransportAttributes:
        return TransportAttributes(self._ufrag, self._password, self._setup, self._fingerprint)


def _matching(grammar: re.Pattern[str], value: str, name: str) -> str:
    value = value.strip()
    if grammar.fullmatch(value) is None:
        raise SdpError(f"{name} breaks its grammar (RFC 8839 section 5.4).")
    return value


def _known_setup(value: str) -> str:
    if value not in _SETUPS:
        raise SdpError("setup is one of actpass, active, passive and holdconn.")
    return value


def _fingerprint(value: str) -> Fingerprint | None:
    """None: of a hash we do not trust; there may be another line with a better one (RFC 8122 section 5)."""
    algorithm, _, digits = value.strip().partition(" ")
    algorithm, digits = algorithm.lower(), digits.strip().upper()
    size = _HASH_BYTES.get(algorithm)
    if size is None:
        return None
    if len(digits) != size * 3 - 1 or _HEX_PAIRS.fullmatch(digits) is None:
        raise SdpError("A fingerprint does not have the size of its hash.")
    return Fingerprint(algorithm, digits)
