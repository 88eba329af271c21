"""Invitations by e-mail address: `exchange_third_party_invite`, which the server of the invited user asks, and
`3pid/onbind`, which an identity server calls.

Source: server-server API, "Third-party invites".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from homeserver.federation.client import Call, Limits, request_uri
from homeserver.federation.doors.forwarding import Forwarding
from homeserver.federation.doors.invitations import InvitedUsers
from homeserver.federation.doors.residence import ResidentRooms, check_user_of
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import Forbidden, InvalidParam, MatrixError
from homeserver.protocol.identifiers import is_room_id, is_server_name, is_user_id, server_name_of
from homeserver.protocol.signing import signature_key_ids
from homeserver.services.identity_servers.keys import CheckKeys
from homeserver.services.membership.change import ChangeMembership
from homeserver.services.membership.content import membership_of
from homeserver.services.rooms.blocked_rooms import BlockedRooms
from homeserver.services.rooms.live_room import LiveRoom

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient

EXCHANGE: Final = "/_matrix/federation/v1/exchange_third_party_invite"
EXCHANGE_LIMITS: Final = Limits(timeout_ms=30_000, max_bytes=64 * 1024)
MAX_INVITES: Final = 20
"""Of one address that are worked off. Nobody has to prove who he is to call onbind, and each may be a request of ours."""
MAX_TOKEN: Final = 255
MAX_NAME: Final = 255
MAX_SIGNATURES: Final = 10

log = logging.getLogger(__name__)


class IssueInvite(Protocol):
    """services/membership/remote.py: the invited user's server signs first, then the event goes into the room."""

    async def invite(self, room_id: str, draft: EventDraft) -> str: ...


@dataclass(frozen=True, slots=True)
class ThirdPartyInvite:
    """Who was invited by whom, and what the identity server has signed about it."""

    room_id: str
    sender: str
    target: str
    signed: dict[str, Any]
    display_name: str

    def content(self) -> dict[str, Any]:
        return {
            "membership": "invite",
            "third_party_invite": {"display_name": self.display_name, "signed": self.signed},
        }

    def draft(self) -> EventDraft:
        return EventDraft("m.room.member", self.sender, self.content(), state_key=self.target)


@dataclass(frozen=True, slots=True)
class ExchangeInvites:
    """One verb, for the server of the invited user."""

    server_name: str
    rooms: ResidentRooms
    issue: IssueInvite
    check_keys: CheckKeys

    async def __call__(self, origin: str, room_id: str, body: dict[str, Any]) -> None:
        """Issue the invitation. The auth rules check the signatures with the keys in the room (5.4.1).

        Raises Forbidden, NotFound, InvalidParam, and what the invited server answers.
        """
        invite = read_partial_event(body, room_id)
        check_user_of(origin, invite.target)
        room = await self.rooms.open_to(origin, room_id)
        if invite.sender not in room.joined_local:
            raise Forbidden("The sender is not a user of this server who is in the room")
        draft = draft_for(invite, room)
        if draft is not None:
            await check_keys_of(invite, room, self.check_keys)
            await self.issue.invite(room_id, draft)


@dataclass(frozen=True, slots=True)
class BoundInvites:
    """One verb, for identity servers: what was sent to an address is for one of our users now."""

    server_name: str
    rooms: ResidentRooms
    invited: InvitedUsers
    change: ChangeMembership
    client: FederationClient
    blocked: BlockedRooms
    check_keys: CheckKeys
    forwarding: Forwarding

    async def __call__(self, mxid: str, invites: Sequence[Any]) -> None:
        """Turn what is pending into invitations; one that fails harms no other.

        Raises as `InvitedUsers.check`; Forbidden where there are some and none came to anything, whatever the reason: who
        asks has proved nothing, and learns nothing of rooms.
        """
        await self.invited.check("", mxid, None)
        found = [invite for each in invites[:MAX_INVITES] if (invite := read_bound_invite(each, mxid)) is not None]
        results = await asyncio.gather(*(self._one(invite) for invite in found))
        if invites and not any(results):
            raise Forbidden("None of these invitations can be carried out")

    async def _one(self, invite: ThirdPartyInvite) -> bool:
        """Whether it came to something. What a user does not want is done with, and nobody's business."""
        try:
            if not await self.invited.refuses(invite.target, invite.sender):
                await self._exchange(invite)
        except MatrixError as error:
            log.info("an invitation by e-mail into %s came to nothing: %s", invite.room_id, error.errcode)
            return False
        return True

    async def claim(self, target: str, room_id: str, signed: dict[str, Any]) -> None:
        """A user of ours who joins shows himself what the identity server has signed (`third_party_signed`).

        Raises InvalidParam, Forbidden, NotFound.
        """
        sender = signed.get("sender")
        if not isinstance(sender, str) or not is_user_id(sender):
            raise InvalidParam("'third_party_signed' has no sender")
        await self._exchange(ThirdPartyInvite(room_id, sender, target, read_signed(signed, target), ""))

    async def _exchange(self, invite: ThirdPartyInvite) -> None:
        self.blocked.check(invite.room_id)
        room = await self.rooms.find(invite.room_id)
        if room is None:
            await self._ask_inviting_server(invite)
        elif draft_for(invite, room) is not None:
            await check_keys_of(invite, room, self.check_keys)
            # "If the invited homeserver is in the room the invite came from, it can auth the event and send it."
            event = await self.change.made(room.room_id, invite.target, lambda room, _: draft_for(invite, room))
            if event is not None and server_name_of(invite.sender) != self.server_name:
                self.forwarding(event)

    async def _ask_inviting_server(self, invite: ThirdPartyInvite) -> None:
        server_name = invite.sender.partition(":")[2]
        if server_name == self.server_name or not is_server_name(server_name):
            raise InvalidParam("There is no such room, or no such server")
        partial = {
            "type": "m.room.member",
            "room_id": invite.room_id,
            "sender": invite.sender,
            "state_key": invite.target,
            "content": invite.content(),
        }
        # Strangers make us ask: a failure is not held against the server.
        call = Call("PUT", request_uri(EXCHANGE, invite.room_id), partial, probe=True, limits=EXCHANGE_LIMITS)
        await self.client.call(server_name, call)


