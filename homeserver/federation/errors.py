"""How a request to another server can fail.

    ConnectionFailed                 it could not be reached
      DestinationPaused              it failed before, and is left alone for a while
      NotAPartner                    the administrator does not want it to be talked to
    ConnectionTimeout                it took too long
    BadGateway
      BadAnswer                      it answered something that is not an answer
      RemoteRefused                  it answered with an error, which is in `remote`
    FileTooLarge                     a file of another server is larger than this one takes

All are 502 or 504 to whoever asked us: what another server says of *our* request (`M_UNKNOWN_TOKEN`, say) means something
else to our client. Who wants to pass an answer on raises `error.remote`.
"""

from __future__ import annotations

from typing import Final

from homeserver.protocol.errors import BadGateway, ConnectionFailed, MatrixError, TooLarge

MAX_ERRCODE_CHARACTERS: Final = 100
MAX_MESSAGE_CHARACTERS: Final = 500


class DestinationPaused(ConnectionFailed):
    """The other server could not be reached, and is not tried again yet."""


class NotAPartner(ConnectionFailed, errcode="M_FORBIDDEN", status=403):
    """This server does not talk to the other one. To whoever asks others too, it is one that cannot be reached."""


class BadAnswer(BadGateway):
    """The other server's answer is not JSON, or is too large."""


class RemoteRefused(BadGateway):
    """The other server refused."""

    def __init__(self, remote: MatrixError) -> None:
        super().__init__(f"The other server refused: {remote.errcode[:MAX_ERRCODE_CHARACTERS]}")
        self.remote = remote


class FileTooLarge(TooLarge, status=502):
    """The file of the other server is too large for this one."""


def to_remember(error: MatrixError) -> MatrixError:
    """The same for whoever asks next, without what the other server wrote into it, and without the work that it ended:
    both may be large, and of remembered errors there are many.
    """
    kind = BadGateway if isinstance(error, RemoteRefused) else type(error)
    small = kind.__new__(kind)
    MatrixError.__init__(
        small, error.errcode[:MAX_ERRCODE_CHARACTERS], error.status, error.message[:MAX_MESSAGE_CHARACTERS], {}
    )
    return small
