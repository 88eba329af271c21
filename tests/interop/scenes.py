"""Scenes that several stories begin with."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.interop.player import ClientError, Player

PATIENCE_SECONDS = 30.0


async def meet(host: Player, *guests: Player, encrypted: bool = True) -> str:
    """The host makes a room and invites; all join, and each client knows of every other. Only js makes plain rooms."""
    plain = {} if encrypted else {"encrypted": False}
    invited = [guest.user_id for guest in guests]
    room_id = str(await host.ask("create_room", name="Tea", invite=invited, **plain))
    for guest in guests:
        await guest.ask("join", room_id=room_id)
    everybody = (host, *guests)
    for player in everybody:
        for other in everybody:
            await player.ask("wait_member", room_id=room_id, user_id=other.user_id, **plain)
    return room_id


async def eventually(player: Player, question: str, **arguments: Any) -> Any:
    """Asks again until the answer is true: a client learns of devices and signatures by sync, when that comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := await player.ask(question, **arguments)):
        if time.monotonic() > deadline:
            raise ClientError(f"{player}: {question}({arguments}) stayed {answer!r}; its log: {player.log}")
        await asyncio.sleep(0.1)
    return answer


async def say(speaker: Player, room_id: str, body: str, *listeners: Player) -> str:
    """Sends an encrypted message and sees it arrive, decrypted, at every listener; returns its event id."""
    event_id = str(await speaker.ask("send", room_id=room_id, body=body))
    for listener in listeners:
        heard = await listener.ask("wait_message", room_id=room_id, body=body)
        assert heard["sender"] == speaker.user_id
        assert heard["event_id"] == event_id
        assert heard["encrypted"], f"{listener} got {body!r} in the clear"
    return event_id
