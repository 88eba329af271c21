"""Mallory asks for a hundred lists of a thousand rooms; everybody else is answered meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from homeserver.services.sliding_sync.lists import LOOKS_BETWEEN_BREATHS, Candidates, chosen
from homeserver.services.sliding_sync.request import ListConfig, RoomFilter, Rules
from homeserver.services.sliding_sync.required_state import RoomConfig
from homeserver.services.sliding_sync.room_facts import Facts
from homeserver.services.sliding_sync.user_marks import Marks
from homeserver.storage.memberships import Membership

ROOMS, LISTS = 1_000, 100


def candidates() -> Candidates:
    order = [
        Membership(f"!{number}:test", number, "join", number, "@mallory:test", False, number)
        for number in range(ROOMS)
    ]  # fmt: skip
    return Candidates(order, {each.room_id: Facts(name=f"Room {each.room_nid}") for each in order}, Marks(0))


def rules(lists: int, name_like: str = "room") -> Rules:
    config = RoomConfig(1, frozenset())
    return Rules({str(number): ListConfig(config, None, RoomFilter(name_like=name_like)) for number in range(lists)})


async def test_others_have_their_turns_in_between() -> None:
    turns = 0

    async def everybody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(everybody_else())
    windows, counts, relevant = await chosen(rules(LISTS), candidates())
    others.cancel()
    assert turns >= LISTS * ROOMS / LOOKS_BETWEEN_BREATHS / 2
    assert set(counts.values()) == {ROOMS} == {len(relevant)}
    assert len(windows) == LISTS


async def test_what_is_quickly_done_is_done_at_once() -> None:
    with pytest.raises(StopIteration) as done:
        chosen(rules(1, "room 99"), candidates()).send(None)
    assert done.value.value[1] == {"0": 11}
