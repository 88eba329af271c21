"""One message and its form on the wire. RFC 5322; text and HTML side by side (RFC 2046, multipart/alternative)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import is_email

MAX_SUBJECT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Mail:
    """What is written to whom. `kind` is the name of its template, and all that the log says about it."""

    kind: str
    address: str
    subject: str
    text: str
    html: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers, such as List-Unsubscribe."""


def compose(mail: Mail, sender: str, now_ms: int) -> EmailMessage:
    """The message with all its headers. Raises InvalidParam where an address is none.

    No header can be smuggled in: addresses are parsed, everything else is put on one line.
    """
    message = EmailMessage(policy=SMTP)
    from_ = sender_of(sender)
    message["From"] = from_
    message["To"] = recipient_of(mail.address)
    message["Subject"] = one_line(mail.subject)[:MAX_SUBJECT_CHARACTERS]
    message["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
    message["Message-ID"] = make_msgid(domain=from_.domain or None)
    # RFC 3834, 5: nobody's absence is to be answered to us.
    message["Auto-Submitted"] = "auto-generated"
    for name, value in mail.headers.items():
        message[name] = one_line(value)
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def recipient_of(text: str) -> Address:
    """An address alone, as people type it. Raises InvalidParam where it is none."""
    if not is_email(text):
        raise errors.InvalidParam("This is not an e-mail address")
    return _address("", text)


def sender_of(text: str) -> Address:
    """An address with or without a name, as it is configured. Raises InvalidParam where it is none."""
    name, spec = parseaddr(text)
    return _address(one_line(name), spec)


def _address(name: str, spec: str) -> Address:
    local, _, domain = spec.rpartition("@")
    try:
        # Names of hosts in other scripts travel in ASCII (RFC 5891).
        ascii_domain = domain.encode("idna").decode("ascii")
        if local.isascii():
            return Address(display_name=name, addr_spec=f"{local}@{ascii_domain}")
        # RFC 6531: for mail servers that take it. The parser of the standard library does not know it.
        return Address(display_name=name, username=local, domain=ascii_domain)
    except (ValueError, MessageError, IndexError, AttributeError):
        raise errors.InvalidParam("This is not an e-mail address") from None


def one_line(text: str) -> str:
    """A text without line breaks and other characters that end or hide a header."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
