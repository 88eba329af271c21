"""Mail: the operator's mail server, the words, the queue."""

from __future__ import annotations

from config.settings import EmailSettings, Settings
from homeserver.composition.foundation import Foundation
from homeserver.services.mail.letters import Letters
from homeserver.services.mail.mailer import Mailer
from homeserver.services.mail.relay import MailServer, SmtpRelay
from homeserver.services.mail.templates import Templates

RETRY_INTERVAL_MS = 10_000


def build_mail(base: Foundation, settings: Settings, public_baseurl: str) -> Letters | None:
    """None where no mail server is configured."""
    email = settings.email
    server = _mail_server(email)
    if server is None:
        return None
    mailer = Mailer(SmtpRelay(server, base.clock), base.clock)
    base.life.every(RETRY_INTERVAL_MS, mailer.retry_due, "send-mail-again")
    base.life.on_stop(mailer.stop)
    base.life.reports_memory("mail", mailer.memory_usage)
    values = {"app_name": email.app_name, "server_name": base.server_name, "server_url": public_baseurl}
    return Letters(Templates(values, email.templates), mailer)


def _mail_server(email: EmailSettings) -> MailServer | None:
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
