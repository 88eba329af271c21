"""Accounts, sessions, devices, profiles, filters: who somebody is, and on which device."""

from __future__ import annotations

from dataclasses import dataclass, field

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.http.endpoint import Endpoint
from homeserver.services.devices import Devices
from homeserver.services.sessions.authenticator import Authenticator
from homeserver.services.sessions.last_seen import FLUSH_INTERVAL_MS, LastSeen
from homeserver.storage.devices import DeviceRows
from homeserver.storage.sessions import SessionTokens


@dataclass(frozen=True, slots=True)
class AccountServices:
    """What other groups need of accounts."""

    authenticator: Authenticator
    devices: Devices
    endpoints: list[Endpoint] = field(default_factory=list)


def build_accounts(base: Foundation, settings: Settings) -> AccountServices:
    """Hooks (`devices.hooks`, `accounts.on_deactivated`) are filled by the groups that have to know."""
    last_seen = LastSeen(base.database, DeviceRows(), base.clock)
    authenticator = Authenticator(base.database, SessionTokens(), last_seen, base.clock)
    devices = Devices(base.database, DeviceRows(), authenticator, last_seen)
    base.life.every(FLUSH_INTERVAL_MS, last_seen.flush, "flush-last-seen")
    base.life.on_stop(last_seen.flush)
    base.life.reports_memory("authenticator", authenticator.memory_usage)
    base.life.reports_memory("last_seen", last_seen.memory_usage)
    return AccountServices(authenticator, devices)
