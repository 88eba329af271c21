"""Which user names a new account may have."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from homeserver.protocol import errors, identifiers

IsReserved = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Usernames:
    """The grammar, and the names that are not for everybody."""

    server_name: str
    reserved_localparts: Collection[str] = ()
    """Names that only the server itself uses, such as that of its notices."""
    reserved_by: list[IsReserved] = field(default_factory=list)
    """Asked with the user id: the namespaces of application services."""

    def check_new(self, username: str) -> str:
        """The user id of a new account with this name, capitals made small. Raises InvalidUsername, Exclusive."""
        user_id = self.user_id(username)
        localpart = user_id[1:].partition(":")[0]
        if localpart in self.reserved_localparts or any(is_reserved(user_id) for is_reserved in self.reserved_by):
            raise errors.Exclusive
        return user_id

    def user_id(self, username: str) -> str:
        """The same for who may also take reserved names. Raises InvalidUsername.

        "Clients SHOULD enforce this mapping of uppercase letters": those that do not are forgiven. Only ASCII is made
        small, because the Kelvin sign would become a plain k.
        """
        localpart = username.lower() if username.isascii() else username
        return identifiers.check_new_localpart(localpart, self.server_name)
