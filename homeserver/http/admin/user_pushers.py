"""Where users want to be notified, in the form that Synapse's tools know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.accounts import AccountAdministration
from homeserver.services.push.pushers import Pushers
from homeserver.storage.pushers import Pusher


@dataclass(frozen=True, slots=True)
class UserPusherEndpoints:
    """For administrators."""

    accounts: AccountAdministration
    pushers: Pushers

    @endpoint("GET", "/_synapse/admin/v1/users/{user_id}/pushers", auth=Auth.ADMIN)
    async def of_user(self, request: Request[None]) -> Response:
        user = await self.accounts.get(request.path["user_id"])
        found = [_shown(pusher) for pusher in self.pushers.of_user(user.user_id)]
        return {"pushers": found, "total": len(found)}


def _shown(pusher: Pusher) -> dict[str, Any]:
    return {
        "app_display_name": pusher.app_display_name,
        "app_id": pusher.app_id,
        "data": pusher.data,
        "device_display_name": pusher.device_display_name,
        "device_id": pusher.device_id,
        "enabled": pusher.enabled,
        "kind": pusher.kind,
        "lang": pusher.lang,
        "profile_tag": pusher.profile_tag or "",
        "pushkey": pusher.pushkey,
    }
