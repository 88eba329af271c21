"""Third-party identifiers: how e-mail addresses are written, and the grammar of what belongs to their proofs.

Source: appendices, "3PID Types"; client-server API, /register/email/requestToken.
"""

from __future__ import annotations

import re
from typing import Final

from homeserver.protocol.errors import InvalidParam

EMAIL: Final = "email"
MSISDN: Final = "msisdn"
# RFC 5321, 4.5.3.1.3: a path has 256 octets, two of which are its brackets.
MAX_ADDRESS_CHARACTERS: Final = 254
# Quoted local parts and address literals are left out: nobody has them, and they are where parsers disagree.
_EMAIL = re.compile(r"""[^\s@<>()\[\]\\,;:"]{1,64}@[^\s@<>()\[\]\\,;:"]+""")
# "Session IDs are opaque strings that must consist entirely of the characters [0-9a-zA-Z.=_-]", and so are secrets.
_OPAQUE = re.compile(r"[0-9a-zA-Z.=_-]{1,255}", re.ASCII)


def is_email(text: str) -> bool:
    """Whether mail could be sent there."""
    return len(text) <= MAX_ADDRESS_CHARACTERS and text.isprintable() and _EMAIL.fullmatch(text) is not None


def canonical_email(text: str) -> str:
    """The form in which addresses are compared: "Caseless Matching". Raises InvalidParam for what is no address."""
    folded = text.strip().casefold() if len(text) <= MAX_ADDRESS_CHARACTERS else text
    if not is_email(folded):
        raise InvalidParam("This is not an e-mail address")
    return folded


def canonical_address(medium: str, address: str) -> str:
    """The form in which addresses of any medium are compared."""
    return address.strip().casefold() if medium == EMAIL else address


def is_opaque(text: str) -> bool:
    """Whether it could be a client's secret, or the id of a session."""
    return _OPAQUE.fullmatch(text) is not None
