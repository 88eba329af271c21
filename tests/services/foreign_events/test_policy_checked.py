"""Mallory's room has a policy server that takes its time; Alice's has another one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from homeserver.protocol.events import Event
from homeserver.protocol.policy_server import PolicyServer
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.services.foreign_events import policy_checked
from homeserver.services.foreign_events.outcomes import Arrival, Verdict
from homeserver.services.foreign_events.policy_checked import ASKED_AT_ONCE, ASKED_OF_ONE, ReceivePolicyChecked
from homeserver.services.rooms.room_cache import RoomCache

KEY = bytes(32)


def arrival(number: int) -> Arrival:
    pdu = {
        "type": "m.room.message", "sender": "@bob:peer.example", "room_id": "!r:peer.example", "content": {},
        "origin_server_ts": 0, "depth": 1, "prev_events": [], "auth_events": [],
    }  # fmt: skip
    return Arrival(Event.from_pdu(pdu, ROOM_VERSIONS["11"], f"${number}"))


class Servers:
    """Signs for everybody but slow.example."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.awake = asyncio.Event()

    async def sign(self, policy_server: PolicyServer, event: Event, *, insist: bool = False) -> Event:
        self.asked.append(policy_server.name)
        if policy_server.name == "slow.example":
            await self.awake.wait()
        return event


class Rooms:
    async def get(self, room_id: str) -> Any:
        return room_id


async def test_a_slow_policy_server_holds_up_its_own_rooms_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_checked, "policy_server_in", lambda room: PolicyServer(cast("str", room), KEY))
    received: list[str] = []

    async def receive(room_id: str, arrivals: Sequence[Arrival]) -> list[Verdict]:
        received.append(room_id)
        return []

    servers = Servers()
    checked = ReceivePolicyChecked(cast("RoomCache", Rooms()), receive, servers)
    slow = asyncio.create_task(checked("slow.example", [arrival(number) for number in range(2 * ASKED_AT_ONCE)]))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(checked("quick.example", [arrival(number) for number in range(10)]), 5)
    assert received == ["quick.example"]
    assert servers.asked.count("slow.example") == ASKED_OF_ONE
    servers.awake.set()
    await slow
    assert servers.asked.count("slow.example") == 2 * ASKED_AT_ONCE
