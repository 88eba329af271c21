"""MSC4195: clients know one address of the SFU, and the token says where the room is."""

from __future__ import annotations

from pathlib import Path

import pytest
from livekit import rtc

from config.settings import Settings, VoiceSettings
from tests.cast import Client, Server
from tests.homeserver import server_settings
from tests.voice.callers import SFU_URL, ask_homeserver, sfu_get
from tests.voice.calls.telephone import Caller, until
from voice import tokens

SFU_PATH = "/livekit/sfu"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, voice=VoiceSettings(workers=0, port=0, bind="127.0.0.1"))


async def connect(server: Server, client: Client, room_id: str, url: str, jwt: str) -> Caller:
    caller = Caller(rtc.Room())
    caller.listen()
    await caller.room.connect(url.replace("ws://localhost:8008", server.base_url.replace("http", "ws")), jwt)
    return caller


async def test_people_meet_whichever_way_they_came(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    older = await sfu_get(alice, room_id)
    from_alice = await connect(server, alice, room_id, older["url"], older["jwt"])
    from_bob = await connect(server, bob, room_id, SFU_URL, (await ask_homeserver(bob, room_id, "m1"))["jwt"])
    try:
        identity = tokens.member_identity("@bob:test", "m1")
        await until(lambda: identity in from_alice.room.remote_participants, "Bob's coming")
        await bob.leave(room_id)
        await until(lambda: "disconnected" in from_bob.seen, "Bob's end")
    finally:
        await from_alice.room.disconnect()
        await from_bob.room.disconnect()


async def test_tokens_that_are_not_ours_lead_nowhere(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    jwt = (await ask_homeserver(alice, room_id))["jwt"]
    nobody = server.anonymous()
    for path in ("rtc/validate", "rtc/v1/validate"):
        assert (await nobody.raw("GET", f"{SFU_PATH}/{path}", query={"access_token": jwt})).status == 200
        for wrong in (jwt[:-2], "nonsense", "", "x" * 10_000):
            refused = await nobody.raw("GET", f"{SFU_PATH}/{path}", query={"access_token": wrong})
            assert refused.status == 404
            assert refused.json()["errcode"] == "M_NOT_FOUND"
    await nobody.get(f"{SFU_PATH}/rtc/v1", access_token="nonsense", expect=404)
