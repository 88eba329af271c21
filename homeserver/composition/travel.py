"""Our users in rooms of other servers, and users of other servers invited into ours: the asking side."""

from __future__ import annotations

from dataclasses import dataclass

from homeserver.composition.federation import FederationServices
from homeserver.composition.foreign_events import ForeignServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.intake import IntakeServices
from homeserver.composition.kernel import Kernel
from homeserver.federation.travel.alias_query import AskForAlias
from homeserver.federation.travel.handshake import Handshake
from homeserver.federation.travel.inviting import Inviting
from homeserver.federation.travel.joining import Joining
from homeserver.federation.travel.knocking import Knocking
from homeserver.federation.travel.leaving import Leaving
from homeserver.federation.travel.own_invitations import InviteElsewhere
from homeserver.federation.travel.remote_rooms import FederatedRooms
from homeserver.federation.travel.room_state import CheckRoomState
from homeserver.federation.travel.withdrawal import Withdraw
from homeserver.protocol.signing import SigningKey
from homeserver.services.directory.remote import NoRemoteAliases, RemoteAliases
from homeserver.services.membership.remote import NoRemoteRooms, RemoteRooms
from homeserver.services.membership.whereabouts import Whereabouts
from homeserver.storage.stripped_states import StrippedStates


@dataclass(frozen=True, slots=True)
class TravelServices:
    """What memberships and the directory ask. Where federation is switched off, there is nothing elsewhere."""

    federates: bool
    whereabouts: Whereabouts
    rooms: RemoteRooms
    aliases: RemoteAliases


def build_travel(
    base: Foundation,
    federation: FederationServices,
    kernel: Kernel,
    foreign: ForeignServices,
    intake: IntakeServices,
    signing_key: SigningKey,
) -> TravelServices:
    """After intake, before memberships."""
    whereabouts = Whereabouts(base.cache, base.awake, base.server_name, base.database, base.rooms, StrippedStates())
    client, keyring, parts = federation.client, federation.keyring, intake.parts
    if client is None or keyring is None or parts is None:
        return TravelServices(False, whereabouts, NoRemoteRooms(), NoRemoteAliases())
    handshake = Handshake(client, base.clock, base.server_name, signing_key)
    rooms = FederatedRooms(
        whereabouts=whereabouts,
        joining=Joining(client, handshake, CheckRoomState(parts.checks)),
        leaving=Leaving(client, handshake),
        knocking=Knocking(client, handshake),
        inviting=InviteElsewhere(
            base.cache, kernel.appender, Inviting(client, keyring), foreign.receive, foreign.pdus
        ),
        withdraw=Withdraw(base.database, base.events, base.awake, base.clock, base.server_name, signing_key),
        adopt=foreign.adopt,
        incoming=parts.incoming,
        outside=kernel.outside,
        arrivals=parts.rooms.arrivals,
        is_left_alone=lambda name: client.pauses.retry_at_ms(name) > base.clock.now_ms(),
    )  # fmt: skip
    aliases = AskForAlias(client, base.clock)
    base.life.on_stop(rooms.stop)
    base.life.on_stop(aliases.stop)
    base.life.reports_memory("handshakes", rooms.memory_usage)
    base.life.reports_memory("remote_aliases", aliases.memory_usage)
    return TravelServices(True, whereabouts, rooms, aliases)
