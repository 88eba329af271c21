"""Accounts that application services make, and sessions that they open for them.

Application service API, "Server admin style permissions": no flows, no password, nothing but the `as_token`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol import errors, identifiers
from homeserver.services.registration.registration import Registered
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token

if TYPE_CHECKING:
    from homeserver.services.appservices.appservice import Appservice
    from homeserver.services.appservices.registry import Appservices
    from homeserver.services.registration.new_accounts import NewAccounts
    from homeserver.services.sessions.sessions import OpenedSession, Sessions, SessionWish
    from homeserver.storage.database import Database

LOGIN_TYPE = "m.login.application_service"


@dataclass(frozen=True, slots=True)
class BridgedAccounts:
    """Verbs for the holder of an `as_token`."""

    database: Database
    appservices: Appservices
    accounts: NewAccounts
    sessions: Sessions

    async def register(
        self, token: str | None, username: str | None, wish: SessionWish, *, inhibit_login: bool
    ) -> Registered:
        """Make a user of a namespace. Raises MissingToken, UnknownToken, MissingParam, InvalidUsername, Exclusive, UserInUse."""
        appservice = self._holder(token)
        if username is None:
            raise errors.MissingParam("Missing 'username'")
        user_id = self.accounts.usernames.user_id(username)
        self.appservices.check_user(appservice, user_id)
        await self.accounts.check_available(user_id)
        session = None
        async with self.database.transaction() as tx:
            await self.accounts.add(tx, user_id, None, appservice_id=appservice.id)
            if not inhibit_login:
                session = await self.sessions.open(tx, user_id, wish)
        return Registered(user_id, session)

    async def log_in(self, token: str | None, user: str | None, wish: SessionWish) -> OpenedSession:
        """A session of a user of its namespaces; `user`: a localpart or a user id. Raises as `register`, and Forbidden."""
        appservice = self._holder(token)
        if user is None:
            raise errors.MissingParam("Missing 'identifier'")
        user_id = user if user.startswith("@") else f"@{user}:{self.accounts.usernames.server_name}"
        identifiers.parse_user_id(user_id)
        if appservice not in self.appservices.of_user(user_id):
            raise errors.Exclusive(f"{user_id} is not in the namespaces of this application service")
        if await self.accounts.users.get(self.database, user_id) is None:
            raise errors.Forbidden("The application service has not registered this user")
        return await self.sessions.log_in(user_id, wish)

    async def make_senders(self) -> None:
        """The users of `sender_localpart`, where there are none yet. Once, before the first request."""
        for appservice in self.appservices.all:
            if await self.accounts.users.get(self.database, appservice.sender) is None:
                await self.accounts.add(self.database, appservice.sender, None, appservice_id=appservice.id)

    def _holder(self, token: str | None) -> Appservice:
        if token is None:
            raise errors.MissingToken("Missing access token")
        found = self.appservices.by_token(hash_token(token)) if len(token) <= MAX_TOKEN_CHARACTERS else None
        if found is None:
            raise errors.UnknownToken
        return found
