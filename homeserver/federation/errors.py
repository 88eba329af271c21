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

from homeserver.protocol.errors import BadGateway, ConnectionFailed, MatrixError, TooLarge


class DestinationPaused(ConnectionFailed):
    """The other server could not be reached, and is not tried again yet."""


class NotAPartner(ConnectionFailed, errcode="M_FORBIDDEN", status=403):
    """This server does not talk to the other one. To whoever asks others too, it is one that cannot be reached."""


class BadAnswer(BadGateway):
    """The other server's answer is not JSON, or is too large."""


class RemoteRefused(BadGateway):
    """The other server refused."""

    def __init__(self, remote: MatrixError) -> None:
        super().__init__(f"The other server refused: {remote.errcode}")
        self.remote = remote


class FileTooLarge(TooLarge, status=502):
    """The file of the other server is too large for this one."""
