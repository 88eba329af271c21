"""Mallory's server invites Alice, whose phone is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from config.settings import OutgoingHttpSettings
from tests.cast import Client
from tests.federation.conftest import ALPHA, Home, World, running_home
from tests.federation.foreign_rooms import MALLORY
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer
from tests.federation.test_invited_from_elsewhere import invitation, invite, lair, shown
from tests.gateway import PushGateway


@pytest.fixture
async def alpha(world: World) -> AsyncIterator[Home]:
    outgoing = OutgoingHttpSettings(verify_tls=False, ip_denylist=())
    async with running_home(ALPHA, 1, world, outgoing_http=outgoing) as home:
        yield home


@pytest.fixture
def mallory(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


@pytest.fixture
async def alice(alpha: Home) -> Client:
    return await alpha.server.register("alice")


async def test_an_invitation_from_elsewhere_is_pushed_and_listed(
    alpha: Home, mallory: ForeignServer, alice: Client, gateway: PushGateway
) -> None:
    await alice.post("pushers/set", gateway.pusher())
    room = lair(mallory)
    await invite(mallory, alpha, invitation(room, alice.user_id), shown(room))
    told = await gateway.next()
    assert (told["room_id"], told["room_name"], told["sender"]) == (room.room_id, "lair", MALLORY)
    assert (told["membership"], told["user_is_target"], told["counts"]) == ("invite", True, {"unread": 1})
    assert told["devices"][0]["tweaks"] == {"sound": "default"}
    (listed,) = (await alice.get("notifications"))["notifications"]
    assert (listed["room_id"], listed["read"]) == (room.room_id, False)
    assert listed["event"]["content"]["membership"] == "invite"
    # She says no: the number on her phone goes.
    await alice.leave(room.room_id)
    alpha.server.clock.advance(seconds=1)
    assert (await gateway.next())["counts"] == {"unread": 0}


async def test_whoever_wants_no_invitations_or_ignores_mallory_is_left_alone(
    alpha: Home, mallory: ForeignServer, alice: Client, gateway: PushGateway
) -> None:
    await alice.post("pushers/set", gateway.pusher())
    rule = ("pushrules", "global", "override", ".m.rule.invite_for_me")
    await alice.put((*rule, "enabled"), {"enabled": False})
    quiet = lair(mallory, name="quiet")
    await invite(mallory, alpha, invitation(quiet, alice.user_id), shown(quiet))
    assert (await alice.get("notifications"))["notifications"] == []
    await alice.put((*rule, "enabled"), {"enabled": True})
    loud = lair(mallory, name="loud")
    await invite(mallory, alpha, invitation(loud, alice.user_id), shown(loud))
    assert (await gateway.next())["room_id"] == loud.room_id
    assert gateway.unread == 0


async def test_an_unseen_invitation_from_elsewhere_is_not_listed(
    alpha: Home, mallory: ForeignServer, alice: Client
) -> None:
    room = lair(mallory)
    await invite(mallory, alpha, invitation(room, alice.user_id), shown(room))
    assert len((await alice.get("notifications"))["notifications"]) == 1
    wanted = {"ignored_users": [MALLORY]}
    await alice.put(("user", alice.user_id, "account_data", "org.matrix.msc4155.invite_permission_config"), wanted)
    assert (await alice.get("notifications"))["notifications"] == []
