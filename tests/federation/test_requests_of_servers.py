"""Who is behind a request that says it comes from another server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from config.settings import FederationSettings, RateLimitSettings
from homeserver.federation.keyring import SERVER_KEYS
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey
from homeserver.protocol.x_matrix import XMatrix, format_x_matrix, sign_request, signed_bytes
from tests.cast import Server
from tests.clock import START_MS, FakeClock
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.peers import Peer, key_document, signing_key

KEY, OTHER = signing_key(2), signing_key(3, "other")
URI = "/_matrix/federation/v1/rtc/livekit/get_token"
BODY = {"user_id": "@bob:peer.example", "url": "ws://nowhere", "room_id": "!r:x", "slot_id": "s", "member_id": "m"}
# The signature was believed: what was asked is refused for another reason.
BELIEVED = (400, "M_INVALID_PARAM")
REFUSED = (401, "M_UNAUTHORIZED")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, signed over one thing and sent as another where a test says so."""

    method: str = "POST"
    uri: str = URI
    body: Any = field(default_factory=lambda: dict(BODY))
    origin: str = "peer.example"
    destination: str = ALPHA
    key: SigningKey = KEY

    def header(self) -> str:
        return sign_request(self.key, self.method, self.uri, self.origin, self.destination, self.body)

    async def to(self, server: Server, *headers: str, sent: Any = None) -> tuple[int, str | None]:
        """Status and errcode."""
        named = [("Authorization", header) for header in (headers or (self.header(),))]
        data = json.dumps(self.body if sent is None else sent).encode() if self.method == "POST" else None
        url = URL(server.base_url + self.uri, encoded=True)
        async with aiohttp.request(self.method, url, data=data, headers=named) as response:
            answer = json.loads(await response.read())
            return response.status, answer.get("errcode")


@pytest.fixture
def peer_with_key(peer: Peer) -> Peer:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    return peer


async def test_a_request_is_believed_whose_signature_fits(alpha: Home, peer_with_key: Peer) -> None:
    server = alpha.server
    for _ in range(2):
        assert await Ask().to(server) == BELIEVED
    assert peer_with_key.paths() == [SERVER_KEYS]
    assert await Ask(uri=URI + "?a=%2F&b").to(server) == BELIEVED
    assert await Ask(body={**BODY, "float": 1.5, "é": "\u2028"}).to(server) == BELIEVED
    assert await Ask(body={**BODY, "huge": 2**70}).to(server) == (400, "M_BAD_JSON")


async def test_everything_is_under_the_signature(alpha: Home, peer_with_key: Peer) -> None:
    server, signed = alpha.server, Ask().header()
    assert await Ask().to(server, signed, sent={**BODY, "room_id": "!other:x"}) == REFUSED
    assert await Ask(uri=URI + "?x").to(server, signed) == REFUSED
    assert await Ask().to(server, signed.replace("peer.example", "mallory.example")) == REFUSED
    assert await Ask().to(server, Ask(method="PUT").header()) == REFUSED
    assert await Ask(key=OTHER).to(server) == REFUSED
    assert await Ask(key=replace(OTHER, key_id=KEY.key_id)).to(server) == REFUSED


async def test_a_request_for_somebody_else_is_not_for_us(alpha: Home, peer_with_key: Peer) -> None:
    assert await Ask(destination="beta.example").to(alpha.server) == REFUSED
    assert peer_with_key.heard == []


async def test_servers_from_before_v1_3_name_no_destination(alpha: Home, peer_with_key: Peer) -> None:
    signature = encode_base64(KEY.sign(signed_bytes("POST", URI, "peer.example", ALPHA, BODY)))
    header = f'X-Matrix origin=peer.example,key="{KEY.key_id}",sig="{signature}"'
    assert await Ask().to(alpha.server, header) == BELIEVED


async def test_a_server_that_changes_its_key_may_sign_with_both(alpha: Home, peer_with_key: Peer) -> None:
    both = (Ask(key=OTHER).header(), Ask().header())
    assert await Ask().to(alpha.server, *both) == BELIEVED
    assert await Ask().to(alpha.server, "Bearer of nothing", *both) == BELIEVED
    assert await Ask().to(alpha.server, Ask().header(), Ask(origin="beta.example").header()) == REFUSED
    assert await Ask().to(alpha.server, *(Ask().header() for _ in range(9))) == REFUSED


