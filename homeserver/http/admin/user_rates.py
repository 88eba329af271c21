"""A user's own rate of sending, in the form that Synapse's tools know (its documentation: "Override ratelimiting for users")."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.administration.user_rates import UserRates
from homeserver.services.rate_limits import Rate

PATH = "/_synapse/admin/v1/users/{user_id}/override_ratelimit"


class RateBody(msgspec.Struct):
    messages_per_second: int = 0
    burst_count: int = 0


@dataclass(frozen=True, slots=True)
class UserRateEndpoints:
    """All for administrators."""

    rates: UserRates

    @endpoint("GET", PATH, auth=Auth.ADMIN)
    async def get(self, request: Request[None]) -> Response:
        is_given, rate = await self.rates.get(request.path["user_id"])
        return _shown(rate) if is_given else {}

    @endpoint("POST", PATH, auth=Auth.ADMIN, body=RateBody, limit="administration")
    async def put(self, request: Request[RateBody]) -> Response:
        user_id, body = request.path["user_id"], request.body
        await self.rates.put(request.requester, user_id, body.messages_per_second, body.burst_count)
        return {"messages_per_second": body.messages_per_second, "burst_count": body.burst_count}

    @endpoint("DELETE", PATH, auth=Auth.ADMIN, limit="administration")
    async def delete(self, request: Request[None]) -> Response:
        await self.rates.delete(request.requester, request.path["user_id"])
        return {}


def _shown(rate: Rate | None) -> dict[str, int]:
    if rate is None:
        return {"messages_per_second": 0, "burst_count": 0}
    return {"messages_per_second": round(1000 / rate.interval_ms), "burst_count": rate.burst}
