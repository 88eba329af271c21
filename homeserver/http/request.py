"""The request as a handler sees it: already authenticated, limited, decoded and checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from homeserver.http.query import Query
from homeserver.protocol import errors

if TYPE_CHECKING:
    from homeserver.services.requester import Requester

Body = TypeVar("Body")


class Request(Generic[Body]):
    """One request to one endpoint.

    `path`: the parameters of the declared path, percent-decoded.
    `body`: the decoded body, of the type the endpoint declared (`None` where it declared none).
    `headers`: case-insensitive. `remote_address`: the client's own address, also behind a trusted proxy.
    `access_token`: as sent, unchecked where the endpoint is `Auth.NONE`.
    `request_id`: what the log line and a 500 answer call this request.
    `origin`: the name of the server that signed the request, where the endpoint is `Auth.SERVER`; else empty.
    """

    __slots__ = (
        "_stream",
        "access_token",
        "body",
        "headers",
        "method",
        "optional_requester",
        "origin",
        "path",
        "query",
        "raw_path",
        "remote_address",
        "request_id",
        "user_agent",
    )

    def __init__(
        self,
        *,
        method: str,
        raw_path: str,
        path: Mapping[str, str],
        query: Query,
        headers: Mapping[str, str],
        body: Body,
        requester: Requester | None = None,
        access_token: str | None = None,
        remote_address: str = "",
        user_agent: str = "",
        request_id: str = "",
        origin: str = "",
        stream: Callable[[], AsyncIterator[bytes]] | None = None,
    ) -> None:
        self.method = method
        self.raw_path = raw_path
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.optional_requester = requester
        self.access_token = access_token
        self.remote_address = remote_address
        self.user_agent = user_agent
        self.request_id = request_id
        self.origin = origin
        self._stream = stream

    @property
    def requester(self) -> Requester:
        """Who asks. Raises MissingToken where the endpoint let a request without a token through (`Auth.OPTIONAL`)."""
        if self.optional_requester is None:
            raise errors.MissingToken("This needs an access token")
        return self.optional_requester

    def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces, for endpoints with `body=None`.

        Raises TooLarge at the first byte above the endpoint's `max_body_bytes`.
        """
        if self._stream is None:
            raise RuntimeError("this request has no body to stream")
        return self._stream()
