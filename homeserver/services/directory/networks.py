"""Rooms that application services list for third-party networks. Application service API, "Published room directories"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.protocol.errors import Forbidden, InvalidParam
from homeserver.services.clock import Clock
from homeserver.services.directory.facts import RoomFacts
from homeserver.services.directory.published import PublishedRooms
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.text_limits import check_text
from homeserver.storage.network_rooms import NetworkRoomRows

if TYPE_CHECKING:
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_NETWORK_ID_CHARACTERS = 255
MAX_INSTANCE_ID_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class NetworkRooms:
    """`listed`: the rooms of all networks, as the public directory has its own."""

    queries: Queries
    rows: NetworkRoomRows
    listed: PublishedRooms
    cache: RoomCache
    clock: Clock

    async def set_listed(self, requester: Requester, network_id: str, room_id: str, is_listed: bool) -> None:
        """List a room, or list it no longer. Raises Forbidden for people, NotFound, InvalidParam."""
        if requester.appservice_id is None:
            raise Forbidden("Only application services list rooms for networks")
        check_text(network_id, "networkId", MAX_NETWORK_ID_CHARACTERS)
        room = await self.cache.get(room_id)
        if is_listed:
            now_ms = self.clock.now_ms()
            await self.rows.put(self.queries, requester.appservice_id, network_id, room.room_id, now_ms)
            self.listed.add(room.room_id)
        else:
            # Another network may list it still: which rooms one lists is asked anew with each search.
            await self.rows.remove(self.queries, requester.appservice_id, network_id, room.room_id)

    async def of_instance(self, instance_id: str) -> Sequence[RoomFacts]:
        """Rooms of one network, in the order of the directory. `instance_id` as /thirdparty/protocols names it.

        Raises InvalidParam.
        """
        check_text(instance_id, "third_party_instance_id", MAX_INSTANCE_ID_CHARACTERS)
        appservice_id, bar, network_id = instance_id.partition("|")
        if not bar:
            raise InvalidParam("'third_party_instance_id' is not the id of a network of this server")
        rooms = await self.rows.of_network(self.queries, appservice_id, network_id)
        return [each for each in await self.listed.listed() if each.room_id in rooms] if rooms else []

    async def all(self) -> Sequence[RoomFacts]:
        """Rooms of all networks."""
        listed = {each.room_id for each in await self.rows.published(self.queries)}
        return [each for each in await self.listed.listed() if each.room_id in listed] if listed else []
