"""Tokens for the SFU: the one verb behind all endpoints of all generations.

A token is for somebody who is joined to the room and whose power level lets him into its calls, at this moment; whoever
loses that is put out by `revocation.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from homeserver.protocol.errors import Forbidden, InvalidParam, NotFound, Unavailable
from homeserver.protocol.identifiers import is_room_id, server_name_of
from homeserver.services.calls.channel_options import options_of
from homeserver.services.calls.identities import MAX_SEATS_OF_USER
from homeserver.services.calls.permissions import rights_in_call
from homeserver.services.text_limits import check_text
from homeserver.services.visibility import NOT_IN_ROOM
from homeserver.storage.voice_identities import VoiceIdentity
from voice import tokens
from voice.sfu.backend import Grant, RoomOptions, SfuBackend, SfuUnavailable

if TYPE_CHECKING:
    from homeserver.services.calls.identities import VoiceIdentities
    from homeserver.services.calls.permissions import Rights
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.room_cache import RoomCache

MAX_SLOT_CHARACTERS: Final = 255
MAX_MEMBER_CHARACTERS: Final = 255
MAX_CALL_DEVICE_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True)
class CallMember:
    """Who asks for which call, and under which name he will be there."""

    user_id: str
    room_id: str
    slot_id: str
    identity: str
    device_id: str | None
    member_id: str | None

    @property
    def sfu_room(self) -> str:
        """Where he will be."""
        return tokens.sfu_room(self.room_id, self.slot_id)


def by_device(user_id: str, room_id: str, device_id: str) -> CallMember:
    """The generation of state events (`/sfu/get`). Raises InvalidParam."""
    _check(device_id, "device_id", MAX_CALL_DEVICE_CHARACTERS)
    identity = tokens.plain_identity(user_id, device_id)
    return CallMember(user_id, room_id, tokens.ROOM_SLOT, identity, device_id, None)


def by_device_and_member(user_id: str, room_id: str, slot_id: str, device_id: str, member_id: str) -> CallMember:
    """The generation of sticky events and a token service (`/get_token`). Raises InvalidParam."""
    _check(slot_id, "slot_id", MAX_SLOT_CHARACTERS)
    _check(device_id, "claimed_device_id", MAX_CALL_DEVICE_CHARACTERS)
    _check(member_id, "member id", MAX_MEMBER_CHARACTERS)
    identity = tokens.device_identity(user_id, device_id, member_id)
    return CallMember(user_id, room_id, slot_id, identity, device_id, member_id)


def by_member(user_id: str, room_id: str, slot_id: str, device_id: str | None, member_id: str) -> CallMember:
    """MSC4195 of September 2026, where the homeserver itself is asked. Raises InvalidParam."""
    _check(slot_id, "slot_id", MAX_SLOT_CHARACTERS)
    _check(member_id, "member_id", MAX_MEMBER_CHARACTERS)
    return CallMember(user_id, room_id, slot_id, tokens.member_identity(user_id, member_id), device_id, member_id)


@dataclass(frozen=True, slots=True)
class CallToken:
    """How to get in. `url` is the WebSocket's, without `/rtc`."""

    url: str
    jwt: str


