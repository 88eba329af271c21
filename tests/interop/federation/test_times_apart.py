"""Both servers go on without the other, contradict each other, and agree afterwards: what one resolves, so does the other."""

from __future__ import annotations

import asyncio

import pytest

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Person
from tests.interop.federation.scenes import MEMBER, appoint, meet, says, until_same_state

AGAIN_SECONDS = 90.0
"""Whoever was asked in vain is left alone for a while."""
LEVELS = "m.room.power_levels"


async def crowd(pair: Pair, home: str, person: MakePerson, version: str) -> tuple[Person, Person, Person, Person, str]:
    """Alice's room; Bob of the other server keeps order in it; Carol is of hers, Dave of his."""
    here, there = pair.home_and_away(home)
    alice, bob, room = await meet(pair, home, person, version)
    carol, dave = await person("carol", here), await person("dave", there)
    await carol.join(room)
    await dave.join(room, here.name)
    await appoint(alice, bob, room)
    await bob.until_state(room, MEMBER, carol.user_id, says("join"))
    await alice.until_state(room, MEMBER, dave.user_id, says("join"))
    return alice, bob, carol, dave, room


async def hear_each_other(room: str, *people: Person) -> None:
    """What each says now, all others hear; so each server has built on what the other has."""
    for author in people:
        said = await author.send(room, "we are together again")
        for reader in people:
            await reader.until_event(room, said, seconds=AGAIN_SECONDS)


@pytest.mark.parametrize("version", ["1", "2", "6", "9", "10", "11", "12"])
async def test_power_is_taken_on_one_side(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Alice takes Bob's power while he, who cannot know, throws Carol out: she stays."""
    alice, bob, carol, dave, room = await crowd(pair, home, person, version)
    with pair.apart():
        levels = (await alice.state(room))[(LEVELS, "")]["content"]
        await alice.set_state(room, LEVELS, {**levels, "users": {**levels["users"], bob.user_id: 0}})
        await bob.member(room, "kick", carol.user_id)
        await bob.set_state(room, "m.room.topic", {"topic": "by bob"})
        await carol.send(room, "am I still here?")
        said = await dave.send(room, "nobody answers")
        await asyncio.sleep(0.5)  # what is on the way gets stuck
    await alice.until_event(room, said, seconds=AGAIN_SECONDS)
    await hear_each_other(room, carol, dave)
    await until_same_state(room, alice, bob, AGAIN_SECONDS)
    for reader in (alice, dave):
        state = await reader.state(room)
        assert state[(LEVELS, "")]["content"]["users"].get(bob.user_id, 0) == 0
        assert state[(MEMBER, carol.user_id)]["content"]["membership"] == "join"


@pytest.mark.parametrize("version", ["1", "2", "10", "12"])
async def test_both_change_the_same(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Topic, name, a ban and a return: both sides take the same for what is so now, and nothing said is lost."""
    alice, bob, carol, dave, room = await crowd(pair, home, person, version)
    with pair.apart():
        said = [await alice.send(room, "alone"), await bob.send(room, "alone"), await carol.send(room, "alone too")]
        await alice.set_state(room, "m.room.topic", {"topic": "by alice"})
        await bob.set_state(room, "m.room.topic", {"topic": "by bob"})
        await bob.set_state(room, "m.room.name", {"name": "by bob"})
        await alice.set_state(room, "m.room.name", {"name": "by alice"})
        await bob.member(room, "ban", dave.user_id)
        await carol.leave(room)
        await carol.join(room)
        await asyncio.sleep(0.5)
    await hear_each_other(room, alice, bob)
    await until_same_state(room, alice, bob, AGAIN_SECONDS)
    for reader in (alice, bob):
        state = await reader.state(room)
        assert state[(MEMBER, dave.user_id)]["content"]["membership"] == "ban"
        assert state[(MEMBER, carol.user_id)]["content"]["membership"] == "join"
        history = [event["event_id"] for event in await reader.history(room)]
        assert set(said) <= set(history)
        assert len(history) == len(set(history))
