"""Which account is whose: the one he has, a new one, or one that was here before and turns out to be his.

An account that exists is never given to somebody only because a provider calls him by the same name or address: he
proves that it is his (`link`), unless the administrator has said that this provider gives out all names ("adopt").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from homeserver.protocol import errors
from homeserver.protocol.identifiers import escape_localpart
from homeserver.protocol.third_party_ids import EMAIL, canonical_email
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.upstream.claims import Person
from homeserver.services.upstream.provider import AccountPolicy, Provider
from homeserver.storage.external_ids import ExternalIdRows
from homeserver.storage.threepids import ThreepidRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Database, Queries

# alice2 … alice99; who comes after them gets a random name.
MAX_NUMBER: Final = 99


@dataclass(frozen=True, slots=True)
class Found:
    """His account. `is_new`: it was made just now."""

    user_id: str
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Undecided:
    """He has none, and gets none by himself. `localpart`: the name that he would have; None where it could be none."""

    localpart: str | None
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Every verb is one transaction. That the person is who he says has been proved before."""

    database: Database
    rows: ExternalIdRows
    threepids: ThreepidRows
    accounts: NewAccounts
    clock: Clock
    audit: AuditLog

    def check_allowed(self, provider: Provider, person: Person) -> None:
        """Raises Forbidden where the administrator lets in certain groups only, and he is in none of them."""
        allowed = provider.policy.allowed_groups
        if allowed and allowed.isdisjoint(person.groups or ()):
            raise errors.Forbidden("Your account at this provider may not sign in here")

    async def arrive(self, provider: Provider, person: Person, address: str) -> Found | Undecided:
        """Somebody came. Raises Forbidden where nobody new gets an account."""
        self.check_allowed(provider, person)
        known = await self.rows.seen(
            self.database, provider.id, person.external_id, self.clock.now_ms(), person.groups
        )  # fmt: skip
        if known is not None:
            return Found(known)
        return await self._first_time(provider, person, address)

    async def _first_time(self, provider: Provider, person: Person, address: str) -> Found | Undecided:
        policy, name = provider.policy, await self.name_of(person)
        wanted = name.localpart
        if wanted is not None and not name.is_taken and policy.registers:
            return await self.register(provider, person, wanted, address)
        if policy.collisions == "ask":
            return name
        if policy.collisions == "adopt" and wanted is not None and name.is_taken:
            return await self._adopt(provider, person, wanted, address)
        if policy.collisions == "number" or (policy.collisions == "adopt" and wanted is None):
            return await self.register(provider, person, await self._numbered(provider, wanted), address)
        self._check_open(policy)
        raise errors.Forbidden("Your user name is somebody else's here: ask the administrator of this server")

    def _check_open(self, policy: AccountPolicy) -> None:
        if not policy.registers:
            raise errors.Forbidden("You have no account here, and nobody gets one by signing in")

    async def name_of(self, person: Person) -> Undecided:
        """The name that he would have."""
        wanted = self._wanted(person)
        return Undecided(wanted, wanted is not None and not await self._is_free(wanted))

    def _wanted(self, person: Person) -> str | None:
        """The localpart that he would get; None where the provider knows no name that could be one."""
        if person.localpart is None:
            return None
        localpart = escape_localpart(person.localpart.lower())
        # Names with an underscore in front are for bridges in most rooms' eyes.
        localpart = f"=5f{localpart[1:]}" if localpart.startswith("_") else localpart
        try:
            self.accounts.usernames.user_id(localpart)
        except errors.InvalidUsername:
            return None
        return localpart

    async def _is_free(self, localpart: str) -> bool:
        try:
            user_id = self.accounts.usernames.check_new(localpart)
            await self.accounts.check_available(user_id)
        except (errors.Exclusive, errors.UserInUse):
            return False
        return True

    async def _numbered(self, provider: Provider, wanted: str | None) -> str:
        base = wanted or escape_localpart(provider.id)
        ids = [self.accounts.usernames.user_id(f"{base}{number}") for number in range(2, MAX_NUMBER + 1)]
        taken = await self.accounts.users.known_among(self.database, ids)
        free = next((each for each in ids if each not in taken), None) or self.accounts.generated_user_id(f"{base}-")
        return free[1:].partition(":")[0]

    async def register(self, provider: Provider, person: Person, localpart: str, address: str) -> Found:
        """A new account with this name. Raises InvalidUsername, Exclusive, UserInUse; Forbidden, Conflict."""
        self._check_open(provider.policy)
        user_id = self.accounts.usernames.check_new(localpart)
        async with self.database.transaction() as tx:
            await self.accounts.add(tx, user_id, None)
            await self._attach(tx, provider, person, user_id, "provisioned", address)
            await self._note_address(tx, provider, person, user_id)
        return Found(user_id, is_new=True)

    async def _adopt(self, provider: Provider, person: Person, localpart: str, address: str) -> Found:
        """An administrator's account is given to nobody by its name alone."""
        user_id = self.accounts.usernames.user_id(localpart)
        async with self.database.transaction() as tx:
            user = await self.accounts.users.lock(tx, user_id)
            if user is None or user.is_admin or user.is_guest or user.appservice_id is not None:
                raise errors.Forbidden("Your user name cannot be used here: ask the administrator of this server")
            if user.is_deactivated:
                raise errors.UserDeactivated
            await self._attach(tx, provider, person, user_id, "adopted", address)
        return Found(user_id)

    async def owner(self, provider: Provider, person: Person) -> str | None:
        """His account; None where he has none."""
        return await self.rows.owner(self.database, provider.id, person.external_id)

    async def link(self, provider: Provider, person: Person, user_id: str, address: str) -> Found:
        """He has proved both: who he is there, and that this account is his. Raises Conflict, UserDeactivated."""
        self.check_allowed(provider, person)
        async with self.database.transaction() as tx:
            user = await self.accounts.users.lock(tx, user_id)
            if user is None or user.is_deactivated or user.is_guest:
                raise errors.UserDeactivated
            await self._attach(tx, provider, person, user_id, "linked", address)
        return Found(user_id)

    async def _attach(
        self, tx: Queries, provider: Provider, person: Person, user_id: str, made_by: str, address: str
    ) -> None:
        now_ms = self.clock.now_ms()
        added = await self.rows.add(
            tx, provider.id, person.external_id, user_id, made_by, now_ms, person.groups
        )  # fmt: skip
        if not added:
            raise errors.Conflict("This account of your provider belongs to another account here")
        details: Mapping[str, Any] = {"provider": provider.id, "external_id": person.external_id}
        await self.audit.record_as(tx, user_id, f"user.{made_by}", user_id, details, address=address)

    async def _note_address(self, tx: Queries, provider: Provider, person: Person, user_id: str) -> None:
        """An address that another account has stays there."""
        if not (provider.policy.trusts_email and person.email_is_verified and person.email):
            return
        try:
            address = canonical_email(person.email)
        except errors.InvalidParam:
            return
        now_ms = self.clock.now_ms()
        await self.threepids.add(tx, EMAIL, address, user_id, now_ms, now_ms)