class Standing(Protocol):
    """Who is locked or suspended: services/standing/standings.py."""

    def is_restricted(self, user_id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class CallTokens:
    """`issue` is the only way to a token."""

    server_name: str
    backend: SfuBackend
    cache: RoomCache
    identities: VoiceIdentities
    standing: Standing
    defaults: RoomOptions
    """What rooms have that say nothing themselves."""

    async def issue(self, member: CallMember) -> CallToken:
        """A token for this call, and the SFU's room where there is none. Raises Forbidden, LimitExceeded, Unavailable."""
        room = await self._room(member.room_id)
        self.rights(room, member.user_id, member.slot_id)
        self._check_begun(member)
        self._check_seats(member)
        try:
            url = await self._open(room, member)
        except SfuUnavailable as error:
            raise Unavailable("Calls do not work at the moment; try again") from error
        known = await self.identities.remember(identity_of(member))
        # From here on nothing is awaited: who lost his rights meanwhile is refused, who loses them later is found.
        room = self.cache.peek(member.room_id) or await self._room(member.room_id)
        grant = self.grant(known, self.rights(room, member.user_id, member.slot_id))
        jwt = self._mint(grant)
        self.identities.note_grant(known.key, grant)
        return CallToken(url, jwt)

    def rights(self, room: LiveRoom, user_id: str, slot_id: str) -> Rights:
        """What he may do in this call now. Raises Forbidden where he may not even come in."""
        if self.standing.is_restricted(user_id):
            raise Forbidden("This account is locked or suspended")
        return rights_in_call(room, user_id, slot_id)

    async def check_joined(self, user_id: str, room_id: str) -> None:
        """Raises Forbidden for who is not in the room, and where there is no such room."""
        if user_id not in (await self._room(room_id)).joined:
            raise Forbidden(NOT_IN_ROOM)

    async def shares(self, server_name: str, room_id: str) -> bool:
        """Whether somebody of that server is in the room."""
        try:
            room = await self._room(room_id)
        except Forbidden:
            return False
        return any(server_name_of(user_id) == server_name for user_id in room.joined)

    def is_local(self, user_id: str) -> bool:
        """Whether he is one of ours: only those open calls."""
        return server_name_of(user_id) == self.server_name

    def grant(self, known: VoiceIdentity, rights: Rights) -> Grant:
        """What the SFU is told that he may do.

        MSC4195: `canPublish` is "true if the token was requested by a local user". The generation before it, which
        knows no member ids, has one SFU for a call, that of its oldest membership: there everybody publishes.
        """
        publishes = known.member_id is None or self.is_local(known.user_id)
        sources = rights.sources if publishes else ()
        return Grant(
            room=known.sfu_room,
            identity=known.identity,
            can_publish=bool(sources),
            sources=sources,
            can_publish_data=publishes,
            priority_speaker=publishes and rights.priority,
        )

    async def _room(self, room_id: str) -> LiveRoom:
        """Raises Forbidden also where there is no such room: who is not in a room learns nothing of it."""
        if not is_room_id(room_id):
            raise Forbidden(NOT_IN_ROOM)
        try:
            return await self.cache.get(room_id)
        except NotFound as error:
            raise Forbidden(NOT_IN_ROOM) from error

    def _check_begun(self, member: CallMember) -> None:
        """Users of other servers join calls that one of ours has opened, and open none."""
        if self.is_local(member.user_id):
            return
        others = (each for each in self.identities.of_room(member.room_id) if each.sfu_room == member.sfu_room)
        if not any(self.is_local(each.user_id) for each in others):
            raise Forbidden("Nobody of this server has joined that call")

    def _check_seats(self, member: CallMember) -> None:
        if self.identities.others_of((member.sfu_room, member.identity), member.user_id) >= MAX_SEATS_OF_USER:
            raise Forbidden(f"You are in this call with {MAX_SEATS_OF_USER} devices already")

    async def _open(self, room: LiveRoom, member: CallMember) -> str:
        options = options_of(room, self.defaults)
        url = await self.backend.ensure_room(member.sfu_room, options)
        there = await self.backend.participants(member.sfu_room)
        full = len(there) >= options.max_participants
        if full and all(each.identity != member.identity for each in there):
            raise Forbidden(f"This call is full: it has {options.max_participants} places")
        return url

    def _mint(self, grant: Grant) -> str:
        try:
            return self.backend.mint_token(grant)
        except SfuUnavailable as error:
            raise Unavailable("Calls do not work at the moment; try again") from error


def identity_of(member: CallMember) -> VoiceIdentity:
    """The record of him."""
    return VoiceIdentity(
        member.sfu_room,
        member.identity,
        member.room_id,
        member.slot_id,
        member.user_id,
        member.device_id,
        member.member_id,
    )


def _check(text: str, name: str, maximum: int) -> None:
    if not text:
        raise InvalidParam(f"{name} is empty")
    check_text(text, name, maximum)
