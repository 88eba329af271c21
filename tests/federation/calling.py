"""Servers with SFUs of their own, and people with LiveKit's SDK at any of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from livekit import rtc

from config.settings import FederationSettings, ListenerSettings, VoiceSettings
from tests.cast import Client, Server
from tests.federation.conftest import FEDERATION_PORT, World
from tests.federation.peers import signing_key
from tests.homeserver import running_homeserver, server_settings
from tests.voice.callers import SERVICE, openid
from tests.voice.calls.telephone import Caller, encryption
from tests.voice.seats import CALL_MEMBER

SECRET = encryption(b"between Alice and Bob")


@contextlib.asynccontextmanager
async def calling_home(name: str, number: int, world: World) -> AsyncIterator[Server]:
    """A homeserver with a media worker inside the test's process, known to the others by its name."""
    settings = server_settings(
        world.folder / name,
        server_name=name,
        listeners=(ListenerSettings(port=0), ListenerSettings(port=0, tls=world.authority.issue(name))),
        federation=FederationSettings(ca_file=world.authority.ca_file, ip_denylist=()),
        voice=VoiceSettings(workers=0, port=0, bind="127.0.0.1"),
    )
    database = await world.postgres.clone()
    try:
        async with running_homeserver(
            settings,
            world.postgres.dsn_of(database),
            world.clock,
            dns=world.dns,
            signing_key=signing_key(10 + number, f"key{number}"),
            public_baseurl=f"http://{name}",
        ) as server:
            world.dns.point(name, FEDERATION_PORT, server.ports[1])
            yield server
    finally:
        await world.postgres.drop(database)


async def token_at(sfu: Server, client: Client, room_id: str, member_id: str | None = None) -> tuple[str, str]:
    """Address and token for who shows an OpenID token of his own server; with `member_id`, of the newer generation."""
    credential = await openid(client)
    body: dict[str, Any] = {"room": room_id, "openid_token": credential, "device_id": client.device_id}
    path = f"{SERVICE}/sfu/get"
    if member_id is not None:
        member = {"id": member_id, "claimed_user_id": client.user_id, "claimed_device_id": client.device_id}
        body = {"room_id": room_id, "slot_id": "m.call#ROOM", "openid_token": credential, "member": member}
        path = f"{SERVICE}/get_token"
    answer = await sfu.anonymous().post(path, body)
    # Where the test's server listens is not where it says that it is.
    url = answer["url"].replace(f"ws://{sfu.server_name}", sfu.base_url.replace("http", "ws"))
    return url, answer["jwt"]


@contextlib.asynccontextmanager
async def in_call(sfu: Server, client: Client, room_id: str, member_id: str | None = None) -> AsyncIterator[Caller]:
    """Connected to that server's SFU, with the key that all of the story share."""
    caller = Caller(rtc.Room())
    caller.listen()
    url, jwt = await token_at(sfu, client, room_id, member_id)
    await caller.room.connect(url, jwt, rtc.RoomOptions(encryption=SECRET))
    try:
        yield caller
    finally:
        await caller.room.disconnect()


async def announce(client: Client, room_id: str, sfu: Server, selection: str = "multi_sfu") -> None:
    """The call membership as a state event, with the SFU at which its sender publishes."""
    focus = {"type": "livekit", "livekit_service_url": service_of(sfu), "livekit_alias": room_id}
    content = {
        "application": "m.call",
        "call_id": "",
        "scope": "m.room",
        "device_id": client.device_id,
        "expires": 14_400_000,
        "focus_active": {"type": "livekit", "focus_selection": selection},
        "foci_preferred": [focus],
    }
    await client.set_state(room_id, CALL_MEMBER, content, f"_{client.user_id}_{client.device_id}_m.call")


def service_of(sfu: Server) -> str:
    """Where that server says that its token service is."""
    return str(sfu.application.calls.well_known["org.matrix.msc4143.rtc_foci"][0]["livekit_service_url"])


async def announced(client: Client, room_id: str) -> set[str]:
    """Who is in the call by the state that this client's server has."""
    state = await client.get(("rooms", room_id, "state"))
    return {each["sender"] for each in state if each["type"] == CALL_MEMBER and each["content"].get("application")}


async def roster(client: Client, room_id: str) -> dict[str, Any]:
    """Who is in the channel as this client's server tells it, each with his first device."""
    content = await client.get(f"/_voicechat/client/v1/rooms/{room_id}/voice")
    return {user_id: devices[0] for user_id, devices in content["participants"].items()}


async def seated(client: Client, room_id: str) -> set[str]:
    return set(await roster(client, room_id))


async def eventually(
    look: Callable[[Client, str], Awaitable[Any]], client: Client, room_id: str, expected: object, seconds: float = 5.0
) -> None:
    """Ask until the answer is as expected."""
    deadline = time.monotonic() + seconds
    while (found := await look(client, room_id)) != expected:
        assert time.monotonic() < deadline, f"{found!r}, not {expected!r}"
        await asyncio.sleep(0.02)
