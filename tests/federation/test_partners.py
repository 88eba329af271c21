"""Servers that an administrator keeps out, and federations that are private."""

from __future__ import annotations

import pytest

from config.settings import FederationSettings
from homeserver.federation.errors import NotAPartner
from homeserver.federation.partners import Partners
from tests.federation.conftest import ALPHA, BETA, Home, World, running_home
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer

SIGNED = "/_matrix/federation/v1/media/download/nothing"


def federation(world: World, **lists: tuple[str, ...]) -> FederationSettings:
    return FederationSettings(ca_file=world.authority.ca_file, ip_denylist=(), **lists)


@pytest.mark.parametrize(
    ("allow", "deny", "name", "allowed"),
    [
        ((), (), "anybody.example", True),
        ((), ("bad.example",), "bad.example", False),
        ((), ("bad.example",), "BAD.example:8448", False),
        ((), ("bad.example",), "notbad.example", True),
        ((), ("*.bad.example",), "very.bad.example", False),
        (("good.example", "*.good.example"), (), "good.example", True),
        (("good.example", "*.good.example"), (), "also.good.example", True),
        (("good.example",), (), "else.example", False),
        (("*.good.example",), ("not.good.example",), "not.good.example", False),
    ],
)
def test_lists(allow: tuple[str, ...], deny: tuple[str, ...], name: str, allowed: bool) -> None:
    partners = Partners(allow, deny)
    if allowed:
        partners.check(name)
    else:
        with pytest.raises(NotAPartner):
            partners.check(name)


async def test_who_is_denied_is_not_heard_and_not_asked(world: World, peer: Peer) -> None:
    mallory = ForeignServer(peer)
    async with running_home(ALPHA, 1, world, federation=federation(world, deny=("peer.*",))) as home:
        alice = await home.server.register("alice")
        answer = await mallory.raw(home.server, "GET", SIGNED)
        assert (answer.status, answer.json()["errcode"]) == (403, "M_FORBIDDEN")
        # Not even for her keys.
        assert peer.heard == []
        await alice.join("#room:peer.example", expect={403, 404, 502})
        await alice.get("/_matrix/client/v1/media/download/peer.example/abc", expect=(403, "M_FORBIDDEN"))
        await alice.get("publicRooms", server="peer.example", expect=(403, "M_FORBIDDEN"))
        room_id = await alice.create_room()
        await alice.invite(room_id, "@mallory:peer.example", expect={403, 502})
        assert peer.heard == []


async def test_a_private_federation(world: World, peer: Peer) -> None:
    stranger = ForeignServer(peer)
    lists = federation(world, allow=("*.example",), deny=("peer.example",))
    async with (
        running_home(ALPHA, 1, world, federation=lists) as alpha,
        running_home(BETA, 2, world, federation=lists) as beta,
    ):
        alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
        answer = await alice.raw("POST", "/_matrix/media/v3/upload", data=b"x", headers={"Content-Type": "text/plain"})
        path = answer.json()["content_uri"].removeprefix("mxc://")
        assert (await bob.raw("GET", f"/_matrix/client/v1/media/download/{path}")).body == b"x"
        assert (await stranger.raw(alpha.server, "GET", SIGNED)).status == 403


async def test_a_server_that_is_denied_is_not_tried_again_and_again(alpha: Home, world: World) -> None:
    """Whoever has something to deliver looks at the pauses."""
    async with running_home(BETA, 2, world, federation=federation(world, deny=(ALPHA,))) as home:
        client = home.server.application.federation.client
        with pytest.raises(NotAPartner):
            await client.get(ALPHA, "/_matrix/federation/v1/version")
        assert client.pauses.retry_at_ms(ALPHA) > world.clock.now_ms()
        with pytest.raises(NotAPartner):
            await client.get(ALPHA, "/_matrix/federation/v1/version")
