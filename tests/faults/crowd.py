"""Clients that keep sending whatever happens, and remember which events the server acknowledged."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from tests.cast import Client, Server

PATIENCE_SECONDS = 90.0


@dataclass(slots=True)
class Sender:
    """One client in one room. A message without an answer is sent again under the same transaction id."""

    client: Client
    room_id: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Transaction id -> event id."""
    statuses: Counter[int] = field(default_factory=Counter)

    async def send_until(self, enough: asyncio.Event) -> None:
        number = 0
        while not enough.is_set():
            number += 1
            await self.send(f"{self.client.user_id}-{number}")

    async def send(self, txn_id: str) -> None:
        """Until it is acknowledged."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (event_id := await self.attempt(txn_id)) is None:
                await asyncio.sleep(0.05)
        self.acknowledged[txn_id] = event_id

    async def attempt(self, txn_id: str, *, padding: int = 0) -> str | None:
        """The event id, None where the server did not acknowledge."""
        path = ("rooms", self.room_id, "send", "m.room.message", txn_id)
        body = {"msgtype": "m.text", "body": txn_id + "x" * padding}
        try:
            answer = await self.client.raw("PUT", path, data=_json(body), headers={"Content-Type": "application/json"})
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.statuses[0] += 1
            return None
        self.statuses[answer.status] += 1
        assert answer.status in (200, 503), answer
        return str(answer.json()["event_id"]) if answer.status == 200 else None


def _json(value: object) -> bytes:
    import orjson

    return orjson.dumps(value)


async def make_crowd(server: Server, size: int = 8) -> list[Sender]:
    """Half of them share one room, the others have one each."""
    clients = [await server.register(f"sender{number}") for number in range(size)]
    shared = await clients[0].create_room(preset="public_chat")
    senders = []
    for number, client in enumerate(clients):
        if number < size // 2:
            if number:
                await client.join(shared)
            senders.append(Sender(client, shared))
        else:
            senders.append(Sender(client, await client.create_room()))
    return senders


async def whole_timeline(client: Client, room_id: str) -> list[dict[str, object]]:
    """Every message of the room."""
    events: list[dict[str, object]] = []
    start = None
    while True:
        page = await client.messages(room_id, limit=500, **{"from": start} if start else {})
        events += [event for event in page["chunk"] if event["type"] == "m.room.message"]
        start = page.get("end")
        if start is None or not page["chunk"]:
            return events


async def check_nothing_lost(senders: list[Sender]) -> None:
    """Each acknowledged event is there, once, and no message is there twice."""
    for room_id in {sender.room_id for sender in senders}:
        here = [sender for sender in senders if sender.room_id == room_id]
        events = await whole_timeline(here[0].client, room_id)
        ids = Counter(str(event["event_id"]) for event in events)
        bodies = Counter(str(event["content"]["body"]) for event in events)  # type: ignore[index]
        assert max(ids.values(), default=0) <= 1
        assert {body: count for body, count in bodies.items() if count > 1} == {}
        for sender in here:
            missing = {txn for txn, event_id in sender.acknowledged.items() if event_id not in ids}
            assert missing == set(), f"{sender.client.user_id} was told of events that are not there"
