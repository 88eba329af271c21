"""How users of other servers come into our rooms, and how ours are invited into theirs."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.federation import FederationServices
from homeserver.composition.foreign_events import ForeignServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.intake import IntakeServices
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.rooms import RoomServices
from homeserver.composition.travel import TravelServices
from homeserver.federation.doors.forwarding import Forwarding
from homeserver.federation.doors.invitations import InvitedUsers, ReceiveInvitation
from homeserver.federation.doors.join_answers import JoinAnswers
from homeserver.federation.doors.knock_answers import KnockAnswers
from homeserver.federation.doors.residence import ResidentRooms
from homeserver.federation.doors.submissions import Submissions
from homeserver.federation.doors.templates import MembershipTemplates
from homeserver.federation.doors.third_party import BoundInvites, ExchangeInvites
from homeserver.federation.doors.vouching import Vouching
from homeserver.federation.serving.pdus import StoredPdus
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.http.federation.invites import FederatedInviteEndpoints
from homeserver.http.federation.joins import FederatedJoinEndpoints
from homeserver.http.federation.knocks import FederatedKnockEndpoints
from homeserver.http.federation.leaves import FederatedLeaveEndpoints
from homeserver.http.federation.third_party_invites import ThirdPartyInviteEndpoints
from homeserver.protocol.signing import SigningKey
from homeserver.services.identity_servers.keys import CheckKeys
from homeserver.services.rate_limits import AnyRateLimiter
from homeserver.storage.restricted_joins import RestrictedJoinRows
from homeserver.storage.users import Users


@dataclass(frozen=True, slots=True)
class DoorServices:
    """`forwarding`: who distributes events to other servers registers there. Nothing where federation is switched off."""

    forwarding: Forwarding = field(default_factory=Forwarding)
    endpoints: list[Endpoint] = field(default_factory=list)


def build_doors(
    base: Foundation,
    federation: FederationServices,
    readers: ReaderServices,
    kernel: Kernel,
    foreign: ForeignServices,
    intake: IntakeServices,
    travel: TravelServices,
    rooms: RoomServices,
    signing_key: SigningKey,
    limits: AnyRateLimiter,
    check_keys: CheckKeys,
) -> DoorServices:
    """After intake and memberships."""
    parts, acl = intake.parts, intake.acl
    if federation.client is None or parts is None:
        return DoorServices()
    name, forwarding = base.server_name, Forwarding()
    residence = ResidentRooms(base.cache, acl)
    vouching = Vouching(base.database, RestrictedJoinRows())
    templates = MembershipTemplates(residence, vouching, base.clock, name)
    submissions = Submissions(
        name, signing_key, residence, parts.checks, vouching, parts.incoming, foreign.standings, forwarding
    )  # fmt: skip
    pdus = StoredPdus(base.database, base.events)
    invited = InvitedUsers(name, base.database, Users(), readers.invite_filters, limits)
    receive = ReceiveInvitation(
        name, signing_key, residence, acl, invited, parts.checks, kernel.outside, rooms.memberships.blocked
    )
    bound = BoundInvites(
        name,
        residence,
        invited,
        rooms.memberships.change,
        federation.client,
        rooms.memberships.blocked,
        check_keys,
        forwarding,
    )
    rooms.memberships.proven.claims.append(bound.claim)
    endpoints = endpoints_of(
        FederatedJoinEndpoints(templates, JoinAnswers(name, submissions, foreign.states, foreign.auth_chains, pdus)),
        FederatedLeaveEndpoints(templates, submissions),
        FederatedKnockEndpoints(templates, KnockAnswers(submissions, pdus)),
        FederatedInviteEndpoints(receive),
        ThirdPartyInviteEndpoints(ExchangeInvites(name, residence, travel.rooms, check_keys), bound),
    )
    return DoorServices(forwarding, list(endpoints))
