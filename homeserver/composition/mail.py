"""Mail: the operator's mail server, the words, the queue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.settings import EmailSettings, Settings
from homeserver.composition.foundation import Foundation
from homeserver.protocol.errors import InvalidParam
from homeserver.services.clock import SystemClock
from homeserver.services.mail.letters import Letters
from homeserver.services.mail.mail import sender_of
from homeserver.services.mail.mailer import Mailer
from homeserver.services.mail.relay import MailServer, SmtpRelay, UnreachableError
from homeserver.services.mail.templates import OURS, Templates

RETRY_INTERVAL_MS = 10_000
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def build_mail(base: Foundation, settings: Settings, public_baseurl: str) -> Letters | None:
    """None where no mail server is configured."""
    email = settings.email
    server = mail_server_of(email)
    if server is None:
        return None
    mailer = Mailer(SmtpRelay(server, base.clock), base.clock)
    base.life.every(RETRY_INTERVAL_MS, mailer.retry_due, "send-mail-again")
    base.life.on_stop(mailer.stop)
    base.life.reports_memory("mail", mailer.memory_usage)
    values = {"app_name": email.app_name, "server_name": base.server_name, "server_url": public_baseurl}
    return Letters(Templates(values, email.templates), mailer)


def problems_of_mail(settings: Settings) -> Iterator[str]:
    """What is well written but cannot work, a sentence each."""
    email = settings.email
    if email.smtp_host is None:
        for name in ("require_email", "email_domains"):
            if getattr(settings.registration, name):
                yield f"registration.{name} needs a mail server: nobody can register without email.smtp_host."
        return
    try:
        sender_of(email.from_)
    except InvalidParam:
        yield f"email.from {email.from_!r} has no e-mail address in it."
    if email.ca_file is not None and not email.ca_file.is_file():
        yield f"The file {email.ca_file} of email.ca_file does not exist."
    if email.templates is not None and not email.templates.is_dir():
        yield f"The directory {email.templates} of email.templates does not exist."
    elif email.templates is not None:
        yield from _unreadable(email.templates)
    if (email.username is None) != (email.password is None):
        yield "email.username and email.password go together."
    if email.username is not None and email.tls == "none" and email.smtp_host not in THIS_MACHINE:
        yield "email.password would be sent in the clear: with a login, email.tls must be starttls or tls."


def _unreadable(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*.txt")) + sorted(directory.glob("*.html")):
        try:
            path.read_text("utf-8")
        except (OSError, ValueError) as error:
            yield f"The mail template {path} cannot be read: {error}"
        if not (OURS / path.name).exists():
            yield f"There is no mail of which {path} would be the text; see docs/operating/mail.md."


async def try_mail_server(settings: Settings) -> str | None:
    """Why the mail server does not let us in; None where it does."""
    server = mail_server_of(settings.email)
    assert server is not None, "no mail server is configured"
    try:
        async with SmtpRelay(server, SystemClock()).connected():
            return None
    except UnreachableError as error:
        return str(error)


def mail_server_of(email: EmailSettings) -> MailServer | None:
    if email.smtp_host is None:
        return None
    return MailServer(
        host=email.smtp_host,
        port=email.smtp_port,
        sender=email.from_,
        tls=email.tls,
        verify_tls=email.verify_tls,
        ca_file=email.ca_file,
        username=email.username,
        password=email.password,
        timeout_seconds=email.timeout_ms / 1000,
    )
