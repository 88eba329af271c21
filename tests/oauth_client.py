"""An application that signs people in by OAuth, as the specification wants it to: with PKCE, in somebody's browser."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.browser import Browser, Page
from tests.cast import PASSWORD, Answer, Client, Server

REDIRECT_URI = "https://app.example.com/callback"
METADATA = {
    "client_name": "Chatter",
    "client_uri": "https://example.com/",
    "redirect_uris": [REDIRECT_URI],
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "application_type": "web",
}
OAUTH = "/_voicechat/oauth2"


def challenge_of(verifier: str) -> str:
    """RFC 7636, 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass(slots=True)
class OAuthClient:
    """One installation of it. `redirect_uri` is where it waits for its answer."""

    server: Server
    client_id: str
    redirect_uri: str = REDIRECT_URI
    device_id: str = "PHONEPHONE"
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def scope(self) -> str:
        return f"urn:matrix:client:api:* urn:matrix:client:device:{self.device_id}"

    def request(self, **changes: str) -> dict[str, str]:
        """The parameters of its authorization request; an empty change takes one away."""
        parameters = {
            "response_type": "code",
            "response_mode": "fragment",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value}

    async def send_to(self, browser: Browser, **changes: str) -> Page:
        """Open the browser with it."""
        return await browser.open(f"{OAUTH}/authorize", **self.request(**changes))

    async def authorize(self, browser: Browser, user: str, password: str = PASSWORD) -> str:
        """Somebody signs in, if he is not signed in, and agrees. Returns the code."""
        page = await self.send_to(browser)
        if any("Sign in" in form.buttons for form in page.forms):
            page = await browser.send(page, "Sign in", user=user, password=password)
        return self.answer(await browser.send(page, "Allow"))["code"]

    def answer(self, page: Page) -> dict[str, str]:
        """What the browser came back with."""
        assert page.left_for is not None, page.text
        address, _, fragment = page.left_for.partition("#")
        assert address == self.redirect_uri
        answer = {name: values[0] for name, values in parse_qs(fragment).items()}
        assert answer.pop("state") == self.state
        assert answer.pop("iss") == "http://localhost:8008/"
        return answer

    async def post(self, path: str, **form: str) -> Answer:
        """Ask the server itself."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self.server.anonymous().raw(
            "POST", f"{OAUTH}/{path}", data=urlencode(form).encode(), headers=headers, check=False
        )

    async def redeem(self, code: str, **changes: str) -> Answer:
        """The code for tokens."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
            **changes,
        }
        return await self.post("token", **form)

    async def refresh(self, refresh_token: str, **changes: str) -> Answer:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": self.client_id, **changes}
        return await self.post("token", **form)

    async def sign_in(self, browser: Browser, user: str) -> dict[str, Any]:
        """From the beginning to the tokens."""
        answer = await self.redeem(await self.authorize(browser, user))
        assert answer.status == 200, answer.body
        tokens: dict[str, Any] = answer.json()
        return tokens


async def register_client(server: Server, **changes: Any) -> OAuthClient:
    """Dynamic registration."""
    answer = await server.anonymous().raw(
        "POST",
        f"{OAUTH}/register",
        data=_json({**METADATA, **changes}),
        headers={"Content-Type": "application/json"},
        check=False,
    )
    assert answer.status == 201, answer.body
    return OAuthClient(server, answer.json()["client_id"])


def with_token(server: Server, access_token: str, user_id: str = "") -> Client:
    """A Matrix client that holds this token."""
    return Client(server.session, server.base_url, user_id=user_id, access_token=access_token)


def browser_of(server: Server) -> Browser:
    return Browser(server.session, server.base_url)


def query_of(url: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
