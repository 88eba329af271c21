"""GET /versions: what of Matrix this server speaks. Client-server API, "Server administration".

The flags are a table with, for each, the endpoint it promises: a flag is shown only while that endpoint is served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from homeserver.http.endpoint import Auth, Endpoint, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response

NEWEST_MINOR_VERSION: Final = 19
VERSIONS: Final = ("r0.6.1", *(f"v1.{minor}" for minor in range(1, NEWEST_MINOR_VERSION + 1)))

_UNSTABLE = "/_matrix/client/unstable"
# Flag -> (what it says, the endpoint it promises). Clients look for these by name; ".stable" ones tell clients from
# before a feature was in the spec that they may use its stable form.
FEATURES: Final[Mapping[str, tuple[str, str]]] = {
    "org.matrix.e2e_cross_signing": (
        "cross-signing keys can be uploaded",
        "POST /_matrix/client/v3/keys/device_signing/upload",
    ),
    "org.matrix.msc2285.stable": ("private read receipts", "POST /_matrix/client/v3/rooms/{}/receipt/{}/{}"),
    "org.matrix.msc3771": ("receipts per thread", "POST /_matrix/client/v3/rooms/{}/receipt/{}/{}"),
    "org.matrix.msc3440.stable": ("threads", "GET /_matrix/client/v1/rooms/{}/threads"),
    "org.matrix.msc3856": ("the list of a room's threads", "GET /_matrix/client/v1/rooms/{}/threads"),
    "org.matrix.msc3874": ("filters by relation type", "GET /_matrix/client/v3/rooms/{}/messages"),
    "org.matrix.msc3912": ("redactions of what relates to an event", "PUT /_matrix/client/v3/rooms/{}/redact/{}/{}"),
    "org.matrix.msc3827.stable": (
        "filters by room type in the public directory",
        "POST /_matrix/client/v3/publicRooms",
    ),
    "org.matrix.msc3916.stable": ("authenticated media", "GET /_matrix/client/v1/media/download/{}/{}"),
    "org.matrix.msc3030.stable": ("an event by its time", "GET /_matrix/client/v1/rooms/{}/timestamp_to_event"),
    "org.matrix.msc2946.stable": ("the rooms of a space", "GET /_matrix/client/v1/rooms/{}/hierarchy"),
    "uk.tcpip.msc4133.stable": ("profiles with fields of one's own", "PUT /_matrix/client/v3/profile/{}/{}"),
    "fi.mau.msc2815": ("what redacted events said", "GET /_matrix/client/v3/rooms/{}/event/{}"),
    "org.matrix.msc3391": (
        "account data can be deleted",
        f"DELETE {_UNSTABLE}/org.matrix.msc3391/user/{{}}/account_data/{{}}",
    ),
    "org.matrix.msc3814": ("dehydrated devices", f"PUT {_UNSTABLE}/org.matrix.msc3814.v1/dehydrated_device"),
    "org.matrix.msc4140": ("delayed events", f"POST {_UNSTABLE}/org.matrix.msc4140/delayed_events/{{}}"),
    "org.matrix.msc4143": ("calls", f"GET {_UNSTABLE}/org.matrix.msc4143/rtc/transports"),
    "org.matrix.msc4354": ("sticky events", "PUT /_matrix/client/v3/rooms/{}/send/{}/{}"),
    "org.matrix.msc4486": ("the list of delayed events", f"GET {_UNSTABLE}/org.matrix.msc4486/delayed_events"),
    "org.matrix.msc4155": ("invitations can be filtered", "PUT /_matrix/client/v3/user/{}/account_data/{}"),
    "org.matrix.msc4380": ("invitations can be blocked", "PUT /_matrix/client/v3/user/{}/account_data/{}"),
    "org.matrix.msc4380.stable": ("the same", "PUT /_matrix/client/v3/user/{}/account_data/{}"),
    "org.matrix.msc4262": ("profiles in sliding sync", f"POST {_UNSTABLE}/org.matrix.simplified_msc3575/sync"),
    "org.matrix.msc4429": ("profiles in sync", "GET /_matrix/client/v3/sync"),
    "org.matrix.msc4108": ("devices meet for a sign-in", f"POST {_UNSTABLE}/org.matrix.msc4108/rendezvous"),
    "io.element.msc4388": ("the same in JSON", f"POST {_UNSTABLE}/io.element.msc4388/rendezvous"),
    "org.matrix.msc4194": (
        "what a user has said is redacted in one go",
        f"POST {_UNSTABLE}/org.matrix.msc4194/rooms/{{}}/redact/user/{{}}",
    ),
    "org.matrix.msc3026.busy_presence": ("people can be busy", "PUT /_matrix/client/v3/presence/{}/status"),
    "org.matrix.msc4151.stable": ("rooms can be reported", "POST /_matrix/client/v3/rooms/{}/report"),
    "org.matrix.msc4260.stable": ("users can be reported", "POST /_matrix/client/v3/users/{}/report"),
    "uk.timedout.msc4323": (
        "administrators can lock and suspend accounts",
        f"PUT {_UNSTABLE}/uk.timedout.msc4323/admin/lock/{{}}",
    ),
    "uk.timedout.msc4323.stable": ("the same", "PUT /_matrix/client/v1/admin/lock/{}"),
    "org.matrix.msc3266": ("a summary of a room", f"GET {_UNSTABLE}/im.nheko.summary/summary/{{}}"),
    "uk.half-shot.msc2666.query_mutual_rooms": (
        "rooms in common with somebody",
        f"GET {_UNSTABLE}/uk.half-shot.msc2666/user/mutual_rooms",
    ),
    "uk.half-shot.msc2666.query_mutual_rooms.stable": ("the same", "GET /_matrix/client/v1/mutual_rooms"),
    "org.matrix.msc3881": ("pushers that another device switches on and off", "POST /_matrix/client/v3/pushers/set"),
    "org.matrix.msc3890": (
        "what is silent on a device is forgotten with it",
        "PUT /_matrix/client/v3/user/{}/account_data/{}",
    ),
    "org.matrix.msc3930": ("push rules for polls", "GET /_matrix/client/v3/pushrules/global/{}/{}"),
    "org.matrix.msc4028": ("all encrypted events are pushed", "POST /_matrix/client/v3/pushers/set"),
    "org.matrix.msc4306": (
        "subscriptions to threads",
        f"PUT {_UNSTABLE}/io.element.msc4306/rooms/{{}}/thread/{{}}/subscription",
    ),
    "org.matrix.simplified_msc3575": (
        "simplified sliding sync",
        f"POST {_UNSTABLE}/org.matrix.simplified_msc3575/sync",
    ),
}


def unstable_features(endpoints: Iterable[Endpoint]) -> dict[str, bool]:
    """The flags that these endpoints make true. There are no false ones: a missing flag says the same."""
    served = {
        f"{declared.declaration.method} {_anonymous(path)}"
        for declared in endpoints
        for path in declared.declaration.paths
    }
    return {flag: True for flag, (_, promised) in FEATURES.items() if promised in served}


def forced_encryption(presets: Iterable[str]) -> dict[str, bool]:
    """Element's flags for presets whose rooms are encrypted by the server: `io.element.e2ee_forced.private` and so on."""
    return {f"io.element.e2ee_forced.{preset.removesuffix('_chat')}": True for preset in presets}


def _anonymous(path: str) -> str:
    return "/".join("{}" if segment.startswith("{") else segment for segment in path.split("/"))


@dataclass(frozen=True, slots=True)
class VersionEndpoints:
    """Build it last, with `unstable_features` of all other endpoints."""

    features: Mapping[str, bool]

    @endpoint("GET", "/_matrix/client/versions", auth=Auth.NONE)
    async def versions(self, request: Request[None]) -> Response:
        """The same for everybody, so a token is not even looked at."""
        return {"versions": list(VERSIONS), "unstable_features": dict(self.features)}
