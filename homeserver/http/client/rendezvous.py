"""Meetings of devices, in JSON (MSC4388)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Json, Response
from homeserver.protocol.errors import Forbidden, MatrixError
from homeserver.services.rate_limits import network_of
from homeserver.services.rendezvous.meetings import Meetings, WrittenMeanwhile

PATH = "/_matrix/client/unstable/io.element.msc4388/rendezvous"
MAX_BODY_BYTES = 32 * 1024
NO_STORE: Final[Mapping[str, str]] = {"Cache-Control": "no-store"}
# "Sec-Fetch-*": what a browser would show to a person. Somebody else's text at our address is for programs only.
SHOWN_TO_PEOPLE: Final = (("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-User", "?1"), ("Sec-Fetch-Site", "none"))


class NewBody(msgspec.Struct):
    data: str


class ChangeBody(msgspec.Struct):
    sequence_token: str
    data: str


@dataclass(frozen=True, slots=True)
class RendezvousEndpoints:
    """Nobody is signed in here: who knows the id is one of the two."""

    meetings: Meetings

    @endpoint("GET", PATH, auth=Auth.NONE, limit="rendezvous")
    async def available(self, request: Request[None]) -> Response:
        """Whether meetings may be begun."""
        return {"create_available": True}

    @endpoint("POST", PATH, auth=Auth.NONE, body=NewBody, limit="rendezvous_begin", max_body_bytes=MAX_BODY_BYTES)
    async def begin(self, request: Request[NewBody]) -> Response:
        meeting = self.meetings.begin(request.body.data.encode(), network_of(request.remote_address))
        left_ms = self._left_ms(meeting.ends_ms)
        return Json(200, {"id": meeting.id, "sequence_token": meeting.tag, "expires_in_ms": left_ms}, NO_STORE)

    @endpoint("GET", f"{PATH}/{{meeting_id}}", auth=Auth.NONE, limit="rendezvous")
    async def read(self, request: Request[None]) -> Response:
        check_is_program(request.headers)
        meeting = self.meetings.get(request.path["meeting_id"])
        data = meeting.body.decode("utf-8", "replace")
        left_ms = self._left_ms(meeting.ends_ms)
        return Json(200, {"data": data, "sequence_token": meeting.tag, "expires_in_ms": left_ms}, NO_STORE)

    @endpoint(
        "PUT", f"{PATH}/{{meeting_id}}", f"{PATH}/{{meeting_id}}/{{txn_id}}", auth=Auth.NONE, body=ChangeBody,
        limit="rendezvous", max_body_bytes=MAX_BODY_BYTES,
    )  # fmt: skip
    async def change(self, request: Request[ChangeBody]) -> Response:
        """Newer clients name a transaction, older ones do not."""
        path, body = request.path, request.body
        try:
            tag = self.meetings.replace(
                path["meeting_id"], body.sequence_token, body.data.encode(), path.get("txn_id")
            )  # fmt: skip
        except WrittenMeanwhile as error:
            raise MatrixError("IO_ELEMENT_MSC4388_CONCURRENT_WRITE", error.status, error.message) from None
        return {"sequence_token": tag}

    @endpoint("DELETE", f"{PATH}/{{meeting_id}}", auth=Auth.NONE, limit="rendezvous")
    async def end(self, request: Request[None]) -> Response:
        self.meetings.end(request.path["meeting_id"])
        return {}

    def _left_ms(self, ends_ms: int) -> int:
        return max(0, ends_ms - self.meetings.clock.now_ms())


def check_is_program(headers: Mapping[str, str]) -> None:
    """Raises Forbidden where a browser would show the answer to a person."""
    shown = any(headers.get(name) == value for name, value in SHOWN_TO_PEOPLE)
    if shown or headers.get("Sec-Fetch-Dest", "empty") != "empty":
        raise Forbidden("This is for programs, not to be looked at")