async def test_what_is_no_signature_is_refused(alpha: Home) -> None:
    for header in ("", "Bearer abc", "X-Matrix", "X-Matrix origin=peer.example", "X-Matrix " + "é" * 99):
        assert await Ask().to(alpha.server, header) == REFUSED


async def test_access_tokens_of_users_are_not_those_of_servers(alpha: Home) -> None:
    alice = await alpha.server.register("alice")
    assert alice.access_token is not None
    assert await Ask().to(alpha.server, f"Bearer {alice.access_token}") == REFUSED
    assert await Ask(uri=f"{URI}?access_token={alice.access_token}").to(alpha.server, "x") == REFUSED


async def test_bodies_that_are_none(alpha: Home, peer_with_key: Peer) -> None:
    url = alpha.server.base_url + URI
    for data, expected in ((b"{", "M_NOT_JSON"), (b"[" * 10_000, "M_NOT_JSON"), (b"x" * 20_000, "M_TOO_LARGE")):
        async with aiohttp.request("POST", url, data=data, headers={"Authorization": Ask().header()}) as response:
            assert (await response.json())["errcode"] == expected
    # Signed, but not what the endpoint wants.
    assert await Ask(body={}).to(alpha.server) == (400, "M_MISSING_PARAM")
    assert await Ask(body=[1]).to(alpha.server) == (400, "M_BAD_JSON")


async def test_a_key_that_has_expired_signs_nothing(alpha: Home, peer_with_key: Peer, clock: FakeClock) -> None:
    assert await Ask().to(alpha.server) == BELIEVED
    clock.advance(days=1, ms=1)
    assert await Ask().to(alpha.server) == REFUSED
    old = {KEY.key_id: {"key": encode_base64(KEY.verify_key), "expired_ts": START_MS}}
    until_ms = clock.now_ms() + 60_000
    document = key_document("peer.example", OTHER, valid_until_ms=until_ms, old_verify_keys=old)
    peer_with_key.says(SERVER_KEYS, document)
    clock.advance(minutes=2)
    document = key_document("peer.example", OTHER, valid_until_ms=clock.now_ms() + 1, old_verify_keys=old)
    peer_with_key.says(SERVER_KEYS, document)
    assert await Ask(key=OTHER).to(alpha.server) == BELIEVED
    assert await Ask().to(alpha.server) == REFUSED


async def test_who_talks_to_us_is_not_left_alone_any_longer(alpha: Home, peer_with_key: Peer) -> None:
    client = alpha.server.application.federation.client
    client.pauses.failed("peer.example")
    assert client.pauses.retry_at_ms("peer.example") > START_MS
    assert await Ask().to(alpha.server) == BELIEVED
    assert client.pauses.retry_at_ms("peer.example") == 0


async def test_a_server_speaks_for_its_own_users_only(alpha: Home, peer_with_key: Peer) -> None:
    for user_id in ("@alice:alpha.example", "@bob:peer.example:8448", "bob", "@bob", ""):
        assert await Ask(body={**BODY, "user_id": user_id}).to(alpha.server) == (403, "M_FORBIDDEN")


async def test_mallory_cannot_make_us_ask_around_without_end(world: World) -> None:
    async with running_home(ALPHA, 1, world, rate_limits=RateLimitSettings(enabled=True)) as alpha:
        answers = [await Ask(origin=f"no{number}.example").to(alpha.server) for number in range(60)]
    assert answers[:50] == [REFUSED] * 50
    assert answers[50:] == [(429, "M_LIMIT_EXCEEDED")] * 10
    assert len({each for each in world.dns.asked if each.endswith(":8448")}) == 50


async def test_federation_can_be_switched_off(world: World, peer_with_key: Peer) -> None:
    async with running_home(ALPHA, 1, world, federation=FederationSettings(enabled=False)) as alpha:
        assert await Ask().to(alpha.server) == (403, "M_FORBIDDEN")
        anonymous = alpha.server.anonymous()
        await anonymous.get("/_matrix/key/v2/server", expect=(404, "M_UNRECOGNIZED"))
        await anonymous.get("/_matrix/federation/v1/version", expect=(404, "M_UNRECOGNIZED"))
    assert peer_with_key.heard == []


def test_the_header_we_write_has_no_spaces() -> None:
    assert " " not in format_x_matrix(XMatrix("a", "b", "ed25519:c", bytes(64))).removeprefix("X-Matrix ")
