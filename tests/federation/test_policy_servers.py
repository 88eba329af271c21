"""Alice's room at alpha has its events checked by peer.example, where Mallory is, too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings, WellKnownSettings
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.policy_server import KEY_ID
from homeserver.protocol.room_versions import ROOM_VERSIONS
from homeserver.protocol.signing import SigningKey, sign_event
from homeserver.services.rooms.appender import MAX_ASKING
from tests.cast import Client, Server
from tests.federation.conftest import Home
from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Asked, Peer, Refusal
from tests.federation.shared_rooms import mirrored, shared_room
from tests.homeserver import server_settings
from tests.voice.waiting import until

BOB = "@bob:peer.example"
SIGN = "/_matrix/policy/v1/sign"
VERSION = "11"


class PolicyService:
    """A small policy server: it signs what has no bad word in it. `asked`: the events that it saw."""

    def __init__(self, foreign: ForeignServer) -> None:
        self.name = foreign.name
        self.key = SigningKey.from_seed("policy_server", bytes([7]) * 32)
        self.asked: list[dict[str, Any]] = []
        self.answer: Any = None
        foreign.peer.serves("POST", SIGN, self.sign)

    @property
    def content(self) -> dict[str, Any]:
        return {"via": self.name, "public_keys": {"ed25519": encode_base64(self.key.verify_key)}}

    def signature(self, pdu: dict[str, Any]) -> dict[str, Any]:
        signed = sign_event({**pdu, "signatures": {}}, ROOM_VERSIONS[VERSION], self.name, self.key)
        signatures: dict[str, Any] = signed["signatures"]
        return signatures

    async def sign(self, asked: Asked) -> Any:
        self.asked.append(asked.body)
        if self.answer is not None:
            return await self.answer(asked) if asyncio.iscoroutinefunction(self.answer) else self.answer
        if "spam" in str(asked.body["content"]):
            raise Refusal(400, "M_FORBIDDEN")
        return self.signature(asked.body)

    def types(self) -> list[str]:
        return [each["type"] for each in self.asked]


@pytest.fixture
def foreign(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


@pytest.fixture
def service(foreign: ForeignServer) -> PolicyService:
    return PolicyService(foreign)


async def guarded_room(
    alpha: Home, foreign: ForeignServer, service: PolicyService, **content: Any
) -> tuple[Client, ForeignRoom]:
    alice, room = await shared_room(alpha, foreign, version=VERSION)
    await alice.set_state(room.room_id, "m.room.policy", {**service.content, **content})
    return alice, await mirrored(alpha, foreign, room.room_id)


async def said(reader: Client, room_id: str) -> list[str]:
    chunk = (await reader.messages(room_id, limit=100))["chunk"]
    return [event["content"]["body"] for event in chunk if event["type"] == "m.room.message"]


async def test_what_alice_sends_is_signed_by_the_policy_server(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    # What names it is not for it to decide about.
    assert service.asked == []
    event_id = await alice.send(room.room_id, "hello")
    await alice.set_state(room.room_id, "m.room.topic", {"topic": "tea"})
    await alice.redact(room.room_id, event_id)
    await alice.set_state(room.room_id, "m.room.policy", {}, "other")
    assert service.types() == ["m.room.message", "m.room.topic", "m.room.redaction", "m.room.policy"]
    pdus = await alpha.server.application.foreign.pdus.pdus([event_id])
    signatures = pdus[event_id]["signatures"]
    assert signatures[service.name][KEY_ID] == service.signature(service.asked[0])[service.name][KEY_ID]
    assert set(signatures) == {"alpha.example", service.name}
    # The other server gets it with both signatures.
    await until(lambda: foreign.received)
    sent = [pdu for each in foreign.received for pdu in each["pdus"] if pdu["type"] == "m.room.message"]
    assert all(KEY_ID in pdu["signatures"][service.name] for pdu in sent)


async def test_what_it_refuses_is_not_sent(alpha: Home, foreign: ForeignServer, service: PolicyService) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    path = ("rooms", room.room_id, "send", "m.room.message", "1")
    answer = await alice.put(path, {"msgtype": "m.text", "body": "spam"}, expect=(403, "M_FORBIDDEN"))
    assert answer["error"] == "No"  # its own words
    assert await said(alice, room.room_id) == []
    # The same transaction may say something else, or the same when it is allowed.
    await alice.put(path, {"msgtype": "m.text", "body": "hello"})
    assert await said(alice, room.room_id) == ["hello"]


async def test_nobody_is_kept_in_the_room(alpha: Home, foreign: ForeignServer, service: PolicyService) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    carol = await alpha.server.register("carol")
    await carol.join(room.room_id)

    async def refuse(asked: Asked) -> Any:
        raise Refusal(400, "M_FORBIDDEN")

    service.answer = refuse
    await alice.kick(room.room_id, carol, expect=(403, "M_FORBIDDEN"))
    await carol.leave(room.room_id)
    assert (await carol.get("joined_rooms"))["joined_rooms"] == []


async def test_the_room_is_rid_of_it_without_its_consent(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    service.answer = {"nonsense": True}
    await alice.put(
        ("rooms", room.room_id, "send", "m.room.message", "1"), {"msgtype": "m.text", "body": "x"}, expect=502
    )
    await alice.set_state(room.room_id, "m.room.policy", {})
    await alice.send(room.room_id, "free")
    assert await said(alice, room.room_id) == ["free"]


NO_SIGNATURES: list[Any] = [
    {}, [], "yes", {"peer.example": {}}, {"peer.example": {KEY_ID: "AAAA"}}, {"peer.example": {KEY_ID: 5}},
    {"peer.example": {KEY_ID: "A" * 86}}, {"other.example": {KEY_ID: "A" * 86}}, b"not json", {"x": "y" * 100_000},
]  # fmt: skip


async def test_nonsense_is_no_signature(alpha: Home, foreign: ForeignServer, service: PolicyService) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    for number, answer in enumerate(NO_SIGNATURES):
        service.answer = answer
        path = ("rooms", room.room_id, "send", "m.room.message", str(number))
        await alice.put(path, {"msgtype": "m.text", "body": "x"}, expect={502, 504})
        assert len(service.asked) == number + 1
    assert await said(alice, room.room_id) == []


@pytest.mark.parametrize(
    ("status", "errcode", "expect"),
    [
        (401, "M_UNKNOWN_TOKEN", 502), (403, "M_UNKNOWN_TOKEN", 403), (404, "M_UNRECOGNIZED", 403),
        (429, "M_LIMIT_EXCEEDED", 429), (500, "M_UNKNOWN", 502), (418, "M_TEAPOT", 502),
    ],
)  # fmt: skip
async def test_no_error_of_it_signs_alice_out(
    alpha: Home, foreign: ForeignServer, service: PolicyService, status: int, errcode: str, expect: int
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)

    async def refuse(asked: Asked) -> Any:
        raise Refusal(status, errcode)

    service.answer = refuse
    path = ("rooms", room.room_id, "send", "m.room.message", "1")
    answer = await alice.put(path, {"msgtype": "m.text", "body": "x"}, expect=expect)
    assert answer["errcode"] in ("M_FORBIDDEN", "M_LIMIT_EXCEEDED", "M_UNKNOWN")


async def test_what_is_no_policy_server_is_not_asked(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    """Among them one of which nobody is in the room: rooms cannot put servers to work."""
    alice, room = await shared_room(alpha, foreign, version=VERSION)
    changes: list[dict[str, Any]] = [
        {"via": "nobody.example"}, {"via": 5}, {"public_keys": {}}, {"public_keys": {"ed25519": "short"}},
        {"public_keys": {"ed25519": 5}}, {"public_keys": "x"}, {"via": "not a server"},
    ]  # fmt: skip
    for change in changes:
        await alice.set_state(room.room_id, "m.room.policy", {**service.content, **change})
        await alice.send(room.room_id, f"hello, {change}")
    assert service.asked == []
    await alice.set_state(room.room_id, "m.room.policy", service.content)
    await alice.send(room.room_id, "hello")
    assert service.types() == ["m.room.message"]


async def test_when_it_has_left_it_is_not_asked(alpha: Home, foreign: ForeignServer, service: PolicyService) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    await alice.kick(room.room_id, BOB)
    asked = len(service.asked)
    await alice.send(room.room_id, "hello")
    assert len(service.asked) == asked == 1


async def test_what_comes_is_checked_and_what_is_not_recommended_is_not_shown(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    good = room.send(BOB, "hello")
    bad = room.send(BOB, "spam")
    answers = await foreign.send(alpha.server, [good, bad])
    assert answers == {good.event_id: {}, bad.event_id: {}}
    assert await said(alice, room.room_id) == ["hello"]
    assert service.types() == ["m.room.message"] * 2
    # What was asked for is kept with the event.
    pdus = await alpha.server.application.foreign.pdus.pdus([good.event_id])
    assert KEY_ID in pdus[good.event_id]["signatures"][service.name]


async def test_what_is_signed_already_is_not_asked_about(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    event = room.send(BOB, "spam, but recommended")
    signatures = {service.name: {**event.pdu["signatures"][service.name], **service.signature(event.pdu)[service.name]}}
    await foreign.send(alpha.server, [{**event.pdu, "signatures": signatures}])
    assert await said(alice, room.room_id) == ["spam, but recommended"]
    assert service.asked == []
    # With a signature that does not fit it is asked again.
    other = room.send(BOB, "hello")
    forged = {service.name: {**other.pdu["signatures"][service.name], **service.signature(event.pdu)[service.name]}}
    await foreign.send(alpha.server, [{**other.pdu, "signatures": forged}])
    assert (await said(alice, room.room_id))[0] == "hello"
    assert len(service.asked) == 1


async def test_sends_of_one_room_wait_for_each_other_and_those_of_others_do_not(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    elsewhere = await alice.create_room()
    may_go = asyncio.Event()

    async def slowly(asked: Asked) -> Any:
        await may_go.wait()
        return service.signature(asked.body)

    service.answer = slowly
    sends = [asyncio.create_task(alice.send(room.room_id, f"number {number}")) for number in range(20)]
    await until(lambda: service.asked)
    await alice.send(elsewhere, "not guarded")
    may_go.set()
    await asyncio.gather(*sends)
    assert set(await said(alice, room.room_id)) == {f"number {number}" for number in range(20)}
    # None was built twice.
    assert len(service.asked) == 20


async def test_a_slow_one_does_not_keep_the_room_from_being_rid_of_it(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    may_go = asyncio.Event()

    async def slowly(asked: Asked) -> Any:
        await may_go.wait()
        return service.signature(asked.body)

    service.answer = slowly
    sends = [
        asyncio.create_task(
            alice.raw("PUT", f"rooms/{room.room_id}/send/m.room.message/{number}", data=b'{"body":"x"}')
        )
        for number in range(MAX_ASKING + 10)
    ]
    await until(lambda: service.asked)
    answers, _ = await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result().status for task in answers} == {429}
    await alice.set_state(room.room_id, "m.room.policy", {})
    may_go.set()
    statuses = [answer.status for answer in await asyncio.gather(*sends)]
    assert statuses.count(200) == MAX_ASKING
    # One of them was signed, the others found nobody to ask any more.
    assert len(service.asked) == 1


async def test_what_came_meanwhile_is_built_upon(alpha: Home, foreign: ForeignServer, service: PolicyService) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    first = True

    async def while_bob_speaks(asked: Asked) -> Any:
        nonlocal first
        if first:
            first = False
            event = room.send(BOB, "first")
            signatures = {
                service.name: {**event.pdu["signatures"][service.name], **service.signature(event.pdu)[service.name]}
            }
            await foreign.send(alpha.server, [{**event.pdu, "signatures": signatures}])
        return service.signature(asked.body)

    service.answer = while_bob_speaks
    await alice.send(room.room_id, "second")
    assert await said(alice, room.room_id) == ["second", "first"]
    assert len(service.asked) == 2


async def test_invitations_of_users_of_others_are_signed_too(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    await alice.invite(room.room_id, "@carol:peer.example")
    assert service.types() == ["m.room.member"]
    invite = foreign.invites[room.room_id]["event"]
    assert KEY_ID in invite["signatures"][service.name]
    assert (await alice.state(room.room_id, "m.room.member", "@carol:peer.example"))["membership"] == "invite"


async def test_one_that_cannot_be_reached_lets_nothing_through(
    alpha: Home, foreign: ForeignServer, service: PolicyService
) -> None:
    alice, room = await guarded_room(alpha, foreign, service)
    events = [room.send(BOB, f"number {number}") for number in range(3)]

    async def broken(asked: Asked) -> Any:
        raise Refusal(500, "M_UNKNOWN")

    service.answer = broken
    await foreign.send(alpha.server, events)
    assert await said(alice, room.room_id) == []
    # A person who waits makes it be asked all the same, although it is left alone now.
    service.answer = None
    await alice.send(room.room_id, "hello")
    assert await said(alice, room.room_id) == ["hello"]


class TestWellKnown:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return server_settings(tmp_path, well_known=WellKnownSettings(policy_server_key="6yhHGKhCiXTSEN2ksjV7kX"))

    async def test_it_tells_the_key(self, server: Server) -> None:
        answer = await server.anonymous().get("/.well-known/matrix/policy_server")
        assert answer == {"public_keys": {"ed25519": "6yhHGKhCiXTSEN2ksjV7kX"}}


async def test_without_one_there_is_none(server: Server) -> None:
    await server.anonymous().get("/.well-known/matrix/policy_server", expect=(404, "M_NOT_FOUND"))


async def test_who_comes_in_through_us_is_checked(alpha: Home, foreign: ForeignServer, service: PolicyService) -> None:
    _, room = await guarded_room(alpha, foreign, service)
    await foreign.join(alpha.server, room.room_id, "@carol:peer.example", VERSION)
    assert service.types() == ["m.room.member"]

    async def refuse(asked: Asked) -> Any:
        raise Refusal(400, "M_FORBIDDEN")

    service.answer = refuse
    made = await foreign.ask(
        alpha.server, "GET", f"/_matrix/federation/v1/make_join/{room.room_id}/@dave:peer.example?ver={VERSION}"
    )
    join = hash_and_sign(made["event"], ROOM_VERSIONS[VERSION], foreign.name, foreign.key)
    uri = f"/_matrix/federation/v2/send_join/{room.room_id}/{join.event_id}"
    await foreign.ask(alpha.server, "PUT", uri, join.pdu, expect=(403, "M_FORBIDDEN"))
    live = await alpha.server.application.base.cache.get(room.room_id)
    assert live.membership("@carol:peer.example") == "join"
    assert live.membership("@dave:peer.example") == "leave"
