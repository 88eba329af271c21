"""Sets, lists and deletes pushers ("Push Notifications", MSC3881)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.protocol import errors
from homeserver.services.push.checks import (
    EMAIL,
    EMAIL_APP_ID,
    HTTP,
    PusherBody,
    check_body,
    check_gateway,
    check_key,
    check_kind,
)
from homeserver.storage.pushers import Pusher, PusherRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.push.registry import PusherRegistry
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_PUSHERS_OF_USER: Final = 50
"""Phones that lose their key leave a pusher behind: beyond it, the one that was set longest ago goes."""


class Mailboxes(Protocol):
    """Which addresses are whose."""

    async def verified(self, user_id: str) -> Collection[str]:
        """Addresses that the user has proved to be his, in their canonical form."""
        ...


@dataclass(slots=True)
class Pushers:
    """Commands. `newest`: where the stream of events stands. `allow_http`: settings of tests. `mailboxes`: None where the
    server sends no mail.
    """

    queries: Queries
    rows: PusherRows
    registry: PusherRegistry
    clock: Clock
    newest: Callable[[], int]
    allow_http: bool = False
    mailboxes: Mailboxes | None = None
    _setting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def set(self, requester: Requester, kind: str, app_id: str, pushkey: str, body: PusherBody) -> None:
        """Make a pusher, or change the one of that name. Raises InvalidParam, MissingParam; UnknownToken for a device that
        was logged out meanwhile; Forbidden for an administrator who acts as the user: it would outlive that.
        """
        if requester.impersonator is not None:
            raise errors.Forbidden("Whoever acts as somebody else is not notified in his place")
        check_kind(kind)
        check_key(app_id, pushkey)
        checked = check_body(body)
        if kind == HTTP:
            check_gateway(checked.data, allow_http=self.allow_http)
        else:
            pushkey = await self._own_address(requester.user_id, app_id, pushkey)
        new = Pusher(
            user_id=requester.user_id,
            app_id=app_id,
            pushkey=pushkey,
            kind=kind,
            # "email": one is notified there whatever devices one has.
            device_id=requester.device_id if kind == HTTP else None,
            app_display_name=checked.app_display_name,
            device_display_name=checked.device_display_name,
            profile_tag=body.profile_tag,
            lang=checked.lang,
            data=checked.data,
            enabled=body.enabled,
            set_ms=self.clock.now_ms(),
            # What is unread already is no reason for mail.
            behind=self.newest() if kind == EMAIL else None,
        )
        # One after the other: the same key of two users at once must not stay with both.
        async with self._setting:
            await self._store(new, requester.device_nid, append=body.append)

    async def _store(self, new: Pusher, device_nid: int, *, append: bool) -> None:
        found = await self.rows.set(self.queries, new, device_nid, append=append, maximum=MAX_PUSHERS_OF_USER)
        if found is None:
            raise errors.UnknownToken
        stored, gone = found
        self.registry.remove(gone)
        self.registry.put(stored)

    async def _own_address(self, user_id: str, app_id: str, address: str) -> str:
        """The address as it was proved. Raises InvalidParam."""
        if self.mailboxes is None:
            raise errors.InvalidParam("This server sends no mail")
        if app_id != EMAIL_APP_ID:
            raise errors.InvalidParam(f"The 'app_id' of a pusher of kind 'email' is '{EMAIL_APP_ID}'")
        for verified in await self.mailboxes.verified(user_id):
            if verified.lower() == address.lower():
                return verified
        raise errors.InvalidParam("'pushkey' is no e-mail address that has been verified for this account")

    async def delete(self, user_id: str, app_id: str, pushkey: str) -> None:
        """Take a pusher away; one that is not there is no error. Raises InvalidParam."""
        check_key(app_id, pushkey)
        await self.remove([each for each in self.registry.of_user(user_id) if _is_named(each, app_id, pushkey)])

    async def remove(self, pushers: Sequence[Pusher]) -> None:
        """Take these away."""
        if pushers:
            nids = [each.pusher_nid for each in pushers]
            await self.rows.delete(self.queries, nids)
            self.registry.remove(nids)

    def of_user(self, user_id: str) -> list[Pusher]:
        """All pushers of the user."""
        return self.registry.of_user(user_id)

    # -- told by others ------------------------------------------------------------------------------------

    async def devices_deleted(self, user_id: str, device_ids: Sequence[str]) -> None:
        """What these devices had set goes with them."""
        # Also what is being set at this moment.
        async with self._setting:
            await self.remove([each for each in self.registry.of_user(user_id) if each.device_id in device_ids])

    async def user_deactivated(self, user_id: str, erase: bool) -> None:
        """Nobody is left to be notified."""
        await self.remove(self.registry.of_user(user_id))

    async def address_removed(self, user_id: str, address: str) -> None:
        """The address is not the user's any longer."""
        await self.remove(
            [each for each in self.registry.of_user(user_id) if each.kind == EMAIL and each.pushkey == address]
        )


def _is_named(pusher: Pusher, app_id: str, pushkey: str) -> bool:
    same = pusher.pushkey.lower() == pushkey.lower() if pusher.kind == EMAIL else pusher.pushkey == pushkey
    return pusher.app_id == app_id and same
