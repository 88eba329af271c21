"""An identity server as tests play it: the v2 API over HTTPS, with real hashes, real signatures and real revocations.

async with identity_server(context) as ids:
    sid = ids.validated("email", "bob@example.org", "secret")
    await bob.post("account/3pid/bind", {"id_server": ids.name, "id_access_token": TOKEN, …})
    assert ids.bound("email", "bob@example.org") == bob.user_id
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey, sign_json
from homeserver.protocol.x_matrix import parse_x_matrix, signed_bytes
from tests.cast import Client
from tests.homeserver import SIGNING_KEY

TOKEN = "swordfish"
V2 = "/_matrix/identity/v2"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _key(number: int) -> SigningKey:
    return SigningKey.from_seed("0", bytes([number]) * 32)


@dataclass(slots=True, repr=False)
class IdentityServer:
    """`answers`: what it says at other times, by path. `asked`: every path that was asked for, oldest first."""

    name: str = ""
    keys: list[SigningKey] = field(default_factory=lambda: [_key(1), _key(2)])
    pepper: str = "matrixrocks"
    algorithms: list[str] = field(default_factory=lambda: ["none", "sha256"])
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)
    supports_unbind: bool = True
    hs_key: SigningKey = SIGNING_KEY
    _validated: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    _bound: dict[tuple[str, str], str] = field(default_factory=dict)
    _count: Any = field(default_factory=lambda: itertools.count(1))

    # --- What stories do and look at ---

    def validated(self, medium: str, address: str, client_secret: str) -> str:
        """Somebody has proved an address here."""
        sid = f"session_{next(self._count)}"
        self._validated[sid, client_secret] = (medium, address)
        return sid

    def bound(self, medium: str, address: str) -> str | None:
        return self._bound.get((medium, address))

    def bind(self, medium: str, address: str, mxid: str) -> None:
        """Without the homeserver."""
        self._bound[medium, address] = mxid

    def rotate_keys(self) -> None:
        """Nobody stands by the old ones any longer."""
        self.keys = [_key(3), _key(4)]

    def signed(self, mxid: str, token: str, *, key: int = 0, **more: str) -> dict[str, Any]:
        """What whoever has proved an address may show."""
        return sign_json({"mxid": mxid, "token": token, **more}, self.name, self.keys[key])

    async def tell(
        self, nobody: Client, medium: str, address: str, mxid: str, *, method: str = "PUT", expect: int = 200
    ) -> None:
        """Bind, and tell the homeserver of all invitations to the address."""
        self.bind(medium, address, mxid)
        await nobody.request(
            method, "/_matrix/federation/v1/3pid/onbind", json=self.news_of(medium, address, mxid), expect=expect
        )  # fmt: skip

    def news_of(self, medium: str, address: str, mxid: str) -> dict[str, Any]:
        """The body of /3pid/onbind."""
        about = {"medium": medium, "address": address, "mxid": mxid}
        invites = [
            {**about, "room_id": each["room_id"], "sender": each["sender"], "signed": self.signed(mxid, each["token"])}
            for each in self.stored
            if (each["medium"], each["address"]) == (medium, address)
        ]
        return sign_json({**about, "invites": invites}, self.name, self.keys[0])

    # --- The API ---

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix(V2)
        self.asked.append(path)
        if path in self.answers:
            return await self.answers[path](request)
        if path == "/pubkey/isvalid":
            known = {encode_base64(key.verify_key) for key in self.keys}
            return web.json_response({"valid": request.query.get("public_key") in known})
        if path == "/3pid/unbind":
            return self._unbind(request, await request.json())
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _refused(401, "M_UNAUTHORIZED")
        if path == "/hash_details":
            return web.json_response({"lookup_pepper": self.pepper, "algorithms": self.algorithms})
        body = await request.json()
        if path == "/lookup":
            return self._look_up(body)
        if path == "/store-invite":
            return self._store(body)
        return self._bind(body) if path == "/3pid/bind" else _refused(404, "M_UNRECOGNIZED")

    def _bind(self, body: dict[str, Any]) -> web.Response:
        found = self._validated.get((body["sid"], body["client_secret"]))
        if found is None:
            return _refused(404, "M_NO_VALID_SESSION")
        self._bound[found] = body["mxid"]
        answer = {
            "medium": found[0],
            "address": found[1],
            "mxid": body["mxid"],
            "ts": 0,
            "not_before": 0,
            "not_after": 1,
        }
        return web.json_response(sign_json(answer, self.name, self.keys[0]))

    def _unbind(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        if not self.supports_unbind:
            return _refused(501, "M_UNRECOGNIZED")
        claims = parse_x_matrix(request.headers["Authorization"])
        assert claims.destination == self.name
        signed = signed_bytes("POST", f"{V2}/3pid/unbind", claims.origin, self.name, body)
        assert self.hs_key.sign(signed) == claims.signature, "the homeserver has not signed this"
        key = (body["threepid"]["medium"], body["threepid"]["address"])
        if self._bound.get(key) != body["mxid"]:
            return _refused(404, "M_NOT_FOUND")
        del self._bound[key]
        return web.json_response({})

    def _look_up(self, body: dict[str, Any]) -> web.Response:
        if body["algorithm"] not in self.algorithms:
            return _refused(400, "M_INVALID_PARAM")
        if body["pepper"] != self.pepper:
            return _refused(400, "M_INVALID_PEPPER", algorithm="sha256", lookup_pepper=self.pepper)
        known = {self._hash(*key): mxid for key, mxid in self._bound.items()}
        return web.json_response({"mappings": {each: known[each] for each in body["addresses"] if each in known}})

    def _hash(self, medium: str, address: str) -> str:
        digest = hashlib.sha256(f"{address} {medium} {self.pepper}".encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _store(self, body: dict[str, Any]) -> web.Response:
        token = f"token{next(self._count)}"
        self.stored.append({**body, "token": token})
        url = f"https://{self.name}{V2}/pubkey/isvalid"
        keys = [{"public_key": encode_base64(key.verify_key), "key_validity_url": url} for key in self.keys]
        return web.json_response({"token": token, "display_name": "b...@e...", "public_keys": keys})


def _refused(status: int, errcode: str, **more: str) -> web.Response:
    return web.json_response({"errcode": errcode, "error": "no", **more}, status=status)


@asynccontextmanager
async def identity_server(tls: ssl.SSLContext) -> AsyncIterator[IdentityServer]:
    """Start, serve, stop. Its name is an address of this machine."""
    ids = IdentityServer()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", ids.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    ids.name = f"127.0.0.1:{port}"
    try:
        yield ids
    finally:
        await runner.cleanup()