def draft_for(invite: ThirdPartyInvite, room: LiveRoom) -> EventDraft | None:
    """The invitation; None for those who are in the room or invited already.

    Auth rule 5.4.1 would let the invitation take a member's place: a replayed request would throw him out.
    """
    if membership_of(room, invite.target) in ("join", "invite"):
        return None
    return shown_name(invite, room).draft()


async def check_keys_of(invite: ThirdPartyInvite, room: LiveRoom, check_keys: CheckKeys) -> None:
    """Raises Forbidden where the room has no such invitation, or its keys were revoked; signatures are for the auth rules."""
    original = room.fetch_auth_event("m.room.third_party_invite", invite.signed["token"])
    if original is None:
        raise Forbidden("The room has no such invitation; it may have been withdrawn")
    await check_keys(original.content, invite.signed)


def shown_name(invite: ThirdPartyInvite, room: LiveRoom) -> ThirdPartyInvite:
    """With the name under which the room knows the invitation, rather than what the request says."""
    original = room.fetch_auth_event("m.room.third_party_invite", invite.signed["token"])
    name = original.content.get("display_name") if original is not None else None
    display_name = name[:MAX_NAME] if isinstance(name, str) else invite.display_name
    return ThirdPartyInvite(invite.room_id, invite.sender, invite.target, invite.signed, display_name)


def read_partial_event(body: dict[str, Any], room_id: str) -> ThirdPartyInvite:
    """The request of `exchange_third_party_invite`. Raises InvalidParam."""
    content = body.get("content")
    if body.get("type") != "m.room.member" or not isinstance(content, dict) or content.get("membership") != "invite":
        raise InvalidParam("The event is not an invitation")
    if body.get("room_id") != room_id:
        raise InvalidParam("The event is of another room than the path")
    sender, target, third_party = body.get("sender"), body.get("state_key"), content.get("third_party_invite")
    if not isinstance(sender, str) or not isinstance(target, str) or not isinstance(third_party, dict):
        raise InvalidParam("The event lacks sender, state_key or third_party_invite")
    signed, name = read_signed(third_party.get("signed"), target), third_party.get("display_name")
    return ThirdPartyInvite(room_id, sender, target, signed, name[:MAX_NAME] if isinstance(name, str) else "")


def read_bound_invite(entry: Any, mxid: str) -> ThirdPartyInvite | None:
    """An entry of `invites`; None for one that is not for this user, or not signed."""
    if not isinstance(entry, dict) or entry.get("mxid") != mxid:
        return None
    room_id, sender = entry.get("room_id"), entry.get("sender")
    if not isinstance(room_id, str) or not isinstance(sender, str) or not is_room_id(room_id) or not is_user_id(sender):
        return None
    try:
        signed = read_signed(entry.get("signed"), mxid)
    except InvalidParam:
        return None
    # The address is nobody's business but the identity server's.
    return ThirdPartyInvite(room_id, sender, mxid, signed, "")


def read_signed(signed: Any, target: str) -> dict[str, Any]:
    """What the identity server signed: user, token, signatures, and nothing else. Raises InvalidParam.

    Whether the signatures fit is known to whoever has the room: its `m.room.third_party_invite` has the keys.
    """
    if not isinstance(signed, dict) or set(signed) - {"mxid", "token", "signatures", "sender"}:
        raise InvalidParam("'signed' is not what an identity server signs")
    token, signatures = signed.get("token"), signed.get("signatures")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN or signed.get("mxid") != target:
        raise InvalidParam("'signed' has no token, or is for another user")
    if not isinstance(signatures, dict) or not 0 < len(signatures) <= MAX_SIGNATURES:
        raise InvalidParam("'signed' has no signatures, or too many")
    if not any(signature_key_ids(signed, name) for name in signatures):
        raise InvalidParam("'signed' has no signature of a known kind")
    return signed
