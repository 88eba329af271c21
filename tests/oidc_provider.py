"""An OpenID provider as tests play it: discovery, code flow with PKCE, signed tokens, userinfo, over real HTTP.

async with oidc_provider() as provider:
    provider.person = {"sub": "1", "preferred_username": "alice"}     # who sits in front of the browser
    provider.tampered["id_token"] = lambda claims: {**claims, "nonce": "another"}
    provider.rotate_keys()
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote_plus, unquote_plus, urlencode, urlsplit

from aiohttp import web
from joserfc import jwk, jwt

CLIENT_ID, CLIENT_SECRET = "voicechat", "s3cret:with/odd+characters"
Claims = dict[str, Any]
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, repr=False)
class OidcProviderPlayed:
    """`tampered`: changes "metadata", "id_token", "userinfo" or "tokens" on the way out. `answers`: anything else, by path.
    `asked`: every path, oldest first. `now_s`: its clock.
    """

    person: Claims = field(default_factory=lambda: {"sub": "alice-1", "preferred_username": "alice"})
    tampered: dict[str, Callable[[Claims], Claims]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    authorizations: list[dict[str, str]] = field(default_factory=list)
    now_s: Callable[[], float] = time.time
    sid: str | None = None
    issuer: str = ""
    userinfo: Claims = field(default_factory=dict)
    """What userinfo says beside the person."""
    names_issuer: bool = True
    _keys: list[Any] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _count: Any = field(default_factory=lambda: itertools.count(1))

    def rotate_keys(self) -> None:
        """Signs with a new key from now on; the old one is not published any more."""
        self._keys = [jwk.ECKey.generate_key("P-256", {"kid": f"key{next(self._count)}", "use": "sig"}, private=True)]

    def sign(self, claims: Claims, algorithm: str = "ES256", **header: Any) -> str:
        """A token of this provider."""
        key = self._keys[0]
        return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, claims, key)

    def logout_token(self, **claims: Any) -> str:
        """As for back-channel logout."""
        event = {"http://schemas.openid.net/event/backchannel-logout": {}}
        base = self._base() | {"jti": f"jti{next(self._count)}", "events": event}
        merged = {**base, **claims}
        return self.sign({name: value for name, value in merged.items() if value is not None}, typ="logout+jwt")

    def _base(self) -> Claims:
        now = int(self.now_s())
        return {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120}

    def authorize(self, url: str) -> str:
        """The person signs in: where the browser goes with the answer."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.authorizations.append(query)
        assert query["client_id"] == CLIENT_ID
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = f"code{next(self._count)}"
        self._codes[code] = query
        issuer = {"iss": self.issuer} if self.names_issuer else {}
        return query["redirect_uri"] + "?" + urlencode({"code": code, "state": query["state"], **issuer})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.answers:
            return await self.answers[request.path](request)
        match request.path:
            case "/.well-known/openid-configuration":
                return web.json_response(self._metadata())
            case "/jwks":
                return web.json_response({"keys": [key.as_dict(private=False) for key in self._keys]})
            case "/authorize":
                raise web.HTTPFound(self.authorize(str(request.url)))
            case "/token":
                return await self._token(request)
            case "/userinfo":
                return self._userinfo(request)
        return web.Response(status=404)

    def _metadata(self) -> Claims:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": self.names_issuer,
        }
        return self._tamper("metadata", found)

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        query = self._codes.pop(form.get("code", ""), None)
        if not _is_client(request) or query is None or form["redirect_uri"] != query["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != query["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        claims = {**self._base(), **self.person, "nonce": query["nonce"]}
        if self.sid is not None:
            claims["sid"] = self.sid
        tokens = {
            "access_token": "at-" + query["state"],
            "token_type": "Bearer",
            "id_token": self.sign(self._tamper("id_token", claims)),
        }
        return web.json_response(self._tamper("tokens", tokens))

    def _userinfo(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Authorization", "").startswith("Bearer at-"):
            return web.Response(status=401)
        return web.json_response(self._tamper("userinfo", {**self.person, **self.userinfo}))

    def _tamper(self, what: str, value: Claims) -> Claims:
        change = self.tampered.get(what)
        return value if change is None else change(value)


def _is_client(request: web.Request) -> bool:
    kind, _, pair = request.headers.get("Authorization", "").partition(" ")
    name, _, secret = base64.b64decode(pair).decode().partition(":")
    assert secret == quote_plus(CLIENT_SECRET) or not pair
    return kind == "Basic" and (unquote_plus(name), unquote_plus(secret)) == (CLIENT_ID, CLIENT_SECRET)


@asynccontextmanager
async def oidc_provider(now_s: Callable[[], float] = time.time) -> AsyncIterator[OidcProviderPlayed]:
    """Start, serve, stop."""
    provider = OidcProviderPlayed(now_s=now_s)
    provider.rotate_keys()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", provider.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()
