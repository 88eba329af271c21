"""The one place where an error becomes an answer.

MatrixError          -> its status with {"errcode", "error", ...data}
  LimitExceeded      -> and Retry-After, in whole seconds
  Unavailable        -> and Retry-After
  UserInteractive... -> its own body (401 with the flows)
TimeoutError         -> 504 M_UNKNOWN
damaged transfer     -> 400 M_NOT_JSON
anything else        -> 500 M_UNKNOWN with the request's id; the traceback is in the log under that id, nowhere else
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aiohttp.web import RequestPayloadError

from homeserver.http.responses import Json
from homeserver.protocol.errors import MatrixError

log = logging.getLogger(__name__)

UNAVAILABLE_RETRY_AFTER_S = 5


def answer_to(error: Exception, request_id: str) -> Json:
    """The JSON answer to an error a handler raised. Logs what the client must not see."""
    if isinstance(error, MatrixError):
        return Json(error.status, error.body, _headers_of(error))
    if isinstance(error, TimeoutError):
        log.warning("request %s took longer than its endpoint allows", request_id)
        return Json(504, error_body("M_UNKNOWN", "This took too long and was given up"))
    if isinstance(error, RequestPayloadError):
        return Json(400, error_body("M_NOT_JSON", "The body does not arrive as its headers promise"))
    log.error("request %s failed", request_id, exc_info=error)
    return Json(500, error_body("M_UNKNOWN", f"Internal error; the server's log has more under request {request_id}"))


def error_body(errcode: str, message: str) -> dict[str, Any]:
    """The standard error response of the client-server API."""
    return {"errcode": errcode, "error": message}


def _headers_of(error: MatrixError) -> Mapping[str, str]:
    """`Retry-After` rounds up: a client that comes back to the second must not be refused again."""
    retry_after_ms = error.data.get("retry_after_ms")
    if isinstance(retry_after_ms, int):
        return {"Retry-After": str(max(1, -(-retry_after_ms // 1000)))}
    if error.status == 503:
        return {"Retry-After": str(UNAVAILABLE_RETRY_AFTER_S)}
    return {}
