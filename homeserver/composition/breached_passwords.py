"""Lists of passwords that others have lost: those are not taken."""

from __future__ import annotations

from config.errors import ConfigError
from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.breached_ranges import GuardedRanges
from homeserver.federation.connections import Connections
from homeserver.federation.dns import Dns, SystemDns
from homeserver.services.accounts.breached import BreachedInFile, BreachedInRanges
from homeserver.services.accounts.passwords import PasswordPolicy


def build_breached_passwords(base: Foundation, settings: Settings, policy: PasswordPolicy, dns: Dns | None) -> None:
    """Nothing where the settings name no list. Raises ConfigError."""
    breached = settings.passwords.breached
    if breached.file is not None:
        in_file = BreachedInFile(breached.file)
        try:
            in_file.check_file()
        except (OSError, ValueError) as error:
            raise ConfigError(f"passwords.breached: {breached.file} cannot be used: {error}.") from None
        policy.breached.append(in_file)
    if breached.range_url is not None:
        guard = AddressGuard(settings.outgoing_http.ip_denylist)
        connections = Connections(dns or SystemDns(), guard, verify_tls=settings.outgoing_http.verify_tls)
        base.life.on_stop(connections.close)
        policy.breached.append(BreachedInRanges(GuardedRanges(connections, breached.range_url)))
