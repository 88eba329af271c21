"""Identity servers that clients name: bindings, look-ups, invitations by address."""

from __future__ import annotations

from dataclasses import dataclass

from config.settings import Settings
from homeserver.composition.foundation import Foundation
from homeserver.federation.addresses import AddressGuard
from homeserver.federation.connections import Connections
from homeserver.federation.dns import Dns, SystemDns
from homeserver.federation.identity_client import IdentityClient
from homeserver.protocol.signing import SigningKey
from homeserver.services.identity_servers.bindings import Bindings
from homeserver.services.identity_servers.invite import InviteByAddress
from homeserver.services.identity_servers.keys import CheckKeys
from homeserver.services.identity_servers.lookup import LookUp
from homeserver.services.membership.invite import InviteUser
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.set_state import SetState
from homeserver.storage.threepids import BindingRows
from homeserver.storage.users import Users


@dataclass(frozen=True, slots=True)
class IdentityServers:
    """What accounts, rooms and doors need."""

    client: IdentityClient
    bindings: Bindings
    check_keys: CheckKeys

    def invite_by_address(self, cache: RoomCache, invite: InviteUser, set_state: SetState) -> InviteByAddress:
        """The verb of POST /invite with an address."""
        return InviteByAddress(cache, self.client, LookUp(self.client), invite, set_state)


def build_identity_servers(
    base: Foundation, settings: Settings, signing_key: SigningKey, dns: Dns | None
) -> IdentityServers:
    """Nobody is asked anything before a client names somebody."""
    outgoing = settings.outgoing_http
    connections = Connections(
        dns or SystemDns(), AddressGuard(outgoing.ip_denylist), verify_tls=outgoing.verify_tls
    )  # fmt: skip
    allowed = frozenset(each.lower() for each in settings.identity_servers.allow)
    client = IdentityClient(base.server_name, signing_key, connections, allowed)
    bindings = Bindings(base.database, BindingRows(), Users(), client, base.clock)
    base.life.on_stop(connections.close)
    return IdentityServers(client, bindings, CheckKeys(client))
