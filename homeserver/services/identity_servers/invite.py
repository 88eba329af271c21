"""Invite somebody by an address: whoever has it at the identity server, or whoever proves it there later.

Source: client-server API, "Third-party invites"; identity service API, "Invitation storage".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from homeserver.protocol import errors
from homeserver.protocol.identifiers import is_server_name
from homeserver.protocol.third_party_ids import EMAIL, MAX_ADDRESS_CHARACTERS, canonical_address, canonical_email
from homeserver.services.identity_servers.asking import AskIdentityServer, IdentityReply, check_token, refusal
from homeserver.services.identity_servers.lookup import LookUp
from homeserver.services.identity_servers.room_words import room_words
from homeserver.services.membership.content import check_joined
from homeserver.services.membership.invite import InviteUser
from homeserver.services.requester import Requester
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.rooms.set_state import SetState
from homeserver.services.text_limits import is_storable

THIRD_PARTY_INVITE: Final = "m.room.third_party_invite"
MAX_MEDIUM_CHARACTERS: Final = 64
MAX_TOKEN_CHARACTERS: Final = 255
MAX_KEYS: Final = 10
MAX_INVITED_TO_NEW_ROOM: Final = 20
# The client waits for its room; one that has begun may take a while longer.
MAX_SECONDS_FOR_NEW_ROOM: Final = 60.0
MAX_KEY_CHARACTERS: Final = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Invitee:
    """Whom to invite, checked."""

    id_server: str
    id_access_token: str
    medium: str
    address: str


def check_invitee(id_server: str, id_access_token: str, medium: str, address: str) -> Invitee:
    """Raises InvalidParam."""
    if not is_server_name(id_server):
        raise errors.InvalidParam("'id_server' must be a host name, with or without a port")
    if not 0 < len(medium) <= MAX_MEDIUM_CHARACTERS or not medium.isascii() or not medium.isprintable():
        raise errors.InvalidParam("'medium' is none")
    if medium == EMAIL:
        address = canonical_email(address)
    elif not address or not is_storable(address, MAX_ADDRESS_CHARACTERS):
        raise errors.InvalidParam("'address' is empty, too long, or has characters that no address has")
    return Invitee(id_server, check_token(id_access_token), medium, canonical_address(medium, address))


@dataclass(frozen=True, slots=True)
class InviteByAddress:
    """One verb."""

    cache: RoomCache
    identity: AskIdentityServer
    look_up: LookUp
    invite: InviteUser
    set_state: SetState

    async def __call__(
        self, requester: Requester, room_id: str, invitee: Invitee, *, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Invite whoever has the address now, or leave an invitation for who proves to have it later.

        `extra`: content of the invitation of a known user. Raises NotFound, Forbidden, what `LookUp` and `InviteUser` raise.
        """
        room = await self.cache.get(room_id)
        # Nobody makes us ask around for a room that he may not invite to.
        check_may_invite(room, requester.user_id)
        user_id = await self.look_up(invitee.id_server, invitee.id_access_token, invitee.medium, invitee.address)
        if user_id is not None:
            await self.invite(requester, room_id, user_id, extra=extra or {})
            return
        token, content = await self._store(requester, room, invitee)
        await self.set_state(requester, room_id, THIRD_PARTY_INVITE, token, content)

    async def _store(self, requester: Requester, room: LiveRoom, invitee: Invitee) -> tuple[str, dict[str, Any]]:
        body = {
            "medium": invitee.medium,
            "address": invitee.address,
            "room_id": room.room_id,
            "sender": requester.user_id,
            **room_words(room, requester.user_id),
        }
        reply = await self.identity.ask(
            invitee.id_server, "POST", "/store-invite", body, token=invitee.id_access_token
        )  # fmt: skip
        if not reply.is_success:
            raise refusal(reply)
        return _stored(reply, invitee.id_server)


@dataclass(frozen=True, slots=True)
class InviteAddressesToNewRoom:
    """One verb, for createRoom."""

    invite: InviteByAddress

    async def __call__(
        self, requester: Requester, room_id: str, invitees: Sequence[Invitee], *, is_direct: bool
    ) -> None:
        """Invite them one after the other. The room is there: an identity server that fails makes nobody make it again; its
        people are not invited, which the room's state shows.
        """
        extra = {"is_direct": True} if is_direct else {}
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + MAX_SECONDS_FOR_NEW_ROOM
        for invitee in invitees:
            if now_s() >= until_s:
                log.info("some people could not be invited by address into the new room %s: it takes too long", room_id)
                return
            try:
                await self.invite(requester, room_id, invitee, extra=extra)
            except errors.MatrixError as error:
                log.info("somebody could not be invited by address into the new room %s: %s", room_id, error.errcode)


def check_may_invite(room: LiveRoom, user_id: str) -> None:
    """Raises Forbidden for who is not in the room, or has not the power to invite."""
    check_joined(room, user_id)
    levels = room.power_levels()
    if levels.of_user(user_id) < levels.invite:
        raise errors.Forbidden("You may not invite to this room")


def _stored(reply: IdentityReply, id_server: str) -> tuple[str, dict[str, Any]]:
    """The state key and the content of m.room.third_party_invite. Raises BadGateway."""
    token, name, keys = reply.body.get("token"), reply.body.get("display_name"), _keys(reply.body, id_server)
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARACTERS or not is_storable(token, 255):
        raise errors.BadGateway("The identity server gave no token")
    if not keys:
        raise errors.BadGateway("The identity server gave no keys")
    display_name = name[:MAX_TOKEN_CHARACTERS] if isinstance(name, str) else ""
    return token, {"display_name": display_name, **keys[0], "public_keys": keys}


def _keys(body: Mapping[str, Any], id_server: str) -> list[dict[str, str]]:
    """With the URLs at which they may be revoked; of older servers there is one key, and the URL is known."""
    listed = body.get("public_keys")
    if not isinstance(listed, list):
        url = f"https://{id_server}/_matrix/identity/v2/pubkey/isvalid"
        listed = [{"public_key": body.get("public_key"), "key_validity_url": url}]
    entries = [each for each in listed[:MAX_KEYS] if isinstance(each, dict)]
    found = [{name: _short(each.get(name)) for name in ("public_key", "key_validity_url")} for each in entries]
    return [each for each in found if all(each.values())]


def _short(text: Any) -> str:
    """The text; empty for anything else, and for one that is too long."""
    return text if isinstance(text, str) and is_storable(text, MAX_KEY_CHARACTERS) else ""
