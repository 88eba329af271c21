"""`doctor federation`: this server as other servers see it."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from homeserver.commands.signing_key import read_signing_key, signing_key_path

if TYPE_CHECKING:
    from config.settings import Settings
    from homeserver.federation.checkup.finding import Finding
    from homeserver.federation.dns import Dns
    from homeserver.protocol.signing import SigningKey


async def report_federation(settings: Settings, arguments: Namespace) -> int:
    """Status 1 when something is wrong. Raises CommandError without a key."""
    if not settings.federation.enabled:
        print("note  Federation is switched off (federation.enabled): other servers are not let in, and not asked.")
        return 0
    key = read_signing_key(arguments.key_file or signing_key_path(settings))
    status = 0
    async for finding in examine_federation(settings, arguments.server_name or settings.server_name, key):
        print(f"{'ok   ' if finding.well else 'WRONG'} {finding.sentence}", flush=True)
        status = status if finding.well else 1
    print("\nOther servers reach this one." if status == 0 else "\nOther servers do not reach this one as they should.")
    print("Looked at from here: whether they come through a firewall only shows from outside.")
    return status


async def examine_federation(
    settings: Settings, server_name: str, key: SigningKey, dns: Dns | None = None
) -> AsyncIterator[Finding]:
    """With connections of its own, which may go anywhere: behind a router this server may be seen inside only."""
    from config.settings import PRIVATE_NETWORKS
    from homeserver.federation.addresses import AddressGuard
    from homeserver.federation.checkup.checkup import Checkup
    from homeserver.federation.checkup.finding import Finding
    from homeserver.federation.connections import Connections
    from homeserver.federation.dns import SystemDns
    from homeserver.federation.resolver import Resolver
    from homeserver.federation.well_known import WellKnown
    from homeserver.services.clock import SystemClock

    if not any("federation" in each.resources for each in settings.listeners):
        yield Finding(False, "No listener has the resource `federation`: add it to one of `listeners`.")
    clock, dns = SystemClock(), dns or SystemDns()
    connections = Connections(dns, AddressGuard(()), settings.federation.ca_file)
    well_known = WellKnown(connections.page, clock)
    resolver = Resolver(dns, well_known, clock, random.random)
    checkup = Checkup(
        server_name, key, dns, resolver, connections, PRIVATE_NETWORKS, clock.now_ms, clock.now_ms
    )  # fmt: skip
    try:
        async for finding in checkup.run():
            yield finding
    finally:
        await well_known.stop()
        await connections.close()
