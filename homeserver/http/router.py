"""From method and path to the endpoint: a tree with one level per path segment, built once at start.

Paths are split before they are percent-decoded, so that an encoded slash stays inside its parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from homeserver.http.body import Decoder, make_decoder
from homeserver.http.endpoint import Declaration, Endpoint, Handler
from homeserver.http.limits import MAX_PATH_LENGTH
from homeserver.protocol import errors

# What a path is also known as: r0 is what v3 was called before Matrix 1.1, and clients still use both.
ALIASES: Final = (
    ("/_matrix/client/v3/", ("/_matrix/client/r0/",)),
    ("/_matrix/media/v3/", ("/_matrix/media/r0/", "/_matrix/media/v1/")),
)
# First match decides which listeners serve a path (settings: listeners.resources).
RESOURCES: Final = (
    ("/_matrix/client/v1/media/", "media"),
    ("/_matrix/client/", "client"),
    ("/_matrix/static/", "client"),
    ("/setup", "client"),
    ("/_voicechat/call", "voice"),
    ("/livekit/", "voice"),
    ("/_matrix/media/", "media"),
    ("/_matrix/federation/v1/media/", "media"),
    ("/_matrix/federation/", "federation"),
    ("/_matrix/key/", "keys"),
    ("/.well-known/", "well_known"),
    ("/_synapse/admin/", "admin"),
    ("/_voicechat/admin/", "admin"),
    ("/_voicechat/sign-in", "client"),
    ("/_voicechat/account", "client"),
    ("/_voicechat/register", "client"),
    ("/_voicechat/oauth2/", "client"),
)
EVERYWHERE: Final = "everywhere"


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint under one of its paths, with all that can be worked out before a request arrives."""

    name: str
    path: str
    parameters: tuple[str, ...]
    declaration: Declaration
    handler: Handler
    decode: Decoder | None


class _Node:
    __slots__ = ("literals", "parameter", "routes")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.routes: dict[str, Route] = {}


class Router:
    """All endpoints of one listener."""

    __slots__ = ("_fixed", "_root", "routes")

    def __init__(self, endpoints: Iterable[Endpoint], resources: Iterable[str] | None = None) -> None:
        """`resources` names what this listener serves (see `resource_of`); `None`: everything.

        Raises ValueError where two endpoints claim one method and path.
        """
        self._root = _Node()
        self._fixed: dict[str, _Node] = {}
        self.routes: list[Route] = []
        served = None if resources is None else {*resources, EVERYWHERE}
        for endpoint in endpoints:
            for path in _paths_of(endpoint.declaration):
                if served is None or resource_of(path) in served:
                    self._add(endpoint, path)

    def _add(self, endpoint: Endpoint, path: str) -> None:
        node = self._root
        parameters = []
        for segment in path[1:].split("/"):
            if segment.startswith("{"):
                parameters.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        declaration = endpoint.declaration
        if declaration.method in node.routes:
            taken = node.routes[declaration.method]
            raise ValueError(f"{endpoint.name} and {taken.name} both claim {declaration.method} {path}")
        route = Route(endpoint.name, path, tuple(parameters), declaration, endpoint.handler, make_decoder(declaration))
        node.routes[declaration.method] = route
        self.routes.append(route)
        if not parameters:
            self._fixed[path] = node

    def find(self, method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """The route for a path as it came over the wire, without its query, and its decoded parameters.

        Raises Unrecognized (404) for an unknown path, MethodNotAllowed (405) for a known one, InvalidParam for a
        parameter that is not UTF-8.
        """
        node = self._fixed.get(raw_path)
        if node is not None:
            return self._pick(node, method), {}
        if len(raw_path) > MAX_PATH_LENGTH:
            raise errors.InvalidParam("The path is too long")
        segments = raw_path[1:].split("/")
        values: list[str] = []
        node = _descend(self._root, segments, 0, values)
        if node is None:
            raise errors.Unrecognized("There is no such endpoint here")
        route = self._pick(node, method)
        return route, dict(zip(route.parameters, map(decode_segment, values), strict=True))

    def _pick(self, node: _Node, method: str) -> Route:
        route = node.routes.get(method)
        if route is None and method == "HEAD":
            route = node.routes.get("GET")
        if route is None:
            raise errors.MethodNotAllowed(f"This endpoint takes {', '.join(sorted(node.routes))}, not {method}")
        return route


def _descend(node: _Node, segments: list[str], index: int, values: list[str]) -> _Node | None:
    """Walk down; a literal wins over a parameter, and is taken back where it leads nowhere."""
    if index == len(segments):
        return node if node.routes else None
    segment = segments[index]
    # Some clients encode characters that need no encoding; a literal is still that literal.
    literal = node.literals.get(segment if "%" not in segment else _decode_leniently(segment))
    if literal is not None:
        found = _descend(literal, segments, index + 1, values)
        if found is not None:
            return found
    # Only a last parameter may be empty: the state key in /state/m.room.name/
    if node.parameter is not None and (segment or index == len(segments) - 1):
        values.append(segment)
        found = _descend(node.parameter, segments, index + 1, values)
        if found is not None:
            return found
        values.pop()
    return None


def _decode_leniently(segment: str) -> str:
    return unquote_to_bytes(segment.encode(errors="surrogateescape")).decode(errors="replace")


def decode_segment(segment: str) -> str:
    """Percent-decoding of one path parameter. Raises InvalidParam for what is not UTF-8, or has a NUL character."""
    if "%" in segment:
        try:
            segment = unquote_to_bytes(segment).decode()
        except UnicodeError:
            raise errors.InvalidParam("The path is not UTF-8") from None
    elif not segment.isascii():
        try:
            segment.encode()
        except UnicodeEncodeError:
            raise errors.InvalidParam("The path is not UTF-8") from None
    if "\0" in segment:
        raise errors.InvalidParam("The path contains a NUL character")
    return segment


def _paths_of(declaration: Declaration) -> Iterator[str]:
    for path in declaration.paths:
        yield path
        for prefix, others in ALIASES:
            if path.startswith(prefix):
                yield from (other + path[len(prefix) :] for other in others)


def resource_of(path: str) -> str:
    """Which of a listener's `resources` a path belongs to; "everywhere" for health checks and the like."""
    for prefix, resource in RESOURCES:
        if path.startswith(prefix):
            return resource
    return EVERYWHERE
