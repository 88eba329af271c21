"""What people with mail do: ask for one, open its link, press the button there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.cast import Answer, Client
from tests.mail import MailServer

ADDRESS = "alice@example.org"
SECRET = "a.Secret=of_the-client"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def mail_request(address: str = ADDRESS, *, secret: str = SECRET, attempt: int = 1, **more: Any) -> dict[str, Any]:
    return {"client_secret": secret, "email": address, "send_attempt": attempt, **more}


async def ask(client: Client, what: str = "account/3pid", address: str = ADDRESS, **fields: Any) -> str:
    """Ask for a mail; the id of the session."""
    sid: str = (await client.post(f"{what}/email/requestToken", mail_request(address, **fields)))["sid"]
    return sid


async def press(client: Client, link: str) -> Answer:
    """Open the page and press its button."""
    target = urlsplit(link)
    opened = await client.anonymous().raw("GET", f"{target.path}?{target.query}", headers=BROWSER, encoded=True)
    assert opened.status == 200, opened.body
    assert b"<button>" in opened.body
    return await client.anonymous().raw("POST", target.path, data=target.query.encode(), headers=FORM)


async def add_address(client: Client, mail: MailServer, address: str = ADDRESS, secret: str = SECRET) -> None:
    """All the way: the address belongs to the account afterwards."""
    sid = await ask(client, address=address, secret=secret)
    assert (await press(client, (await mail.next(address)).link)).status == 200
    await client.post("account/3pid", {"three_pid_creds": {"sid": sid, "client_secret": secret}})


async def addresses(client: Client) -> list[str]:
    return [each["address"] for each in (await client.get("account/3pid"))["threepids"]]


def email_auth(session: str, sid: str, secret: str = SECRET) -> dict[str, Any]:
    """The `auth` of who has confirmed an address."""
    creds = {"sid": sid, "client_secret": secret}
    return {"type": "m.login.email.identity", "session": session, "threepid_creds": creds}
