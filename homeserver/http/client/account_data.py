"""Client-server API, "Client Config"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response
from homeserver.services.account_data.account_data import PUSH_RULES, AccountData, check_owner
from homeserver.services.push_rules.push_rules import PushRules
from homeserver.storage.account_data import EVERYWHERE

GLOBAL = "/_matrix/client/v3/user/{user_id}/account_data/{type}"
OF_ROOM = "/_matrix/client/v3/user/{user_id}/rooms/{room_id}/account_data/{type}"


# MSC3391. Not in the spec yet, so both ways; clients look for the flag of the second.
UNSTABLE = "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/account_data/{type}"
UNSTABLE_OF_ROOM = "/_matrix/client/unstable/org.matrix.msc3391/user/{user_id}/rooms/{room_id}/account_data/{type}"


@dataclass(frozen=True, slots=True)
class AccountDataEndpoints:
    """What clients keep for themselves."""

    account_data: AccountData
    push_rules: PushRules

    @endpoint("PUT", GLOBAL, OF_ROOM, guests=True, body=dict, limit="preferences")
    async def put(self, request: Request[dict[str, Any]]) -> Response:
        path = request.path
        await self.account_data.put(
            request.requester, path["user_id"], path.get("room_id", EVERYWHERE), path["type"], request.body
        )
        return {}

    @endpoint("DELETE", GLOBAL, OF_ROOM, UNSTABLE, UNSTABLE_OF_ROOM, guests=True, limit="preferences")
    async def delete(self, request: Request[None]) -> Response:
        path = request.path
        await self.account_data.delete(
            request.requester, path["user_id"], path.get("room_id", EVERYWHERE), path["type"]
        )  # fmt: skip
        return {}

    @endpoint("GET", GLOBAL, guests=True)
    async def get_global(self, request: Request[None]) -> Response:
        user_id, event_type = request.path["user_id"], request.path["type"]
        if event_type == PUSH_RULES:
            check_owner(request.requester, user_id)
            return Raw(orjson.dumps({"global": await self.push_rules.ruleset(user_id)}))
        return Raw(await self.account_data.get(request.requester, user_id, EVERYWHERE, event_type))

    @endpoint("GET", OF_ROOM, guests=True)
    async def get_of_room(self, request: Request[None]) -> Response:
        path = request.path
        return Raw(await self.account_data.get(request.requester, path["user_id"], path["room_id"], path["type"]))
