"""Where the bot listens: at the SFU of everybody who is in the call, and at none of before."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from voice.bot.ears import MAX_ELSEWHERE, Ears, FrameKeys
from voice.bot.matrix import MAX_SERVICE_BYTES, MatrixClient, Refused
from voice.bot.membership import EVENT_TYPE, services_of

ALPHA, BETA = "https://alpha.example/livekit/jwt", "https://beta.example/livekit/jwt"


@dataclass
class Provider:
    keys: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def set_key(self, identity: str, key: bytes, index: int) -> None:
        self.keys[identity, index] = key


class FakeRoom:
    """As much of the SDK's room as ears use."""

    def __init__(self) -> None:
        self.provider, self.gone = Provider(), False
        self.e2ee_manager = SimpleNamespace(key_provider=self.provider)

    async def disconnect(self) -> None:
        self.gone = True


@dataclass
class Doors:
    """Token services; those of `closed` let nobody in."""

    closed: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    rooms: dict[str, FakeRoom] = field(default_factory=dict)

    async def __call__(self, service: str) -> Any:
        self.asked.append(service)
        if service in self.closed:
            raise Refused(403, {"errcode": "M_FORBIDDEN"})
        self.rooms[service] = FakeRoom()
        return self.rooms[service]


def membership(service: object, **changed: Any) -> dict[str, Any]:
    foci = [{"type": "livekit", "livekit_service_url": service}]
    content = {"application": "m.call", "device_id": "PHONE", "foci_preferred": foci, **changed}
    return {"type": EVENT_TYPE, "sender": "@bob:beta.example", "content": content}


def test_services_are_those_of_people_in_the_call() -> None:
    state = [membership(ALPHA), membership(BETA), membership(BETA), {**membership("https://x"), "type": "m.other"}]
    assert services_of(state) == {ALPHA, BETA}
    nonsense = [membership(7), membership("file:///etc/passwd"), membership(ALPHA, foci_preferred="x")]
    nonsense += [membership([]), membership({}), membership("https://" + "x" * 5_000)]
    nonsense += [membership("http://admin.internal/delete?all="), membership("http://admin.internal/delete#")]
    over = {"type": EVENT_TYPE, "sender": "@bob:beta.example", "content": {}}
    assert services_of([*nonsense, membership(ALPHA, foci_preferred=[]), over]) == set()


async def test_a_connection_that_is_made_later_has_the_keys_of_before() -> None:
    doors, keys = Doors(), FrameKeys()
    ears = Ears(doors, keys)
    keys.set("@bob:beta.example:PHONE", b"first", 0)
    await ears.listen_at({BETA})
    keys.set("@bob:beta.example:PHONE", b"second", 1)
    room = doors.rooms[BETA]
    assert room.provider.keys == {("@bob:beta.example:PHONE", 0): b"first", ("@bob:beta.example:PHONE", 1): b"second"}
    await ears.listen_at(())
    keys.set("@bob:beta.example:PHONE", b"third", 2)
    assert room.gone
    assert len(room.provider.keys) == 2


async def test_who_is_not_let_in_asks_again_and_hears_the_others_meanwhile() -> None:
    doors = Doors(closed={ALPHA})
    ears = Ears(doors, FrameKeys())
    await ears.listen_at({ALPHA, BETA})
    doors.closed.clear()
    await ears.listen_at({ALPHA, BETA})
    assert sorted(doors.asked) == [ALPHA, ALPHA, BETA]
    await ears.close()
    assert all(room.gone for room in doors.rooms.values())


async def test_mallory_names_more_sfus_than_anybody_listens_at() -> None:
    doors = Doors()
    await Ears(doors, FrameKeys()).listen_at({f"https://{number}.example" for number in range(100)})
    assert len(doors.asked) == MAX_ELSEWHERE


async def test_a_service_that_never_answers_holds_nobody_up_for_long() -> None:
    doors = Doors()

    async def connect(service: str) -> Any:
        return await (asyncio.Event().wait() if service == ALPHA else doors(service))

    await asyncio.wait_for(Ears(connect, FrameKeys(), open_seconds=0.01).listen_at({ALPHA, BETA}), 5)
    assert doors.rooms.keys() == {BETA}


@pytest.mark.parametrize(
    "answer",
    [
        web.json_response(["no object"]),
        web.Response(text="[" * 60_000),
        web.Response(body=b"\xff"),
        web.Response(text='{"url": "' + "x" * MAX_SERVICE_BYTES + '"}'),
        web.Response(status=307, headers={"Location": "/elsewhere"}),
        web.json_response({"url": 7}),
    ],
)
async def test_an_answer_that_is_none_is_no_news(answer: web.Response, unused_tcp_port: int) -> None:
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        assert "Authorization" not in request.headers
        return answer

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    async with aiohttp.ClientSession() as http:
        client = MatrixClient(http, "http://127.0.0.1:1", token="secret")

        async def connect(service: str) -> Any:
            access = await client.ask_service(f"{service}/sfu/get", {})
            return access["url"] + access["jwt"]

        await Ears(connect, FrameKeys()).listen_at({f"http://127.0.0.1:{unused_tcp_port}"})
    await runner.cleanup()
    assert asked == ["/sfu/get"]
