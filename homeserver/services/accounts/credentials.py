"""Is this really Alice? One check of a password for login and for user-interactive authentication."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from homeserver.protocol import errors, identifiers
from homeserver.protocol.third_party_ids import MAX_ADDRESS_CHARACTERS, MSISDN, canonical_address
from homeserver.services.accounts.back_off import BackOff
from homeserver.services.accounts.passwords import PasswordHasher, check_password_size
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.services.text_limits import is_storable
from homeserver.storage.users import User, Users

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

USER = "m.id.user"
WRONG = "The user name or the password is not correct"


class PasswordDirectory(Protocol):
    """Somewhere else where passwords are known, such as services/ldap."""

    async def check(self, name: str, user_id: str | None, password: str, address: str) -> str | None:
        """Whose account it is; None where the password is not that of `name`. `user_id`: the account here of that name.

        Raises Unavailable where it cannot be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """Finds the account an identifier means, and checks its password."""

    queries: Queries
    users: Users
    hasher: PasswordHasher
    limiter: AnyRateLimiter
    server_name: str
    back_off: BackOff | None = None
    hides_ended: bool = False
    """Say the same of accounts that have ended as of those that never were."""
    directories: list[PasswordDirectory] = field(default_factory=list)
    """Asked where the password is none of ours."""

    async def check_password(self, identifier: Mapping[str, Any], password: str, address: str = "") -> User:
        """The account, if the password is its own. `address`: where it came from.

        Raises Forbidden without saying which of the two was wrong, after the same work; UserDeactivated; LimitExceeded
        where this account has been tried too often, from wherever; Unavailable where it may be right, but who knows is not
        to be reached.
        """
        check_password_size(password)
        user_id = await self.resolve(identifier)
        account = _account_of(identifier, user_id)
        if self.back_off is None or not address:
            return await self._check(identifier, user_id, password, address)
        self.back_off.check(address, account)
        try:
            user = await self._check(identifier, user_id, password, address)
        except errors.Forbidden:
            self.back_off.failed(address, account)
            raise
        self.back_off.succeeded(address, account)
        return user

    async def _check(self, identifier: Mapping[str, Any], user_id: str | None, password: str, address: str) -> User:
        if user_id is not None:
            self.limiter.count("password_guess", user_id)
        elif identifier["type"] != USER:
            # Else an address that nobody has could be told from others: one might go on guessing.
            self.limiter.count("password_guess", " ".join(_address_of(identifier))[:MAX_ADDRESS_CHARACTERS])
        user = await self.users.get(self.queries, user_id) if user_id is not None else None
        fits = await self.hasher.verify(user.password_hash if user else None, password)
        if user is not None and user.is_deactivated:
            if not self.hides_ended:
                raise errors.UserDeactivated
            user = None
        if user is None or not fits:
            return await self._in_directories(_name_of(identifier, user_id), user, password, address)
        await self._rehash(user, password)
        return user

    async def _in_directories(self, name: str, user: User | None, password: str, address: str) -> User:
        """Also where the account has a password here that was wrong: how long it takes does not tell which kind it is."""
        if self.directories and user is None:
            self.limiter.count("password_guess", _alike(name))
        for directory in self.directories:
            user_id = await directory.check(name, user.user_id if user else None, password, address)
            found = await self.users.get(self.queries, user_id) if user_id is not None else None
            if found is not None and found.is_deactivated:
                raise errors.UserDeactivated
            if found is not None:
                return found
        raise errors.Forbidden(WRONG)

    async def _rehash(self, user: User, password: str) -> None:
        """Follow changed parameters at the only moment at which the password is known."""
        if user.password_hash is not None and self.hasher.needs_rehash(user.password_hash):
            new_hash = await self.hasher.hash(password)
            await self.users.replace_password_hash(self.queries, user.user_id, user.password_hash, new_hash)

    async def resolve(self, identifier: Mapping[str, Any]) -> str | None:
        """The local user id an identifier means ("Identifier types"), None where it means nobody here.

        Raises MissingParam or InvalidParam where it is no identifier.
        """
        if _text(identifier, "type") == USER:
            return self.local_user_id(_text(identifier, "user"))
        return await self._owner(*_address_of(identifier))

    async def known_as(self, identifier: Mapping[str, Any]) -> str:
        """How the audit log calls whoever failed. Whoever types his password into the wrong field is not to find it there."""
        user_id = await self.resolve(identifier)
        user = None if user_id is None else await self.users.get(self.queries, user_id)
        return "somebody unknown" if user is None else user.user_id

    def local_user_id(self, user: str) -> str | None:
        """Full user id of a local user given by full id or localpart. Capitals are forgiven."""
        user_id = user.lower() if user.startswith("@") else f"@{user.lower()}:{self.server_name}"
        if not identifiers.is_user_id(user_id):
            return None
        parsed = identifiers.parse_user_id(user_id)
        if parsed.server_name != self.server_name.lower():
            return None
        return f"@{parsed.localpart}:{self.server_name}"

    async def _owner(self, medium: str, address: str) -> str | None:
        if not address or not is_storable(medium + address, MAX_ADDRESS_CHARACTERS):
            return None
        return await self.users.owner_of_threepid(self.queries, medium, address)


