"""All application services, and whose a name is. Verdicts over users are remembered, for each event asks for some."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.services.appservices.appservice import Appservice

if TYPE_CHECKING:
    from homeserver.services.requester import Requester

REMEMBERED_USERS: Final = 100_000


class Appservices:
    """Made once, at the start. Everything is answered without the database."""

    __slots__ = ("_by_token", "_covering", "_server_suffix", "all", "by_id")

    def __init__(self, appservices: Sequence[Appservice], server_name: str) -> None:
        self.all = tuple(appservices)
        self.by_id: Mapping[str, Appservice] = {each.id: each for each in appservices}
        self._by_token = {each.token_hash: each for each in appservices}
        self._server_suffix = f":{server_name}"
        # Of this server: users of others are many, and would take their places.
        self._covering = lru_cache(maxsize=REMEMBERED_USERS)(self._covering_user)

    def __bool__(self) -> bool:
        return bool(self.all)

    def by_token(self, token_hash: bytes) -> Appservice | None:
        """Whose `as_token` has this hash. How long this takes says nothing about tokens, of which only hashes are compared."""
        found = self._by_token.get(token_hash)
        return found if found is not None and hmac.compare_digest(found.token_hash, token_hash) else None

    def of_user(self, user_id: str) -> tuple[Appservice, ...]:
        """Those that a user of this server concerns; none for users of other servers, whatever the namespaces say."""
        return self._covering(user_id) if user_id.endswith(self._server_suffix) else ()

    def _covering_user(self, user_id: str) -> tuple[Appservice, ...]:
        return tuple(each for each in self.all if each.covers_user(user_id))

    def owner_of_user(self, user_id: str) -> Appservice | None:
        """The application service without which nobody may be this user; the first of several."""
        return next((each for each in self.of_user(user_id) if each.owns_user(user_id)), None)

    def reserves_user(self, user_id: str) -> bool:
        """Whether people cannot register this name."""
        return self.owner_of_user(user_id) is not None

    def check_user(self, appservice: Appservice, user_id: str) -> None:
        """Raises Exclusive where this application service may not make, or be, this user."""
        owner = self.owner_of_user(user_id)
        if appservice not in self.of_user(user_id) or (owner is not None and not appservice.owns_user(user_id)):
            raise errors.Exclusive(f"{user_id} is not in the namespaces of this application service")

    def check_alias(self, requester: Requester, alias: str) -> None:
        """Raises Exclusive where this user, or the application service that speaks for him, may not make this alias."""
        own = self.by_id.get(requester.appservice_id or "")
        if own is not None and not own.covers_alias(alias):
            raise errors.Exclusive(f"{alias} is not in the namespaces of this application service")
        if own is None or not own.owns_alias(alias):
            self._check_nobody_owns(alias)

    def check_alias_removal(self, requester: Requester, alias: str) -> bool:
        """Whether an application service takes an alias of its namespace away. Raises Exclusive as `check_alias`."""
        own = self.by_id.get(requester.appservice_id or "")
        if own is None or not own.covers_alias(alias):
            self._check_nobody_owns(alias)
            return False
        if not own.owns_alias(alias):
            self._check_nobody_owns(alias)
        return True

    def _check_nobody_owns(self, alias: str) -> None:
        if any(each.owns_alias(alias) for each in self.all):
            raise errors.Exclusive(f"{alias} is reserved by an application service")

    def of_alias(self, alias: str) -> list[Appservice]:
        """Those in whose namespaces the alias is."""
        return [each for each in self.all if each.covers_alias(alias)]

    def of_protocol(self, protocol: str) -> list[Appservice]:
        """Those that speak for this third-party network."""
        return [each for each in self.all if protocol in each.protocols]

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"registered": len(self.all), "known_users": self._covering.cache_info().currsize}
