"""How an endpoint is declared: one decorator that says everything the HTTP edge has to know before the handler runs.

    @dataclass(frozen=True, slots=True)
    class ReceiptEndpoints:
        receipts: Receipts

        @endpoint("POST", "/_matrix/client/v3/rooms/{room_id}/receipt/{receipt_type}/{event_id}",
                  guests=True, body=ReceiptBody)
        async def send_receipt(self, request: Request[ReceiptBody]) -> Response: ...

`endpoints_of(ReceiptEndpoints(receipts))` makes `Endpoint` values of the decorated methods of an object.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from homeserver.http.request import Request
from homeserver.http.responses import Response

Handler = Callable[[Request[Any]], Awaitable[Response]]
Method = TypeVar("Method", bound=Callable[..., Awaitable[Response]])

KIBIBYTE = 1024
# The spec names no limit for a request. An event may be 65,536 bytes; key uploads, filters and state of a new room
# are larger, so one mebibyte for everything that does not say otherwise.
DEFAULT_MAX_BODY_BYTES = 1024 * KIBIBYTE
# Longer than any long poll a client may ask for (sync cuts its own timeout well below this).
DEFAULT_TIME_LIMIT_MS = 180_000

_ATTRIBUTE = "__declared_endpoint__"


class Auth(enum.Enum):
    """Who may call an endpoint."""

    USER = "user"  # a valid access token
    OPTIONAL = "optional"  # a token is checked if there is one: see `Request.optional_requester`
    NONE = "none"  # a token is not even looked at
    ADMIN = "admin"  # a valid access token of a server administrator
    SERVER = "server"  # another homeserver, by its signature: see `Request.origin`


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything `@endpoint` was told. See `endpoint` for the meaning of the fields."""

    method: str
    paths: tuple[str, ...]
    auth: Auth
    guests: bool
    suspended: bool
    locked: bool
    body: Any
    empty_body: bool | None
    limit: str
    max_body_bytes: int
    time_limit_ms: int
    waits: bool
    websocket: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A declaration together with the bound method that answers it."""

    name: str
    declaration: Declaration
    handler: Handler


def endpoint(
    method: str,
    *paths: str,
    auth: Auth = Auth.USER,
    guests: bool = False,
    suspended: bool = True,
    locked: bool = False,
    body: Any = None,
    empty_body: bool | None = None,
    limit: str = "default",
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    time_limit_ms: int = DEFAULT_TIME_LIMIT_MS,
    waits: bool = False,
    websocket: bool = False,
) -> Callable[[Method], Method]:
    """Declare an `async def method(self, request) -> Response` as an endpoint.

    `paths` have `{parameters}` that fill one segment each; what is under `/_matrix/client/v3/` or `/_matrix/media/v3/`
    is served under `r0` too. A last parameter also takes the empty string (`/state/m.room.name/`).

    `suspended` and `locked`: whether people may call it whose account is ("Account moderation"). The suspended may read and
    leave; the locked, and those whose account has expired, may log out.

    `body`: a `msgspec.Struct` type (or any type msgspec can decode), `dict` for any JSON object, `None` to leave the
    body unread (`Request.stream`), `bytes` for the body as it came (events of other servers: `decode_lenient`). `empty_body`
    says whether no body at all counts as `{}`; left out, it does when the struct has no required field, and does not for
    `dict`.

    `limit` names a class of rate limit (services/rate_limits.py); "none" is never limited. `waits` marks a long poll:
    it is given up as soon as the client goes away. `websocket` takes nothing but requests that open one; the handler
    decides whether it opens, and its time limit ends there (answer: `responses.Socket`).
    """

    def declare(function: Method) -> Method:
        declaration = Declaration(
            method=method,
            paths=paths,
            auth=auth,
            guests=guests,
            suspended=suspended,
            locked=locked,
            body=body,
            empty_body=empty_body,
            limit=limit,
            max_body_bytes=max_body_bytes,
            time_limit_ms=time_limit_ms,
            waits=waits,
            websocket=websocket,
        )
        setattr(function, _ATTRIBUTE, (*getattr(function, _ATTRIBUTE, ()), declaration))
        return function

    return declare


def endpoints_of(*holders: object) -> Iterator[Endpoint]:
    """All endpoints declared by the methods of these objects, in the order in which they are written.

    A method may carry `@endpoint` more than once (the same answer to GET and POST).
    """
    for holder in holders:
        for name, function in vars(type(holder)).items():
            for declaration in getattr(function, _ATTRIBUTE, ()):
                yield Endpoint(f"{type(holder).__name__}.{name}", declaration, getattr(holder, name))
