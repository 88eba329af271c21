"""LiveKit comes and goes, and there may be several of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from livekit import rtc

from tests.voice.backends.places import Place, livekit_at, place_at, running, webhooks
from tests.voice.backends.stand_in import StandIn, stand_in
from tests.voice.calls.telephone import Caller, until
from voice.sfu.backend import Joined, LeaveReason, Left, RoomOptions, RoomsLost, SfuUnavailable
from voice.sfu.livekit.backend import LiveKitBackend

LOOK_S = 0.1


@pytest.fixture
async def livekit() -> AsyncIterator[StandIn]:
    async with stand_in() as livekit:
        yield livekit


@pytest.fixture
async def place(livekit: StandIn) -> AsyncIterator[Place]:
    async with running(place_at(livekit.url, look_s=LOOK_S)) as place:
        yield place


async def test_without_webhooks_people_are_found_by_looking(place: Place) -> None:
    """The operator forgot them, or a firewall keeps them out."""
    alice = await place.arrive("alice")
    await alice.room.disconnect()
    await until(lambda: place.of(Left, "alice"), "her leaving")
    assert await place.backend.participants(place.room) == []


async def test_people_outlive_our_restart_and_are_told_of_at_the_start(livekit: StandIn, place: Place) -> None:
    await place.arrive("alice")
    async with running(place_at(livekit.url, look_s=LOOK_S)) as after:
        after.room = place.room
        await until(lambda: after.of(Joined, "alice"), "the news of Alice")
        assert await after.backend.remove(place.room, "alice") is True, "though its room was not asked for since"


async def test_nothing_is_told_before_everybody_is_ready_to_hear_it(livekit: StandIn, place: Place) -> None:
    await place.arrive("alice")
    backend = livekit_at([livekit.url], look_s=LOOK_S)
    told: list[object] = []
    backend.on_event(told.append)
    await backend.start()
    await asyncio.sleep(3 * LOOK_S)
    assert told == []
    await backend.watch()
    await until(lambda: told, "the news of Alice")
    await backend.stop()


async def test_when_livekit_dies_its_rooms_are_lost_once_and_are_there_again_with_it(
    livekit: StandIn, place: Place
) -> None:
    await place.arrive("alice")
    await livekit.crash()
    await until(lambda: RoomsLost([place.room]) in place.told, "the loss")
    with pytest.raises(SfuUnavailable):
        await place.open()
    with pytest.raises(SfuUnavailable):
        await place.backend.remove(place.room, "alice")
    await asyncio.sleep(5 * LOOK_S)
    assert place.told.count(RoomsLost([place.room])) == 1
    assert place.of(Left, "alice") == []
    await livekit.start()
    # By the client's own attempts with its old token, for which nobody asks us for a room.
    await until(lambda: place.room in livekit.server.registry.rooms, "the room")
    await place.arrive("alice")


async def test_a_restart_between_two_looks_is_a_loss_and_no_departure(livekit: StandIn) -> None:
    async with running(place_at(livekit.url, look_s=1.0)) as place:
        await place.arrive("alice")
        await livekit.crash()
        await livekit.start()
        await until(lambda: place.told[-1] == RoomsLost([place.room]), "the loss")
        assert place.of(Left, "alice") == []
        await until(lambda: place.room in livekit.server.registry.rooms, "the room")


async def test_rooms_that_livekit_has_forgotten_we_forget_too(livekit: StandIn, place: Place) -> None:
    assert isinstance(place.backend, LiveKitBackend)
    await place.open()
    await place.backend.ensure_room("another", RoomOptions())
    livekit.server.registry.rooms.pop("another")
    await until(lambda: len(place.backend.placements) == 1)  # type: ignore[attr-defined]
    assert place.backend.memory_usage() == {
        "rooms": 0, "participants": 0, "departed": 0, "placed": 1, "void_tokens": 0,
    }  # fmt: skip


async def test_a_livekit_that_refuses_our_key_is_one_that_is_not_there(livekit: StandIn) -> None:
    backend = livekit_at([livekit.url], secret="another secret of more than 32 characters")
    await backend.start()
    with pytest.raises(SfuUnavailable, match="unauthenticated"):
        await backend.ensure_room("kitchen", RoomOptions())
    assert backend.numbers()["a"].failed == 1
    await backend.stop()


async def test_a_livekit_that_does_not_answer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.sfu.livekit.cluster.ANSWER_SECONDS", 0.2)

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await reader.read()
        writer.close()

    deaf = await asyncio.start_server(never, "127.0.0.1", 0)
    backend = livekit_at([f"ws://127.0.0.1:{deaf.sockets[0].getsockname()[1]}"])
    await backend.start()
    began = time.monotonic()
    with pytest.raises(SfuUnavailable):
        await backend.participants("kitchen")
    assert time.monotonic() - began < 2
    assert backend.numbers()["a"].reachable is False
    await backend.stop()
    deaf.close()


# --- several -------------------------------------------------------------------------------------------------------


@pytest.fixture
async def overseas() -> AsyncIterator[StandIn]:
    async with stand_in() as livekit:
        yield livekit


@pytest.fixture
async def world(livekit: StandIn, overseas: StandIn) -> AsyncIterator[Place]:
    """Regions a (the first) and b."""
    async with running(Place(livekit_at([livekit.url, overseas.url], look_s=LOOK_S))) as place:
        yield place


async def test_a_room_is_where_its_channel_wants_it(livekit: StandIn, overseas: StandIn, world: Place) -> None:
    ensure = world.backend.ensure_room
    assert await ensure("home", RoomOptions()) == livekit.url
    assert await ensure("abroad", RoomOptions(region="b")) == overseas.url
    assert await ensure("nowhere", RoomOptions(region="atlantis")) == livekit.url
    assert set(livekit.server.registry.rooms) == {"home", "nowhere"}
    assert set(overseas.server.registry.rooms) == {"abroad"}


async def test_everything_is_asked_of_the_cluster_that_has_the_room(overseas: StandIn, world: Place) -> None:
    await world.backend.ensure_room(world.room, RoomOptions(region="b"))
    alice = await _join(world, overseas, "alice")
    await until(lambda: world.of(Joined, "alice"), "the news of Alice")
    assert await world.identities() == ["alice"]
    assert await world.backend.remove(world.room, "alice") is True
    await until(lambda: "disconnected" in alice.seen, "her end")
    assert world.of(Left, "alice")[0].reason is LeaveReason.REMOVED  # type: ignore[union-attr]


async def _join(world: Place, cluster: StandIn, identity: str) -> Caller:
    guest = Caller(rtc.Room())
    guest.listen()
    await guest.room.connect(cluster.url, world.token(identity))
    world.guests.append(guest)
    return guest


async def test_a_room_changes_its_region_when_nobody_is_in_it(
    livekit: StandIn, overseas: StandIn, world: Place
) -> None:
    ensure = world.backend.ensure_room
    await ensure(world.room, RoomOptions())
    alice = await _join(world, livekit, "alice")
    await until(lambda: world.of(Joined, "alice"), "the news of Alice")
    assert await ensure(world.room, RoomOptions(region="b")) == livekit.url, "she would hear nobody there"
    await alice.room.disconnect()
    await until(lambda: world.of(Left, "alice"), "her leaving")
    assert await ensure(world.room, RoomOptions(region="b")) == overseas.url
    assert world.room not in livekit.server.registry.rooms, "nobody gets in there with an older token"


async def test_who_is_in_a_room_at_the_wrong_cluster_is_sent_to_the_right_one(
    livekit: StandIn, overseas: StandIn, place: Place
) -> None:
    """The channel got another region while our server was down."""
    alice = await place.arrive("alice")
    await place.backend.stop()
    world = Place(livekit_at([livekit.url, overseas.url], look_s=LOOK_S), room=place.room)
    assert isinstance(world.backend, LiveKitBackend)
    world.backend.on_event(world.told.append)
    await world.backend.start()
    assert await world.backend.ensure_room(place.room, RoomOptions(region="b")) == overseas.url
    await world.backend.watch()
    await until(lambda: "disconnected" in alice.seen, "her end")
    assert world.of(Joined, "alice") == []
    assert world.room not in livekit.server.registry.rooms
    await world.backend.stop()


async def test_one_cluster_that_is_down_is_no_trouble_to_the_other(
    livekit: StandIn, overseas: StandIn, world: Place
) -> None:
    overseas.webhook_url = ""
    await livekit.crash()
    await world.backend.ensure_room(world.room, RoomOptions(region="b"))
    await _join(world, overseas, "alice")
    await until(lambda: world.of(Joined, "alice"), "the news of Alice")
    assert not [each for each in world.told if isinstance(each, RoomsLost)]
    assert isinstance(world.backend, LiveKitBackend)
    await until(lambda: world.backend.numbers()["a"].reachable is False, "the loss")  # type: ignore[attr-defined]
    assert world.backend.numbers()["b"].reachable is True
    await livekit.start()


async def test_reports_of_both_clusters_are_believed(livekit: StandIn, overseas: StandIn) -> None:
    async with (
        running(Place(livekit_at([livekit.url, overseas.url], look_s=60))) as world,
        webhooks(world.backend) as url,
    ):
        livekit.webhook_url = overseas.webhook_url = url
        await world.backend.ensure_room(world.room, RoomOptions(region="b"))
        await _join(world, overseas, "alice")
        await until(lambda: world.of(Joined, "alice"), "the news of Alice")
