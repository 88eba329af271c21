"""GET /capabilities: what this account may do on this server. Client-server API, "Capabilities negotiation"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response


@dataclass(frozen=True, slots=True)
class CapabilityEndpoints:
    """`room_versions` are all versions that rooms can be made with, each with whether it is in the spec."""

    default_room_version: str
    room_versions: Mapping[str, bool]
    password_changes: bool = True
    profile_changes: bool = True
    third_party_ids: bool = False
    login_tokens: bool = False
    account_moderation: bool = False

    @endpoint("GET", "/_matrix/client/v3/capabilities", guests=True)
    async def capabilities(self, request: Request[None]) -> Response:
        """Each capability with whether it is enabled; `m.account_moderation` only for those who have it."""
        found = {
            "m.room_versions": {
                "default": self.default_room_version,
                "available": {name: "stable" if stable else "unstable" for name, stable in self.room_versions.items()},
            },
            "m.change_password": {"enabled": self.password_changes and not request.requester.is_guest},
            "m.profile_fields": {"enabled": self.profile_changes},
            "m.set_displayname": {"enabled": self.profile_changes},
            "m.set_avatar_url": {"enabled": self.profile_changes},
            "m.3pid_changes": {"enabled": self.third_party_ids},
            "m.get_login_token": {"enabled": self.login_tokens},
            "m.forget_forced_upon_leave": {"enabled": False},
            "org.matrix.msc4155.invite_permission_config_enforced": {"enabled": True},
        }
        if self.account_moderation and request.requester.is_admin:
            powers = {"lock": True, "suspend": True}
            found |= {"m.account_moderation": powers, "uk.timedout.msc4323": powers}
        return {"capabilities": found}
