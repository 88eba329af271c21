"""People sign in with a CAS server: tickets that are good, tickets that are not, and answers that are none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from config.settings import CasSettings, OutgoingHttpSettings, Settings
from homeserver.protocol.errors import BadGateway, Forbidden
from homeserver.services.upstream.cas import read_validation
from tests.browser import Browser, Page
from tests.cast import Client, Server
from tests.homeserver import server_settings
from tests.websites import Website

APP = "https://app.example/"


def validation(user: str, attributes: str = "") -> bytes:
    return f"""<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'>
    <cas:authenticationSuccess>
         <cas:user>{user}</cas:user>
         <cas:attributes>{attributes}</cas:attributes>
    </cas:authenticationSuccess>
</cas:serviceResponse>""".encode()


@pytest.fixture
async def cas() -> AsyncIterator[Website]:
    site = Website()
    async with site.running():
        yield site


@pytest.fixture
def changes() -> dict[str, object]:
    return {}


@pytest.fixture
def settings(tmp_path: Path, cas: Website, changes: dict[str, object]) -> Settings:
    return server_settings(
        tmp_path,
        cas=CasSettings(server_url=f"http://127.0.0.1:{cas.port}/cas", **changes),  # type: ignore[arg-type]
        outgoing_http=OutgoingHttpSettings(verify_tls=False, ip_denylist=()),
    )


def browser_of(server: Server) -> Browser:
    return Browser(server.session, server.base_url)


async def go(browser: Browser, ticket: str = "ST-1") -> Page:
    """From the client to CAS and back."""
    away = await browser.open("/_matrix/client/v3/login/cas/redirect", redirectUrl=APP)
    assert away.left_for is not None, away.text
    service = parse_qs(urlsplit(away.left_for).query)["service"][0]
    return await browser.open(f"{service}&ticket={ticket}")


async def log_in(server: Server, page: Page) -> Client:
    token = page.text.partition("loginToken=")[2].partition('"')[0]
    answer = await server.anonymous().post("login", {"type": "m.login.token", "token": token})
    return server.anonymous()._logged_in(answer, "")


async def test_alice_signs_in_with_her_ticket(server: Server, cas: Website) -> None:
    cas.page("/cas/proxyValidate", validation("Alice!", "<cas:displayName>Alice L.</cas:displayName>"), "text/xml")
    alice = await log_in(server, await go(browser_of(server)))
    assert alice.user_id == "@alice=21:test"
    assert (await alice.get(("profile", alice.user_id)))["displayname"] == "Alice L."
    asked = cas.asked[-1].query
    assert asked["ticket"] == "ST-1"
    assert asked["service"].startswith("http://localhost:8008/_matrix/client/r0/login/cas/ticket?state=")
    for path in ("login/cas/redirect", "login/sso/redirect"):
        answer = await server.anonymous().raw("GET", f"/_matrix/client/v3/{path}", query={"redirectUrl": APP})
        assert answer.status == 302
    flows = [flow["type"] for flow in (await server.anonymous().get("login"))["flows"]]
    assert {"m.login.sso", "m.login.cas"} <= set(flows)


async def test_a_ticket_that_this_browser_did_not_ask_for_signs_nobody_in(server: Server, cas: Website) -> None:
    cas.page("/cas/proxyValidate", validation("mallory"), "text/xml")
    alice, mallory = browser_of(server), browser_of(server)
    away = await mallory.open("/_matrix/client/v3/login/sso/redirect", redirectUrl=APP)
    assert away.left_for is not None
    service = parse_qs(urlsplit(away.left_for).query)["service"][0]
    assert (await alice.open(f"{service}&ticket=ST-1")).status == 403
    for query in ("redirectUrl=https://app.example/", "session=x", ""):
        stray = await alice.open(f"/_matrix/client/r0/login/cas/ticket?{query}&ticket=ST-1")
        assert stray.status == 403
    assert cas.asked == []


async def test_a_ticket_that_cas_does_not_take_is_told(server: Server, cas: Website) -> None:
    refused = (
        b"<cas:serviceResponse xmlns:cas='http://www.yale.edu/tp/cas'><cas:authenticationFailure code='INVALID_TICKET'/>\
</cas:serviceResponse>"
    )
    cas.page("/cas/proxyValidate", refused, "text/xml")
    page = await go(browser_of(server))
    assert (page.status, page.alert) == (403, "The provider does not take its own ticket (any more): begin again")
    cas.page("/cas/proxyValidate", "down", status=500)
    assert (await go(browser_of(server))).status == 503


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"<a>",
        validation(""),
        validation(" "),
        validation("a&#10;b"),
        validation("x" * 256),
        b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>" + validation("&b;"),
        b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + validation("&a;"),
        b"<?xml version='1.0' encoding='x-unknown'?>" + validation("alice"),
        validation("alice").replace(b"http://www.yale.edu/tp/cas", b"http://elsewhere.example"),
        validation("alice")[:-10],
    ],
)
def test_what_is_no_answer_of_cas_signs_nobody_in(body: bytes) -> None:
    with pytest.raises((BadGateway, Forbidden)):
        read_validation(body)


def test_attributes_that_come_more_than_once_are_lists() -> None:
    found = read_validation(
        validation("a", "<cas:memberOf>x</cas:memberOf><cas:memberOf>y</cas:memberOf><mail>m</mail>")
    )
    assert found == {"user": "a", "memberOf": ["x", "y"], "mail": "m"}


def test_an_attribute_called_user_does_not_change_who_it_is() -> None:
    assert read_validation(validation("alice", "<cas:user>admin</cas:user>"))["user"] == "alice"


@pytest.mark.parametrize("changes", [{"bound_to_browser": False, "collisions": "adopt"}])
async def test_in_test_suites_tickets_come_from_anywhere(server: Server, cas: Website) -> None:
    alice = await server.register("alice")
    cas.page("/cas/proxyValidate", validation("alice"), "text/xml")
    ticket = "/_matrix/client/r0/login/cas/ticket"
    page = await browser_of(server).open(f"{ticket}?redirectUrl=https%3A%2F%2Fapp.example%2F&ticket=ST-1")
    assert (await log_in(server, page)).user_id == alice.user_id
    session = (await alice.delete(("devices", "x"), {}, expect=401))["session"]
    assert (await browser_of(server).open(f"{ticket}?session={session}&ticket=ST-2")).status == 200
    await alice.delete(("devices", "x"), {"auth": {"session": session}})
    cas.page("/cas/proxyValidate", validation("mallory"), "text/xml")
    session = (await alice.delete(("devices", "x"), {}, expect=401))["session"]
    assert (
        "You have signed in as @mallory:test"
        in (await browser_of(server).open(f"{ticket}?session={session}&ticket=ST-3")).alert
    )
    await alice.delete(("devices", "x"), {"auth": {"session": session}}, expect=(403, "M_FORBIDDEN"))
