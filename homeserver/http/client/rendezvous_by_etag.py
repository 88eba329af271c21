"""Meetings of devices, as plain text with entity tags (MSC4108 as of 2024, which is what clients use)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

from homeserver.http.client.rendezvous import check_is_program
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Json, Raw, Response
from homeserver.protocol.errors import InvalidParam, MatrixError, MissingParam
from homeserver.services.rate_limits import network_of
from homeserver.services.rendezvous.meetings import MAX_BYTES, Meeting, Meetings, WrittenMeanwhile

PATH = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"
TEXT: Final = "text/plain"
# Whatever somebody wrote there does nothing in a browser.
HARMLESS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


@dataclass(frozen=True, slots=True)
class RendezvousByEtagEndpoints:
    """Nobody is signed in here: who knows the address is one of the two."""

    meetings: Meetings
    public_baseurl: str

    @endpoint("POST", PATH, auth=Auth.NONE, body=bytes, limit="rendezvous_begin", max_body_bytes=MAX_BYTES)
    async def begin(self, request: Request[bytes]) -> Response:
        _check_text(request)
        meeting = self.meetings.begin(request.body, network_of(request.remote_address))
        url = f"{self.public_baseurl.rstrip('/')}{PATH}/{meeting.id}"
        return Json(201, {"url": url}, _headers(meeting))

    @endpoint("GET", f"{PATH}/{{meeting_id}}", auth=Auth.NONE, limit="rendezvous")
    async def read(self, request: Request[None]) -> Response:
        check_is_program(request.headers)
        meeting = self.meetings.get(request.path["meeting_id"])
        if _etag(meeting) in _listed(request.headers.get("If-None-Match")):
            return Raw(b"", TEXT, 304, _headers(meeting))
        return Raw(meeting.body, TEXT, 200, _headers(meeting))

    @endpoint(
        "PUT", f"{PATH}/{{meeting_id}}", auth=Auth.NONE, body=bytes, limit="rendezvous", max_body_bytes=MAX_BYTES
    )  # fmt: skip
    async def change(self, request: Request[bytes]) -> Response:
        _check_text(request)
        tags = _listed(request.headers.get("If-Match"))
        meeting = self.meetings.get(request.path["meeting_id"])
        if not tags:
            raise MissingParam("The header If-Match is missing")
        try:
            tag = meeting.tag if _etag(meeting) in tags else ""
            self.meetings.replace(meeting.id, tag, request.body)
        except WrittenMeanwhile as error:
            refused = MatrixError("M_UNKNOWN", 412, error.message, {"org.matrix.msc4108.errcode": error.errcode})
            return Json(refused.status, refused.body, _headers(meeting))
        return Raw(b"", TEXT, 202, _headers(meeting))

    @endpoint("DELETE", f"{PATH}/{{meeting_id}}", auth=Auth.NONE, limit="rendezvous")
    async def end(self, request: Request[None]) -> Response:
        self.meetings.end(request.path["meeting_id"])
        return Raw(b"", TEXT, 204, HARMLESS)


def _check_text(request: Request[Any]) -> None:
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != TEXT:
        raise InvalidParam(f"The content type must be {TEXT}")


def _etag(meeting: Meeting) -> str:
    return f'"{meeting.tag}"'


def _listed(header: str | None) -> set[str]:
    """The tags of If-Match or If-None-Match. `*` means nothing here: it would undo what the tags are for."""
    return {tag.strip().removeprefix("W/") for tag in (header or "").split(",") if tag.strip()}


def _headers(meeting: Meeting) -> dict[str, str]:
    return {
        **HARMLESS,
        "ETag": _etag(meeting),
        "Expires": formatdate(meeting.ends_ms / 1000, usegmt=True),
        "Last-Modified": formatdate(meeting.changed_ms / 1000, usegmt=True),
    }
