"""People of the town, and what they do while servers do not hear each other."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.cast import Client, Server

WHISPER = "org.example.whisper"


def key_body(client: Client) -> dict[str, Any]:
    """The keys of a device: the server believes them, clients would not."""
    user_id, device_id = client.user_id, client.device_id
    return {
        "device_keys": {
            "user_id": user_id,
            "device_id": device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {f"ed25519:{device_id}": secrets.token_hex(22)[:43], f"curve25519:{device_id}": "B" * 43},
            "signatures": {user_id: {f"ed25519:{device_id}": "C" * 86}},
        }
    }


async def new_device(client: Client) -> Client:
    """One more of the same user, with keys."""
    device = await client.login()
    await device.post("keys/upload", key_body(device))
    return device


async def resident(server: Server, name: str) -> Client:
    """Somebody new, with keys. Names are used once in the town."""
    client = await server.register(f"{name}-{secrets.token_hex(3)}")
    await client.post("keys/upload", key_body(client))
    return client


async def join(client: Client, room_id: str, via: str = "") -> None:
    """`via`: a server of the room, where the client's own is not in it."""
    await client.post(("join", room_id), **({"server_name": via, "via": via} if via else {}))


@dataclass(slots=True)
class Talker:
    """Somebody who talks all the time."""

    client: Client
    room_id: str
    said: list[str] = field(default_factory=list)
    """Acknowledged event ids, in order."""

    async def talk(self, until: asyncio.Event, pause_seconds: float, chance: random.Random) -> None:
        while not until.is_set():
            self.said.append(await self.client.send(self.room_id, f"{self.client.user_id} {len(self.said)}"))
            await asyncio.sleep(pause_seconds * 2 * chance.random())


@dataclass(slots=True)
class Whispers:
    """Messages from devices to devices: each is heard once, in the order of its sender."""

    told: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    heard: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    changed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Whose devices have changed, by what the syncs of each listener said."""

    async def tell(self, sender: Client, receiver: Client) -> None:
        numbers = self.told[(sender.user_id, receiver.user_id)]
        number = len(numbers)
        messages = {receiver.user_id: {receiver.device_id: {"number": number}}}
        await sender.put(("sendToDevice", WHISPER, f"{receiver.user_id}{number}"), {"messages": messages})
        numbers.append(number)

    async def listen(self, receiver: Client) -> None:
        """What the receiver's next sync says."""
        answer = await receiver.sync()
        for event in answer.to_device(WHISPER):
            self.heard[(event["sender"], receiver.user_id)].append(event["content"]["number"])
        self.changed[receiver.user_id] |= set(answer.get("device_lists", {}).get("changed", []))
