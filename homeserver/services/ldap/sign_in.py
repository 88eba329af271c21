"""From a name and a password in the directory to an account here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.services.ldap.ask import AskDirectory
from homeserver.services.ldap.directory import Entry, is_name
from homeserver.services.profiles.fields import DISPLAYNAME, MAX_DISPLAYNAME_CHARACTERS
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.requester import on_behalf_of
from homeserver.services.upstream.claims import Person, person_of
from homeserver.services.upstream.provider import Provider
from homeserver.services.upstream.provisioning import Found, Provisioning
from homeserver.storage.external_ids import ExternalIdRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

SignedIn = Callable[[str, str, "Sequence[str] | None"], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LdapSignIn:
    """A place where passwords are checked that are not ours (services/accounts/credentials.py)."""

    queries: Queries
    provider: Provider
    ask: AskDirectory
    rows: ExternalIdRows
    provisioning: Provisioning
    profiles: Profiles
    on_signed_in: list[SignedIn] = field(default_factory=list)
    """Called with the user, the provider's id and his groups."""

    async def check(self, name: str, user_id: str | None, password: str, address: str) -> str | None:
        """The account of whoever calls himself `name`, made now if he comes for the first time; None where the password
        is not his.

        `user_id`: the account here that is called so, if there is one. Raises Unavailable, LimitExceeded.
        """
        if not is_name(name) or "\0" in password:
            return None
        external_id = None if user_id is None else await self._external_id(user_id)
        entry = await self.ask(name, external_id, password)
        if entry is None:
            return None
        return await self._account(entry, address)

    async def keeps_password_of(self, user_id: str) -> bool:
        """Whether this account is somebody's in the directory."""
        return await self._external_id(user_id) is not None

    async def _external_id(self, user_id: str) -> str | None:
        """Under which the directory knows this account, whatever its owner is called there by now."""
        found = await self.rows.of_user(self.queries, user_id)
        return next((each.external_id for each in found if each.provider == self.provider.id), None)

    async def _account(self, entry: Entry, address: str) -> str | None:
        person = person_of(entry.external_id, entry.claims, self.provider.attributes)
        try:
            arrived = await self.provisioning.arrive(self.provider, person, address)
        except errors.Forbidden as error:
            log.info("%s has the right password, but does not get in: %s", entry.dn, error.message)
            return None
        if not isinstance(arrived, Found):
            log.warning("%s gets no account: his name is taken", entry.dn)
            return None
        if arrived.is_new or self.provider.policy.updates_profile:
            await self._name(arrived.user_id, person)
        await self._tell(arrived.user_id, person)
        return arrived.user_id

    async def _name(self, user_id: str, person: Person) -> None:
        if person.display_name is None:
            return
        name = person.display_name[:MAX_DISPLAYNAME_CHARACTERS]
        try:
            await self.profiles.set_field(on_behalf_of(user_id), user_id, DISPLAYNAME, {DISPLAYNAME: name})
        except errors.MatrixError as error:
            log.info("the name of %s could not be taken from the directory: %s", user_id, error.errcode)

    async def _tell(self, user_id: str, person: Person) -> None:
        for hook in self.on_signed_in:
            try:
                await hook(user_id, self.provider.id, person.groups)
            except Exception:
                # He is who he is: what follows from it is looked at again every night.
                log.exception("what follows from the sign-in of %s could not be done", user_id)
