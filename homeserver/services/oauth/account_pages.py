"""What people do with their account on our own page (client-server API, "Account management URL actions")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.protocol.oauth.client_metadata import parse_client_metadata
from homeserver.services.accounts.account import Accounts
from homeserver.services.audit.audit_log import AuditLog
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.devices import Devices
from homeserver.services.oauth.cross_signing_resets import CrossSigningResets
from homeserver.services.profiles.profiles import Profiles
from homeserver.services.requester import on_behalf_of
from homeserver.services.text_limits import MAX_DEVICE_ID_CHARACTERS, is_storable
from homeserver.storage.devices import Device
from homeserver.storage.oauth_grants import OAuthGrantRows

if TYPE_CHECKING:
    from homeserver.storage.database import Database

KIND: Final = "account"
OVERVIEW: Final = ""
PROFILE: Final = "org.matrix.profile"
DEVICES_LIST: Final = "org.matrix.devices_list"
DEVICE_VIEW: Final = "org.matrix.device_view"
DEVICE_DELETE: Final = "org.matrix.device_delete"
DEACTIVATE: Final = "org.matrix.account_deactivate"
CROSS_SIGNING_RESET: Final = "org.matrix.cross_signing_reset"
PASSWORD: Final = "org.voicechat.password"
ACTIONS: Final = (PROFILE, DEVICES_LIST, DEVICE_VIEW, DEVICE_DELETE, DEACTIVATE, CROSS_SIGNING_RESET)
# Of ours alone: not told to clients, which would not know what to do with it.
OWN_ACTIONS: Final = (PASSWORD,)
# What they were called before v1.18; clients still say so.
OLD_NAMES: Final = {
    "org.matrix.sessions_list": DEVICES_LIST,
    "org.matrix.session_view": DEVICE_VIEW,
    "org.matrix.session_end": DEVICE_DELETE,
    "sessions_list": DEVICES_LIST,
    "session_view": DEVICE_VIEW,
    "session_end": DEVICE_DELETE,
    "profile": PROFILE,
}
# What somebody must not be able to do who finds a browser open.
DANGEROUS: Final = frozenset({DEACTIVATE, CROSS_SIGNING_RESET, PASSWORD})


@dataclass(frozen=True, slots=True)
class ShownDevice:
    """A device and the application that is signed in on it, where that is known."""

    device: Device
    application: str | None


@dataclass(frozen=True, slots=True)
class AccountPages:
    """Each verb is for whoever is signed in in the browser, and raises Forbidden where nobody is (lately enough)."""

    database: Database
    browsers: BrowserSessions
    accounts: Accounts
    profiles: Profiles
    devices: Devices
    grants: OAuthGrantRows
    resets: CrossSigningResets
    audit: AuditLog

    async def begin(self, browser: Browser, action: str, device_id: str) -> Pending:
        """The browser came for this action; an unknown one is the overview."""
        action = OLD_NAMES.get(action, action)
        memory = {
            "action": action if action in (*ACTIONS, *OWN_ACTIONS) else OVERVIEW,
            "device_id": device_id if is_storable(device_id, MAX_DEVICE_ID_CHARACTERS) else "",
        }
        return await self.browsers.begin(browser, KIND, memory, fresh=action in DANGEROUS)

    async def display_name(self, browser: Browser) -> str:
        """As others see it; empty where there is none."""
        profile = await self.profiles.get(browser.require_user())
        return str(profile.get("displayname", ""))

    async def set_display_name(self, browser: Browser, name: str) -> None:
        """Raises InvalidParam."""
        requester = on_behalf_of(browser.require_user())
        await self.profiles.set_field(requester, requester.user_id, "displayname", {"displayname": name})

    async def list_devices(self, browser: Browser) -> list[ShownDevice]:
        """Those seen last come first."""
        user_id = browser.require_user()
        clients = await self.grants.clients_of_user(self.database, user_id)
        devices = await self.devices.of_user(user_id)
        return [
            ShownDevice(
                each, parse_client_metadata(clients[each.device_id]).name if each.device_id in clients else None
            )
            for each in sorted(devices, key=lambda each: each.last_seen_ms or 0, reverse=True)
        ]

    async def sign_out_device(self, browser: Browser, device_id: str, address: str) -> None:
        """Its session ends, and what it could decrypt is lost with it. Raises NotFound."""
        user_id = browser.require_user()
        await self.devices.get(user_id, device_id)
        await self.audit.record_as(
            self.database, user_id, "device.delete", user_id, {"device": device_id}, address=address
        )
        await self.devices.delete(user_id, [device_id])

    async def sign_out_all_devices(self, browser: Browser, address: str) -> None:
        """All sessions end."""
        user_id = browser.require_user()
        await self.audit.record_as(self.database, user_id, "device.delete_all", user_id, address=address)
        await self.devices.delete_all(user_id)

    async def has_password(self, browser: Browser) -> bool:
        """Whether there is one that could be changed: people of a directory or a provider have none here."""
        user = await self.accounts.users.get(self.database, browser.require_user())
        return user is not None and user.password_hash is not None

    async def change_password(
        self, browser: Browser, pending: Pending, new_password: str, address: str, *, logout_devices: bool
    ) -> None:
        """All browsers are signed out afterwards, this one too. Raises WeakPassword, InvalidParam, Forbidden."""
        user_id = _fresh(browser, pending, PASSWORD)
        if not await self.has_password(browser):
            raise errors.Forbidden("Your password is not kept here")
        await self.accounts.check_new_password(new_password, user_id)
        await self.browsers.finish(self.database, pending)
        await self.audit.record_as(self.database, user_id, "account.change_password", user_id, address=address)
        await self.accounts.set_password(user_id, new_password, logout_devices=logout_devices)

    async def deactivate(self, browser: Browser, pending: Pending, address: str, *, erase: bool) -> None:
        """The account ends."""
        user_id = _fresh(browser, pending, DEACTIVATE)
        async with self.database.transaction() as tx:
            await self.browsers.finish(tx, pending)
            await self.audit.record_as(tx, user_id, "account.deactivate", user_id, {"erase": erase}, address=address)
        await self.accounts.deactivate(user_id, erase=erase)

    async def allow_reset(self, browser: Browser, pending: Pending, address: str) -> None:
        """New cross-signing keys may be uploaded, once, within ten minutes."""
        _fresh(browser, pending, CROSS_SIGNING_RESET)
        await self.browsers.finish(self.database, pending)
        await self.resets.allow(browser, address)


def _fresh(browser: Browser, pending: Pending, action: str) -> str:
    if not pending.is_satisfied_by(browser) or pending.memory["action"] != action:
        raise errors.Forbidden("Sign in again first")
    return browser.require_user()
