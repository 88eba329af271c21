"""Where the bot listens: at the SFU of everybody who is in the call, and at none of before."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from voice.bot.ears import MAX_ELSEWHERE, Ears, FrameKeys
from voice.bot.matrix import Refused
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
