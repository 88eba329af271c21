"""What an administrator wants an account to be, checked before anything is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import EMAIL, MSISDN, canonical_email
from homeserver.services.accounts.passwords import check_password_size
from homeserver.services.profiles.fields import AVATAR_URL, DISPLAYNAME, check_value
from homeserver.services.text_limits import is_storable

MAX_THREEPIDS: Final = 100
MAX_EXTERNAL_IDS: Final = 20
MAX_EXTERNAL_ID: Final = 255
# E.164 has 15; some networks have longer ones of their own.
MAX_PHONE_DIGITS: Final = 32
USER_TYPES: Final = frozenset({"bot", "support"})
SPEAKER_TYPE: Final = "server_notices"
"""Of the user who speaks for the server; by it he is known, so nobody else gets it, and he keeps it."""
MEDIA: Final = frozenset({EMAIL, MSISDN})


@dataclass(frozen=True, slots=True)
class AccountWish:
    """What is None stays as it is, or is as usual for a new account."""

    password: str | None = None
    logout_devices: bool = True
    displayname: str | None = None
    """Empty: none."""
    avatar_url: str | None = None
    threepids: Sequence[tuple[str, str]] | None = None
    """Medium and address of all of them."""
    external_ids: Sequence[tuple[str, str]] | None = None
    """Provider and what it calls him, of all of them: with these he signs in."""
    is_admin: bool | None = None
    deactivated: bool | None = None
    locked: bool | None = None
    sets_type: bool = False
    user_type: str | None = None

    def check(self) -> None:
        """Raises InvalidParam, BadJson."""
        if self.password is not None:
            check_password_size(self.password)
        for key, value in ((DISPLAYNAME, self.displayname), (AVATAR_URL, self.avatar_url)):
            if value is not None:
                check_value(key, value)
        if self.avatar_url and not self.avatar_url.startswith("mxc://"):
            raise errors.InvalidParam("'avatar_url' is an mxc:// URI, or empty")
        if self.user_type is not None and self.user_type not in USER_TYPES:
            raise errors.InvalidParam(f"'user_type' is one of {', '.join(sorted(USER_TYPES))}, or null")
        if self.deactivated and self.locked:
            raise errors.InvalidParam("An account cannot be both deactivated and locked")

    def identities(self) -> list[tuple[str, str]]:
        """The external ids, each once. Raises InvalidParam."""
        given = self.external_ids or ()
        if len(given) > MAX_EXTERNAL_IDS or not all(
            part and is_storable(part, MAX_EXTERNAL_ID) for pair in given for part in pair
        ):
            raise errors.InvalidParam(
                f"'external_ids' are at most {MAX_EXTERNAL_IDS}, of at most {MAX_EXTERNAL_ID} characters each"
            )
        return list(dict.fromkeys(given))

    def addresses(self) -> list[tuple[str, str]]:
        """The third-party ids as they are stored, each once. Raises InvalidParam."""
        threepids = self.threepids or ()
        if len(threepids) > MAX_THREEPIDS:
            raise errors.InvalidParam(f"An account has at most {MAX_THREEPIDS} addresses")
        return list(dict.fromkeys(_address(medium, address) for medium, address in threepids))

    def described(self) -> dict[str, Any]:
        """For the audit log: what was asked for, without the password."""
        given: dict[str, Any] = {
            "displayname": self.displayname,
            "avatar_url": self.avatar_url,
            "threepids": None if self.threepids is None else [list(each) for each in self.threepids],
            "external_ids": None if self.external_ids is None else [list(each) for each in self.external_ids],
            "admin": self.is_admin,
            "deactivated": self.deactivated,
            "locked": self.locked,
        }
        said = {name: value for name, value in given.items() if value is not None}
        if self.sets_type:
            said["user_type"] = self.user_type
        if self.password is not None:
            said |= {"sets_password": True, "logout_devices": self.logout_devices}
        return said


def _address(medium: str, address: str) -> tuple[str, str]:
    if medium not in MEDIA:
        raise errors.InvalidParam("'medium' is 'email' or 'msisdn'")
    if medium == EMAIL:
        return medium, canonical_email(address)
    if not (address.isascii() and address.isdigit()) or len(address) > MAX_PHONE_DIGITS:
        raise errors.InvalidParam("'address' is a phone number with its country code, digits only")
    return medium, address
