"""An application service as its registration file describes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from homeserver.services.appservices.patterns import matches


@dataclass(frozen=True, slots=True)
class Namespace:
    """Names that an application service is interested in; `exclusive`: that nobody else may make."""

    pattern: re.Pattern[str]
    exclusive: bool


@dataclass(frozen=True, slots=True, eq=False)
class Appservice:
    """One application service. `url` None: it is sent nothing. Its own token is kept as a hash."""

    id: str
    url: str | None
    token_hash: bytes = field(repr=False)
    hs_token: str = field(repr=False)
    sender: str
    """The user id of `sender_localpart`."""
    users: tuple[Namespace, ...] = ()
    aliases: tuple[Namespace, ...] = ()
    rooms: tuple[Namespace, ...] = ()
    rate_limited: bool = True
    """Whether its users are; never `sender`."""
    protocols: tuple[str, ...] = ()
    receive_ephemeral: bool = False
    """It is sent typing, receipts and presence."""
    encrypts: bool = False
    """It is sent messages to its devices, changes of device lists, and counts of keys (MSC4203, MSC3202)."""

    def covers_user(self, user_id: str) -> bool:
        """Whether it may speak for this user of this server, and hears what concerns him."""
        return user_id == self.sender or any_matches(self.users, user_id)

    def owns_user(self, user_id: str) -> bool:
        """Whether nobody else may be this user."""
        return user_id == self.sender or any_matches(self.users, user_id, exclusive=True)

    def covers_alias(self, alias: str) -> bool:
        return any_matches(self.aliases, alias)

    def owns_alias(self, alias: str) -> bool:
        return any_matches(self.aliases, alias, exclusive=True)

    def covers_room(self, room_id: str) -> bool:
        return any_matches(self.rooms, room_id)

    def is_unlimited(self, user_id: str) -> bool:
        """ "Whether requests from masqueraded users are rate-limited. The sender is excluded." """
        return not self.rate_limited or user_id == self.sender


def any_matches(namespaces: Iterable[Namespace], name: str, *, exclusive: bool = False) -> bool:
    """Whether the name is in one of the namespaces; with `exclusive`, in one of those."""
    return any((each.exclusive or not exclusive) and matches(each.pattern, name) for each in namespaces)
