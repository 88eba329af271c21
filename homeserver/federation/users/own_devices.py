"""Our users' devices, as other servers get them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol.errors import NotFound
from homeserver.protocol.identifiers import parse_user_id

if TYPE_CHECKING:
    from homeserver.storage.cross_signing import CrossSigningKeys
    from homeserver.storage.database import Queries
    from homeserver.storage.device_changes import DeviceChangeRows
    from homeserver.storage.device_keys import DeviceKeys


@dataclass(frozen=True, slots=True)
class OwnDeviceLists:
    """One verb."""

    queries: Queries
    device_keys: DeviceKeys
    cross_signing: CrossSigningKeys
    changes: DeviceChangeRows
    server_name: str

    async def __call__(self, user_id: str) -> dict[str, Any]:
        """`GET /user/devices`: devices that have keys, without the names people gave them. Raises NotFound.

        The number of the newest change is read first: what changes while the rest is read is told once more.
        """
        if parse_user_id(user_id).server_name != self.server_name:
            raise NotFound("That is no user of this server")
        stream_id = await self.changes.newest_of(self.queries, user_id)
        devices = (await self.device_keys.of_users(self.queries, [user_id])).get(user_id)
        if devices is None:
            raise NotFound("There is no such user")
        answer: dict[str, Any] = {
            "user_id": user_id,
            "stream_id": stream_id,
            "devices": [{"device_id": each.device_id, "keys": orjson.Fragment(each.keys)} for each in devices],
        }
        for key in await self.cross_signing.of_users(self.queries, [user_id]):
            if key.usage != "user_signing":
                answer[f"{key.usage}_key"] = orjson.Fragment(key.key)
        return answer
