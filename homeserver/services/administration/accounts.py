"""Accounts in the hands of an administrator: look, make, change, end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_user_id, server_name_of
from homeserver.services.accounts.account import Accounts
from homeserver.services.accounts.passwords import check_password_size
from homeserver.services.administration.account_wish import SPEAKER_TYPE, AccountWish
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.registration.new_accounts import NewAccounts
from homeserver.services.requester import Requester, on_behalf_of
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.standing.moderation import AccountModeration
from homeserver.services.threepids.notices import AccountNotices
from homeserver.storage.administration import AccountChange, AdministrationRows, ShownUser
from homeserver.storage.external_ids import ExternalId, ExternalIdRows
from homeserver.storage.users import Threepid

if TYPE_CHECKING:
    from homeserver.storage.database import Database, Queries


@dataclass(frozen=True, slots=True)
class AccountAdministration:
    """Verbs over any account of this server."""

    database: Database
    rows: AdministrationRows
    accounts: Accounts
    new_accounts: NewAccounts
    profiles: Profiles
    moderation: AccountModeration
    authenticator: Authenticator
    notices: AccountNotices
    audit: AuditLog
    server_name: str
    external_ids: ExternalIdRows = field(default_factory=ExternalIdRows)

    def local(self, user_id: str) -> str:
        """The same user id. Raises InvalidParam where it is none of this server."""
        if not is_user_id(user_id) or server_name_of(user_id) != self.server_name:
            raise errors.InvalidParam("This is no user of this server")
        return user_id

    async def get(self, user_id: str) -> ShownUser:
        """One account. Raises InvalidParam, NotFound."""
        found = await self.rows.user(self.database, self.local(user_id))
        if found is None:
            raise errors.NotFound("User not found")
        return found

    async def threepids(self, user_id: str) -> list[Threepid]:
        """The account's addresses."""
        return await self.accounts.threepids(user_id)

    async def identities(self, user_id: str) -> list[ExternalId]:
        """With which providers he signs in."""
        return await self.external_ids.of_user(self.database, user_id)

    async def owner_of_identity(self, provider: str, external_id: str) -> str:
        """Whose account it is. Raises NotFound, InvalidParam."""
        ((provider, external_id),) = AccountWish(external_ids=[(provider, external_id)]).identities()
        owner = await self.external_ids.owner(self.database, provider, external_id)
        if owner is None:
            raise errors.NotFound("User not found")
        return owner

    async def owner_of_threepid(self, medium: str, address: str) -> str:
        """Whose address it is. Raises NotFound, InvalidParam."""
        ((medium, address),) = AccountWish(threepids=[(medium, address)]).addresses()
        owner = await self.accounts.users.owner_of_threepid(self.database, medium, address)
        if owner is None:
            raise errors.NotFound("User not found")
        return owner

    async def put(self, requester: Requester, user_id: str, wish: AccountWish) -> bool:
        """Make the account, or change it. Whether it was made.

        Raises InvalidParam, BadJson, InvalidUsername, ThreepidInUse; Forbidden for oneself's own role, for locking an
        administrator, and for the type of who speaks for the server; Conflict for an account whose deactivation is not finished.
        """
        wish.check()
        wish.identities()
        addresses = wish.addresses()
        existing = await self.rows.user(self.database, self.local(user_id))
        if existing is None:
            await self._make(requester, user_id, wish, addresses)
        else:
            await self._change(requester, existing, wish, addresses)
        return existing is None

    async def _make(
        self, requester: Requester, user_id: str, wish: AccountWish, addresses: list[tuple[str, str]]
    ) -> None:
        if self.new_accounts.usernames.user_id(user_id[1:].partition(":")[0]) != user_id:
            raise errors.InvalidUsername("New user ids have no capitals")
        password_hash = None if wish.password is None else await self._hash(wish.password)
        async with self.database.transaction() as tx:
            await self.new_accounts.add(
                tx, user_id, password_hash, is_admin=bool(wish.is_admin), user_type=wish.user_type
            )
            await self._set_addresses(tx, user_id, addresses)
            await self._set_identities(tx, user_id, wish)
            await self.audit.record(tx, requester, "user.create", user_id, wish.described())
        await self._set_profile(user_id, wish)
        await self._set_standing(requester, user_id, wish)

    async def _change(
        self, requester: Requester, user: ShownUser, wish: AccountWish, addresses: list[tuple[str, str]]
    ) -> None:
        user_id = user.user_id
        if wish.is_admin is False and user_id == requester.user_id:
            raise errors.Forbidden("You may not take your own administration away")
        if wish.sets_type and user.user_type == SPEAKER_TYPE:
            raise errors.Forbidden("This user speaks for the server: his type stays")
        change = AccountChange(
            None if wish.password is None else await self._hash(wish.password),
            wish.is_admin,
            wish.sets_type,
            wish.user_type,
        )
        # The role is part of what is remembered of a token.
        with self.authenticator.revoking(user_id):
            async with self.database.transaction() as tx:
                if user.deactivated and wish.deactivated is False and not await self.rows.reactivate(tx, user_id):
                    raise errors.Conflict("This account is still being deactivated")
                await self.rows.change(tx, user_id, change)
                lost = [] if wish.threepids is None else await self._set_addresses(tx, user_id, addresses)
                await self._set_identities(tx, user_id, wish)
                await self.audit.record(tx, requester, "user.modify", user_id, wish.described())
        self.authenticator.forget_user(user_id)
        for medium, address in lost:
            self.notices.address_removed(user_id, medium, address)
        await self._set_profile(user_id, wish)
        if wish.password is not None:
            await self._password_changed(requester, user_id, logout_devices=wish.logout_devices)
        await self._set_standing(requester, user_id, wish, user)

    async def _hash(self, password: str) -> str:
        return await self.accounts.hasher.hash(password)

    async def _set_addresses(
        self, tx: Queries, user_id: str, addresses: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Those that the account has no longer."""
        now_ms = self.accounts.clock.now_ms()
        wanted = [Threepid(medium, address, now_ms, now_ms) for medium, address in addresses]
        taken = await self.rows.threepid_of_others(tx, user_id, wanted) if wanted else None
        if taken is not None:
            raise errors.ThreepidInUse(f"{taken} belongs to another account")
        return await self.rows.replace_threepids(tx, user_id, wanted)

    async def _set_identities(self, tx: Queries, user_id: str, wish: AccountWish) -> None:
        if wish.external_ids is None:
            return
        wanted = wish.identities()
        taken = await self.external_ids.taken(tx, user_id, wanted) if wanted else None
        if taken is not None:
            raise errors.Conflict(f"{taken} belongs to another account")
        await self.external_ids.replace(tx, user_id, wanted, self.accounts.clock.now_ms())

    async def _set_profile(self, user_id: str, wish: AccountWish) -> None:
        user = on_behalf_of(user_id)
        if wish.displayname is not None:
            await self.profiles.set_field(user, user_id, "displayname", {"displayname": wish.displayname})
        if wish.avatar_url is not None:
            await self.profiles.set_field(user, user_id, "avatar_url", {"avatar_url": wish.avatar_url})

    async def _password_changed(self, requester: Requester, user_id: str, *, logout_devices: bool) -> None:
        """An administrator who changes his own password so keeps the session he does it with."""
        keep = requester.device_id if user_id == requester.user_id else None
        await self.accounts.password_changed(user_id, logout_devices=logout_devices, keep=keep)

    async def _set_standing(
        self, requester: Requester, user_id: str, wish: AccountWish, user: ShownUser | None = None
    ) -> None:
        if wish.locked is not None and wish.locked != (user is not None and user.locked):
            await self.moderation.set_locked(requester, user_id, wish.locked)
        if wish.deactivated and not (user is not None and user.deactivated):
            await self.accounts.deactivate(user_id, erase=False)

    async def deactivate(self, requester: Requester, user_id: str, *, erase: bool) -> None:
        """End an account; one that has ended already can still be erased. Raises InvalidParam, NotFound."""
        await self.get(user_id)
        await self.audit.record(self.database, requester, "user.deactivate", user_id, {"erase": erase})
        await self.accounts.deactivate(user_id, erase=erase)

    async def reset_password(
        self, requester: Requester, user_id: str, new_password: str, *, logout_devices: bool
    ) -> None:
        """A password of the administrator's choice. Raises InvalidParam, NotFound, UserDeactivated."""
        check_password_size(new_password)
        if (await self.get(user_id)).deactivated:
            raise errors.UserDeactivated
        password_hash = await self._hash(new_password)
        async with self.database.transaction() as tx:
            await self.rows.change(tx, user_id, AccountChange(password_hash))
            await self.audit.record(tx, requester, "user.reset_password", user_id, {"logout_devices": logout_devices})
        await self._password_changed(requester, user_id, logout_devices=logout_devices)

    async def set_admin(self, requester: Requester, user_id: str, is_admin: bool) -> None:
        """Raises InvalidParam, NotFound, Forbidden for oneself."""
        await self._change(requester, await self.get(user_id), AccountWish(is_admin=is_admin), [])
