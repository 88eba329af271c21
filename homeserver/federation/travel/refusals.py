"""What several servers answered to the same request, in one error that helps the person who waits for it."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from homeserver.federation.errors import RemoteRefused
from homeserver.protocol.errors import (
    ERRORS_BY_ERRCODE,
    BadGateway,
    ConnectionFailed,
    ConnectionTimeout,
    Forbidden,
    IncompatibleRoomVersion,
    InviteBlocked,
    MatrixError,
    NotFound,
    StandardError,
    UnableToAuthoriseJoin,
    UnableToGrantJoin,
    Unrecognized,
)

MAX_SERVERS: Final = 20
"""Servers that are tried for one request."""
MAX_SAME_REFUSALS: Final = 3
"""So many servers of a room that forbid it are believed; the others are not bothered."""
MAX_MESSAGE_CHARACTERS: Final = 500

# "The error should be passed through to clients so that they may give better feedback to users" (make_join, 400). What is
# not here was meant for us. The first is the most telling.
_PASSED_ON: Final[tuple[type[StandardError], ...]] = (
    Forbidden,
    InviteBlocked,
    IncompatibleRoomVersion,
    UnableToGrantJoin,
    UnableToAuthoriseJoin,
    NotFound,
)

_ERRCODE: Final = re.compile(r"[A-Za-z0-9_.]{1,100}")

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Passed(MatrixError):  # noqa: N818  (of errors.py: names of the protocol, not of Python)
    """The other server's own error, of a request whose errors are for the client."""


def of_template(error: RemoteRefused) -> MatrixError:
    """make_join, 400: "The error should be passed through to clients so that they may give better feedback to users."

    Those that are about the room are passed on in any case. Of the others those of the specification say that we did
    something wrong, which our client did not.
    """
    remote = error.remote
    if remote.status != 400 or remote.errcode in ERRORS_BY_ERRCODE or not _ERRCODE.fullmatch(remote.errcode):
        return error
    return Passed(remote.errcode, 400, remote.message[:MAX_MESSAGE_CHARACTERS])


def passed_on(error: MatrixError) -> MatrixError:
    """What the client is told: the other server's own words where they are about the room, else that it failed."""
    remote = error.remote if isinstance(error, RemoteRefused) else error
    if isinstance(remote, Passed):
        return remote
    for kind in _PASSED_ON:
        if isinstance(remote, kind) and 400 <= remote.status < 500:
            return _retold(kind, remote)
    return error if isinstance(error, BadGateway | ConnectionFailed | ConnectionTimeout) else BadGateway()


def _retold(kind: type[StandardError], remote: MatrixError) -> MatrixError:
    message = remote.message[:MAX_MESSAGE_CHARACTERS]
    if kind is IncompatibleRoomVersion:
        version = remote.data.get("room_version")
        return IncompatibleRoomVersion(message, room_version=version if isinstance(version, str) else "unknown")
    return kind(message)


def is_unknown_endpoint(error: RemoteRefused) -> bool:
    """Whether the other server does not have this version of an endpoint."""
    # "if the servers has not implemented the endpoint: 404 and M_UNRECOGNIZED"; early servers said 400, or nothing.
    remote = error.remote
    return isinstance(remote, Unrecognized) or (remote.status in (404, 405) and remote.errcode == "M_UNKNOWN")


@dataclass(slots=True)
class _Refusals:
    errors: list[MatrixError] = field(default_factory=list)

    def note(self, error: MatrixError) -> bool:
        """Remember; returns whether there is no sense in asking more servers."""
        self.errors.append(passed_on(error))
        return sum(isinstance(each, Forbidden) for each in self.errors) >= MAX_SAME_REFUSALS

    def most_telling(self) -> MatrixError:
        for kind in (*_PASSED_ON, Passed):
            for error in reversed(self.errors):
                if isinstance(error, kind):
                    return error
        return self.errors[-1]


async def first_success(
    servers: Sequence[str], attempt: Callable[[str], Awaitable[Result]], *, what: str, nobody: MatrixError
) -> Result:
    """What the first server makes possible that does not fail; at most MAX_SERVERS are tried, one after the other.

    Raises the most telling of their errors, or `nobody` where there is no server to ask.
    """
    refusals = _Refusals()
    for server_name in servers[:MAX_SERVERS]:
        try:
            return await attempt(server_name)
        except MatrixError as error:
            log.info("%s by way of %s failed: %s", what, server_name, error)
            if refusals.note(error):
                break
    raise refusals.most_telling() if refusals.errors else nobody