def identifier_of(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The identifier object among the fields of a login, or the ones clients sent before r0.4 instead of it.

    Raises MissingParam, BadJson.
    """
    identifier = fields.get("identifier")
    if identifier is None:
        if fields.get("user") is not None:
            return {"type": "m.id.user", "user": fields["user"]}
        if fields.get("medium") is not None:
            return {"type": "m.id.thirdparty", "medium": fields["medium"], "address": fields.get("address")}
        raise errors.MissingParam("Missing 'identifier'")
    if not isinstance(identifier, dict):
        raise errors.BadJson("'identifier' must be an object")
    return identifier


def _name_of(identifier: Mapping[str, Any], user_id: str | None) -> str:
    """What others may know somebody by, in their own words; empty for whoever is of another server."""
    named = str(identifier.get("user", identifier.get("address", "")))
    if named.startswith("@"):
        return "" if user_id is None else user_id[1:].partition(":")[0]
    # Directories compare names without regard to spaces that are more than one (RFC 4518 section 2.6.1).
    return " ".join(named.split())


def _account_of(identifier: Mapping[str, Any], user_id: str | None) -> str:
    """Under which failures are counted; the same for all spellings of a name that a directory may know."""
    name = _alike(_name_of(identifier, user_id)) or "?"
    return name if identifier["type"] == USER else user_id or name


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _address_of(identifier: Mapping[str, Any]) -> tuple[str, str]:
    """Medium and address, in their canonical form. Raises MissingParam or InvalidParam where it has none."""
    kind = _text(identifier, "type")
    if kind == "m.id.thirdparty":
        medium = _text(identifier, "medium")
        return medium, canonical_address(medium, _text(identifier, "address"))
    if kind == "m.id.phone":
        _text(identifier, "country")
        number = identifier.get("phone", identifier.get("number"))
        return MSISDN, _international(_text({"phone": number}, "phone"))
    raise errors.InvalidParam("Unknown type of identifier")


def _text(identifier: Mapping[str, Any], name: str) -> str:
    value = identifier.get(name)
    if value is None:
        raise errors.MissingParam(f"The identifier has no '{name}'")
    if not isinstance(value, str):
        raise errors.InvalidParam(f"'{name}' of the identifier must be a string")
    return value


def _international(phone: str) -> str:
    """Digits of a number written in its international form; empty for any other, which belongs to nobody."""
    digits = "".join(character for character in phone if character in "0123456789")
    if phone.lstrip().startswith("+"):
        return digits
    return digits[2:] if digits.startswith("00") else ""
