"""Mallory's server invites Alice, who is at alpha."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from config.settings import RateLimitSettings
from homeserver.federation.client import request_uri
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import verify_event
from homeserver.services.rate_limits import DEFAULT_RATES
from tests.cast import Client, Expected
from tests.federation.asker import member, stores
from tests.federation.conftest import ALPHA, FEDERATION_PORT, Home, World, running_home
from tests.federation.doors import EVERY_VERSION, open_room
from tests.federation.foreign_rooms import MALLORY, ForeignRoom
from tests.federation.foreign_servers import V1, V2, ForeignServer
from tests.federation.peers import Peer, running_peer, signing_key

WRONG = (400, "M_INVALID_PARAM")
REFUSED = (403, "M_FORBIDDEN")
CONFIG = "m.invite_permission_config"


@pytest.fixture
def mallory(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


@pytest.fixture
async def alice(alpha: Home) -> Client:
    return await alpha.server.register("alice")


def lair(mallory: ForeignServer, version: str = "10", name: str = "lair") -> ForeignRoom:
    room = mallory.host(ForeignRoom.create(version, join_rule="invite", name=name))
    room.set(MALLORY, "m.room.name", {"name": "lair"})
    return room


def shown(room: ForeignRoom) -> list[dict[str, Any]]:
    return [room.events[room.state[key, ""]].pdu for key in ("m.room.create", "m.room.name", "m.room.join_rules")]


def invitation(room: ForeignRoom, target: str, **content: Any) -> Event:
    """With `origin`, which the definition of the answer still demands."""
    event = room.build(MALLORY, "m.room.member", {"membership": "invite", **content}, target)
    return hash_and_sign({**event.pdu, "origin": "peer.example"}, room.version, "peer.example", signing_key(2))


async def invite(
    mallory: ForeignServer,
    home: Home,
    event: Event,
    state: list[Any],
    *,
    pdu: dict[str, Any] | None = None,
    room_id: str | None = None,
    event_id: str | None = None,
    version: Any = None,
    expect: Expected = 200,
) -> Any:
    uri = request_uri(f"{V2}/invite", room_id or event.room_id, event_id or event.event_id)
    body = {
        "room_version": event.room_version.version if version is None else version,
        "event": event.pdu if pdu is None else pdu,
        "invite_room_state": state,
    }
    return await mallory.ask(home.server, "PUT", uri, body, expect=expect)


async def is_invited(client: Client, room_id: str) -> bool:
    return room_id in (await client.sync(since=None)).get("rooms", {}).get("invite", {})


@pytest.mark.parametrize("version", EVERY_VERSION)
async def test_alice_sees_the_invitation(alpha: Home, mallory: ForeignServer, alice: Client, version: str) -> None:
    room = lair(mallory, version)
    event = invitation(room, alice.user_id, reason="come in")
    answer = await invite(mallory, alpha, event, shown(room))
    signed = answer["event"]
    verify_event(signed, event.room_version, ALPHA, "ed25519:key1", signing_key(11, "key1").verify_key)
    verify_event(signed, event.room_version, mallory.name, mallory.key.key_id, mallory.key.verify_key)
    assert {key: value for key, value in signed.items() if key != "signatures"} == {
        key: value for key, value in event.pdu.items() if key != "signatures"
    }
    told = (await alice.sync()).room(room.room_id, "invite")["invite_state"]["events"]
    by_type = {each["type"]: each for each in told}
    assert len(by_type) == len(told) == 4
    assert by_type["m.room.name"]["content"] == {"name": "lair"}
    assert by_type["m.room.member"]["content"] == {"membership": "invite", "reason": "come in"}
    assert all(set(each) == {"type", "state_key", "sender", "content"} for each in told)


async def test_the_invitation_wakes_alice(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room = lair(mallory)
    await alice.sync()
    await invite(mallory, alpha, invitation(room, alice.user_id), shown(room))
    assert (await alice.sync()).room(room.room_id, "invite")
    assert not (await alice.sync()).get("rooms")


async def test_a_repeated_invitation_is_the_same(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room = lair(mallory)
    event = invitation(room, alice.user_id)
    for _ in range(2):
        assert (await invite(mallory, alpha, event, shown(room)))["event"]["signatures"][ALPHA]
    room.set(MALLORY, "m.room.name", {"name": "den"})
    await invite(mallory, alpha, invitation(room, alice.user_id), shown(room))
    told = (await alice.sync()).room(room.room_id, "invite")["invite_state"]["events"]
    assert [each["content"] for each in told if each["type"] == "m.room.name"] == [{"name": "den"}]


async def test_invitations_of_old(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    """v1: the event alone, answered in a pair, for room versions 1 and 2."""
    room = lair(mallory, "2")
    event = invitation(room, alice.user_id)
    body = {**event.pdu, "unsigned": {"invite_room_state": shown(room)}}
    uri = request_uri(f"{V1}/invite", room.room_id, event.event_id)
    status, answer = (await mallory.raw(alpha.server, "PUT", uri, body)).json()
    assert status == 200
    verify_event(
        answer["event"], event.room_version, ALPHA, "ed25519:key1", signing_key(11, "key1").verify_key
    )  # fmt: skip
    assert await is_invited(alice, room.room_id)
    newer = invitation(lair(mallory, "10"), alice.user_id)
    uri = request_uri(f"{V1}/invite", newer.room_id, newer.event_id)
    await mallory.ask(alpha.server, "PUT", uri, newer.pdu, expect=400)
    for state in ({}, "x", 7):
        again = invitation(room, alice.user_id)
        uri = request_uri(f"{V1}/invite", room.room_id, again.event_id)
        body = {**again.pdu, "unsigned": {"invite_room_state": state}}
        await mallory.ask(alpha.server, "PUT", uri, body, expect=WRONG)


async def test_unknown_versions(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    event = invitation(lair(mallory), alice.user_id)
    for version in ("99", "", "org.example", "x" * 100_000):
        answer = await invite(
            mallory, alpha, event, [], version=version, expect=(400, "M_INCOMPATIBLE_ROOM_VERSION")
        )  # fmt: skip
        assert answer["room_version"] == version[:64]
    await invite(mallory, alpha, event, [], version="1", expect=400)
    await invite(mallory, alpha, event, [], version=7, expect="M_BAD_JSON")


async def test_we_sign_invitations_and_nothing_else(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room, other = lair(mallory), lair(mallory, name="den")
    event = invitation(room, alice.user_id)

    def changed(**changes: Any) -> Event:
        return hash_and_sign({**event.pdu, **changes}, ROOM_VERSIONS["10"], mallory.name, mallory.key)

    attempts: list[tuple[Event, dict[str, Any], Any]] = [
        (changed(content={"membership": "join"}), {}, WRONG),
        (changed(content={"membership": "ban"}), {}, WRONG),
        (changed(content={}), {}, WRONG),
        (changed(type="m.room.power_levels"), {}, WRONG),
        (changed(type="m.room.message", content={"body": "I owe you"}), {}, WRONG),
        (changed(sender="@eve:other.example"), {}, REFUSED),
        (changed(sender=alice.user_id), {}, REFUSED),
        (changed(state_key="@eve:peer.example"), {}, WRONG),
        (changed(state_key="alice"), {}, WRONG),
        (changed(room_id=other.room_id), {"room_id": room.room_id}, WRONG),
        (event, {"room_id": other.room_id}, WRONG),
        (event, {"event_id": "$" + "a" * 43}, WRONG),
        (event, {"pdu": {**event.pdu, "signatures": {}}}, REFUSED),
        (event, {"pdu": {**event.pdu, "content": {"membership": "invite", "displayname": "Boss"}}}, WRONG),
        (event, {"pdu": {**event.pdu, "depth": -1}}, "M_BAD_JSON"),
        (event, {"pdu": {}}, WRONG),
    ]
    for each, how, expect in attempts:
        answer = await invite(mallory, alpha, each, shown(room), expect=expect, **how)
        assert "event" not in answer
    assert not await is_invited(alice, room.room_id)


async def test_nobody_is_invited_who_is_not_there(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room = lair(mallory)
    await invite(mallory, alpha, invitation(room, "@nobody:alpha.example"), shown(room), expect=REFUSED)
    gone = await alpha.server.register("gone")
    await gone.post(("account", "deactivate"), {"auth": gone.password_auth()})
    await invite(mallory, alpha, invitation(room, gone.user_id), shown(room), expect=REFUSED)


async def test_who_wants_no_invitations_gets_none(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room = lair(mallory)
    await alice.put(("user", alice.user_id, "account_data", CONFIG), {"default_action": "block"})
    event = invitation(room, alice.user_id)
    await invite(mallory, alpha, event, shown(room), expect=(403, "M_INVITE_BLOCKED"))
    await alice.put(("user", alice.user_id, "account_data", CONFIG), {})
    await invite(mallory, alpha, event, shown(room))
    assert await is_invited(alice, room.room_id)


async def test_invitations_of_ignored_users_are_not_shown(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room = lair(mallory)
    ignored = {"ignored_users": {MALLORY: {}}}
    await alice.put(("user", alice.user_id, "account_data", "m.ignored_user_list"), ignored)
    await invite(mallory, alpha, invitation(room, alice.user_id), shown(room))
    assert not await is_invited(alice, room.room_id)


async def test_a_huge_state_is_refused(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room = lair(mallory)
    name = {"type": "m.room.name", "state_key": "", "sender": MALLORY, "content": {"name": "x" * 60_000}}
    event = invitation(room, alice.user_id)
    await invite(mallory, alpha, event, [name] * 10, expect=WRONG)
    await invite(mallory, alpha, event, [{}] * 101, expect=WRONG)
    await invite(mallory, alpha, event, [name] * 100, expect=(413, "M_TOO_LARGE"))
    assert not await is_invited(alice, room.room_id)


@pytest.fixture
async def strict(world: World) -> AsyncIterator[Home]:
    async with running_home("strict.example", 3, world, rate_limits=RateLimitSettings()) as home:
        yield home


@pytest.fixture
async def ivans(world: World) -> AsyncIterator[Peer]:
    async with running_peer(world.authority.context("ivan.example")) as peer:
        world.dns.point("ivan.example", FEDERATION_PORT, peer.port)
        yield peer


async def test_a_flood_ends(strict: Home, mallory: ForeignServer, ivans: Peer) -> None:
    carol = await strict.server.register("carol")
    room = lair(mallory)
    state = [{key: pdu[key] for key in ("type", "state_key", "sender", "content")} for pdu in shown(room)]
    for number in range(DEFAULT_RATES["invite_received"].burst):
        await invite(mallory, strict, invitation(room, carol.user_id, number=number), state)
    await invite(mallory, strict, invitation(room, carol.user_id), state, expect=(429, "M_LIMIT_EXCEEDED"))
    # Others are not kept away from Carol by that, nor Mallory from others.
    ivan = ForeignServer(ivans, "ivan.example", signing_key(5))
    den = ivan.host(ForeignRoom.create("10", "@ivan:ivan.example", key=ivan.key))
    event = den.build("@ivan:ivan.example", "m.room.member", {"membership": "invite"}, carol.user_id)
    event = hash_and_sign({**event.pdu, "origin": ivan.name}, den.version, ivan.name, ivan.key)
    await invite(ivan, strict, event, [])
    await invite(mallory, strict, invitation(room, "@dave:strict.example"), state, expect=REFUSED)


async def test_a_room_that_we_are_in_gets_the_event_on_the_ordinary_way(
    alpha: Home, mallory: ForeignServer, alice: Client
) -> None:  # fmt: skip
    """We sign; then Mallory's server sends it to everybody, us included."""
    room_id = await open_room(alice, join_rule="invite", power_level_content_override={"invite": 0})
    await stores(alpha.server, room_id, member(MALLORY, "invite", alice.user_id))
    room = await mallory.join(alpha.server, room_id, MALLORY)
    dora = await alpha.server.register("dora")
    event = invitation(room, dora.user_id)
    signed = (await invite(mallory, alpha, event, []))["event"]
    assert not await is_invited(dora, room_id)
    assert await mallory.send(alpha.server, [signed]) == {event.event_id: {}}
    assert await is_invited(dora, room_id)
    await invite(mallory, alpha, invitation(room, dora.user_id), [], version="11", expect=REFUSED)


async def test_the_acl_of_a_room_of_ours_counts(alpha: Home, mallory: ForeignServer, alice: Client) -> None:
    room_id = await open_room(alice)
    room = await mallory.join(alpha.server, room_id, MALLORY)
    dora = await alpha.server.register("dora")
    await alice.set_state(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["peer.example"]})
    await invite(mallory, alpha, invitation(room, dora.user_id), [], expect=REFUSED)
