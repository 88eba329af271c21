"""The mail server that takes our mail: one connection, and what its answers mean. RFC 5321, RFC 3207 (STARTTLS)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from homeserver.protocol import errors
from homeserver.services.mail.mail import Mail, compose, recipient_of, sender_of

if TYPE_CHECKING:
    import aiosmtplib

    from homeserver.services.clock import Clock

PERMANENT = 500
log = logging.getLogger(__name__)


class UnreachableError(Exception):
    """The mail server is not there, or does not let us in. All mail waits."""


class PostponedError(Exception):
    """The mail server does not take this mail now ("4yz Transient Negative Completion reply")."""


class RefusedError(Exception):
    """The mail server will never take this mail ("5yz Permanent Negative Completion reply")."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where it is, and how one speaks with it. `sender`: the From of our mail."""

    host: str
    port: int
    sender: str
    tls: Literal["none", "starttls", "tls"] = "starttls"
    verify_tls: bool = True
    ca_file: Path | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class SmtpRelay:
    """Opens connections to the mail server."""

    server: MailServer
    clock: Clock

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection on which mail can be sent. Raises UnreachableError."""
        # Most servers never send a mail: they do not hold the library in memory either.
        import aiosmtplib

        try:
            client = self._client()
            await client.connect()
        except (aiosmtplib.SMTPException, errors.InvalidParam, OSError, ValueError) as error:
            # The text of an answer to AUTH is the mail server's own; it never has the password in it.
            raise UnreachableError(f"{type(error).__name__}: {error}") from None
        try:
            yield Connection(client, self.server.sender, self.clock)
        finally:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit()
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        import aiosmtplib

        server = self.server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            # Ours may have no name, and asking for it takes the time of a look-up.
            local_hostname=sender_of(server.sender).domain,
            timeout=server.timeout_seconds,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            validate_certs=server.verify_tls,
            cert_bundle=str(server.ca_file) if server.ca_file else None,
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """An open connection."""

    client: aiosmtplib.SMTP
    sender: str
    clock: Clock

    async def send(self, mail: Mail) -> None:
        """Hand one mail over. Raises RefusedError, PostponedError, UnreachableError."""
        import aiosmtplib

        try:
            message = compose(mail, self.sender, self.clock.now_ms())
            sender, recipient = sender_of(self.sender).addr_spec, recipient_of(mail.address).addr_spec
            await self.client.send_message(message, sender=sender, recipients=[recipient])
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _meaning(max(each.code for each in error.recipients), str(error)) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _meaning(error.code, error.message) from None
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError) as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from None
        except (aiosmtplib.SMTPException, errors.InvalidParam, ValueError) as error:
            raise RefusedError(f"{type(error).__name__}: {error}") from None


def _meaning(code: int, text: str) -> RefusedError | PostponedError:
    return RefusedError(f"{code} {text}") if code >= PERMANENT else PostponedError(f"{code} {text}")
