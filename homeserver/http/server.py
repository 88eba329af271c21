"""aiohttp's low-level HTTP server around an `Edge`: connections, keep-alive, and errors below the level of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from homeserver.http import cors
from homeserver.http.errors import error_body
from homeserver.http.responses import encode_json

if TYPE_CHECKING:
    from homeserver.http.edge import Edge

# A proxy in front must close an idle connection before we do, or a request may cross our closing it.
KEEPALIVE_TIMEOUT_S = 300.0
MAX_HEADERS = 128
MAX_FIELD_BYTES = 16 * 1024
# LiveKit's clients put a whole session description into the query; paths are bounded by the router.
MAX_LINE_BYTES = 64 * 1024


class EdgeConnection(web.RequestHandler):
    """One connection. Only what is not HTTP at all is answered here; JSON like everything else."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, or that failed outside the edge."""
        if status >= 500:
            self.log_exception("Error handling request", exc_info=exc)
        self.keep_alive(False)
        text = "The request is not valid HTTP" if status == 400 else "Internal error"
        body = encode_json(error_body("M_UNKNOWN", text))
        response = web.Response(status=status, body=body, headers=cors.JSON_HEADERS)
        response.force_close()
        return response


class EdgeServer(web.Server):
    """Makes a connection object per client; hand it to `web.ServerRunner`, then one `web.TCPSite` per address."""

    def __init__(self, edge: Edge, **options: Any) -> None:
        super().__init__(edge.handle, **options)
        self._edge = edge
        self._options = options

    def __call__(self) -> web.RequestHandler:
        """Called by the event loop for each new connection."""
        return EdgeConnection(
            self,
            loop=self._loop,
            access_log=None,  # type: ignore[arg-type]  # our own observer writes the line
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
            max_headers=MAX_HEADERS,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
        )

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Tell the edge, which may have a long poll for this client."""
        self._edge.connection_lost(handler)
        super().connection_lost(handler, exc)
