"""A mail server as tests play it: real SMTP on a real socket, which keeps what it is given.

async with mail_server() as mail:
    settings = server_settings(tmp_path, email=mail.settings())
    …
    message = await mail.next("alice@example.org")
    link = message.link
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from config.settings import EmailSettings

SECONDS = 10


@dataclass(frozen=True, slots=True)
class Received:
    """One mail as it came over the wire."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    was_encrypted: bool

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: str) -> str:
        part = self.message.get_body((kind,))
        assert part is not None
        return str(part.get_content())

    @property
    def link(self) -> str:
        """The first address in the text."""
        found = re.search(r"https?://\S+", self.text)
        assert found is not None, self.text
        return found[0]


@dataclass(slots=True, repr=False)
class MailServer:
    """`answers`: what it says to the next mails instead of taking them, such as "451 later"."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: deque[str] = field(default_factory=deque)
    logins: list[tuple[str, str]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _read: int = 0

    def settings(self, **changes: Any) -> EmailSettings:
        """What a homeserver has to be told to send its mail here."""
        values = {"smtp_host": "127.0.0.1", "smtp_port": self.port, "tls": "none", **changes}
        return EmailSettings(from_="The server <noreply@test>", **values)

    async def next(self, recipient: str | None = None) -> Received:
        """The next mail that was not looked at yet; fails where none comes."""
        async with asyncio.timeout(SECONDS):
            while self._read >= len(self.received):
                self._news.clear()
                await self._news.wait()
        mail = self.received[self._read]
        self._read += 1
        assert recipient is None or mail.recipients == (recipient,), mail.recipients
        return mail

    @property
    def unread(self) -> int:
        """How many were not looked at yet."""
        return len(self.received) - self._read

    # Names of aiosmtpd.

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            answer = self.answers.popleft()
            self._news.set()
            return answer
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        recipients = tuple(envelope.rcpt_tos)
        self.received.append(Received(envelope.mail_from or "", recipients, message, _is_encrypted(server)))
        self._news.set()
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"mail password", handled=False)


def _is_encrypted(server: SMTP) -> bool:
    return server.transport is not None and server.transport.get_extra_info("sslcontext") is not None


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, port: int = 0, utf8: bool = False
) -> AsyncIterator[MailServer]:
    """Start, serve, stop. `tls`: encrypted from the start; `starttls`: not before one asks for it, and then demanded.
    `utf8`: it takes addresses in other scripts.
    """
    mail = MailServer()
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            mail,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_require_tls=tls is None,
            authenticator=mail.authenticate,
            enable_SMTPUTF8=utf8,
            loop=loop,
        )

    server = await loop.create_server(protocol, "127.0.0.1", port, ssl=tls)
    mail.port = server.sockets[0].getsockname()[1]
    try:
        yield mail
    finally:
        server.close()
        await server.wait_closed()
