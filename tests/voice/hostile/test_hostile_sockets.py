"""WebSockets of Mallory: tokens that are none, bombs, floods, silence."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import WSMsgType
from livekit.protocol import models, rtc

from tests.voice.rooms.stage import KEY, LIMITS, ROOM, SECRET
from tests.voice.rooms.test_signalling import hears_until, house, packed
from voice.sfu.backend import Grant, RoomOptions
from voice.tokens import mint

WAYS = ("/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate")


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    video = {"room": ROOM, "roomJoin": True, "canPublish": True, "canSubscribe": True}
    return {"iss": KEY, "sub": "mallory", "nbf": now - 5, "exp": now + 600, "video": video, **changed}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(**values: str) -> str:
    return b64(json.dumps(values).encode())


def forged_tokens() -> dict[str, str]:
    now = int(time.time())
    good = jwt.encode(claims(), SECRET, "HS256")
    head, body, signature = good.split(".")
    nobody = {"room": ROOM, "roomJoin": False}
    return {
        "expired": jwt.encode(claims(exp=now - 1), SECRET, "HS256"),
        "of tomorrow": jwt.encode(claims(nbf=now + 3600, exp=now + 7200), SECRET, "HS256"),
        "for ever": jwt.encode(claims(exp=now + 10**9), SECRET, "HS256"),
        "without end": jwt.encode({key: value for key, value in claims().items() if key != "exp"}, SECRET, "HS256"),
        "of another secret": jwt.encode(claims(), "another secret, and a long one at that", "HS256"),
        "of another key": jwt.encode(claims(iss="somebody"), SECRET, "HS256"),
        "alg none": jwt.encode(claims(), "", "none"),
        "alg none, signed": ".".join((_json(alg="none", typ="JWT"), body, signature)),
        "alg RS256": ".".join((_json(alg="RS256", typ="JWT"), body, signature)),
        "another HMAC": jwt.encode(claims(), SECRET, "HS512"),
        "another body": ".".join((head, _json(iss=KEY, sub="alice"), signature)),
        "no signature": f"{head}.{body}.",
        "for nothing": jwt.encode(claims(video=nobody), SECRET, "HS256"),
        "for no room": jwt.encode(claims(video={"roomJoin": True}), SECRET, "HS256"),
        "for nobody": jwt.encode(claims(sub=""), SECRET, "HS256"),
        "deep": ".".join((head, b64(b"[" * 5000), signature)),
        "wide": f"{head}.{'A' * 20_000}.{signature}",
        "words": "é.\0.{}",
        "nothing": "",
    }


@pytest.mark.parametrize("way", WAYS)
async def test_no_forged_token_opens_any_door(way: str) -> None:
    async with house() as there:
        for name, token in forged_tokens().items():
            for how in ("query", "header"):
                if how == "header" and not token.isprintable():
                    continue
                wanted: dict[str, Any] = (
                    {"params": {"access_token": token}}
                    if how == "query"
                    else {"headers": {"Authorization": f"Bearer {token}".encode().decode("latin-1")}}
                )
                answer = await there.client.get(way, **wanted)
                assert answer.status in (401, 400 if name == "wide" else 401), name
                assert SECRET not in await answer.text()
        assert not there.server.door.sessions


async def test_a_token_of_another_room_opens_no_room_that_is_not_there() -> None:
    async with house() as there:
        token = mint(KEY, SECRET, Grant("cellar", "mallory"), time.time())
        answer = await there.client.get("/rtc/v1/validate", params={"access_token": token})
        assert (answer.status, await answer.text()) == (404, "requested room does not exist")
        assert "cellar" not in there.server.registry.rooms


async def test_after_her_removal_the_old_token_is_worth_nothing_a_new_one_is() -> None:
    async with house() as there:
        query = there.query("mallory")
        socket = await there.client.ws_connect("/rtc/v1", params=query)
        await hears_until(socket, "join")
        there.server.remove(ROOM, "mallory")
        leave = (await hears_until(socket, "leave")).leave
        assert leave.reason == models.PARTICIPANT_REMOVED
        for reconnect in (False, True):
            again = {**there.query("mallory", reconnect=reconnect), "access_token": query["access_token"]}
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await there.client.ws_connect("/rtc/v1", params=again)
            assert refused.value.status == 401
        later = mint(KEY, SECRET, Grant(ROOM, "mallory"), time.time() + 2)
        assert there.server.door.gate.verify(later, time.time() + 3)
        assert not there.server.revocations.is_void(ROOM, "mallory", time.time() + 2)


def join_request(packed_request: bytes, compression: int = 0) -> str:
    wrapped = rtc.WrappedJoinRequest(join_request=packed_request, compression=compression)
    return b64(wrapped.SerializeToString())


async def test_join_requests_that_are_bombs_or_none_are_refused_in_no_time() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    began = time.process_time()
    async with house() as there:
        for text in (
            join_request(bomb, rtc.WrappedJoinRequest.GZIP),
            join_request(bomb[:100], rtc.WrappedJoinRequest.GZIP),
            join_request(b"no gzip", rtc.WrappedJoinRequest.GZIP),
            join_request(b"\xff" * 100),
            b64(b"\xff" * 100),
            "####",
            "é",
        ):
            query = {**there.query("mallory"), "join_request": text}
            answer = await there.client.get("/rtc/v1", params=query)
            assert answer.status == 400
        assert not there.server.door.sessions
    assert time.process_time() - began < 3


async def test_a_flood_of_long_messages_ends_her_and_costs_the_loop_no_long_moment() -> None:
    async with house() as there:
        socket = await there.joins("mallory")
        stalls: list[float] = []
        watch = asyncio.create_task(_watch_the_loop(stalls))
        offer = "v=0\r\n" + "a=x\r\n" * 500
        section = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{}\r\n" + "a=rtpmap:96 VP8/90000\r\n" * 500
        text = offer + "".join(section.format(number) for number in range(18))
        message = packed(offer=rtc.SessionDescription(type="offer", sdp=text))
        with pytest.raises((ConnectionError, asyncio.TimeoutError, AssertionError)):
            for _ in range(200):
                await asyncio.wait_for(socket.send_bytes(message), 5)
                assert there.server.door.sessions
        watch.cancel()
        assert not there.server.door.sessions
        assert max(stalls, default=0) < 0.25


async def _watch_the_loop(stalls: list[float]) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.001)
        stalls.append(time.monotonic() - began)


async def test_requests_that_wait_in_a_row_let_others_have_their_turn() -> None:
    """Three hundred requests at once are allowed; they are not worked off in one go."""
    async with house() as there:
        mallory = await there.joins("mallory")
        turns = 0

        async def somebody_else() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        await asyncio.gather(*(mallory.send_bytes(packed(ping=1)) for _ in range(200)))
        other = asyncio.create_task(somebody_else())
        for _ in range(200):
            await hears_until(mallory, "pong")
        other.cancel()
        assert turns >= 200


async def test_a_message_without_end_is_cut_off() -> None:
    async with house() as there:
        mallory = await there.joins("mallory")
        piece = b"\0" * 65_000
        with pytest.raises((ConnectionError, asyncio.TimeoutError)):
            for number in range(200):
                await asyncio.wait_for(_fragment(mallory, piece, first=number == 0), 5)
                await asyncio.sleep(0.001)
        while there.server.door.sessions and not there.server.registry.participant(ROOM, "mallory").signal_lost_at:  # type: ignore[union-attr]
            await asyncio.sleep(0.01)


async def _fragment(socket: aiohttp.ClientWebSocketResponse, piece: bytes, *, first: bool) -> None:
    """One frame of a message that never ends (RFC 6455 section 5.4), masked with zeros."""
    connection = socket._response.connection  # type: ignore[union-attr]
    if connection is None or connection.transport is None or connection.transport.is_closing():
        raise ConnectionError
    head = bytes((0x02 if first else 0x00, 0x80 | 126)) + len(piece).to_bytes(2) + bytes(4)
    connection.transport.write(head + piece)


async def test_places_are_kept_by_nobody_who_is_not_there() -> None:
    """Sockets that open and say nothing: each takes a place, and loses it when nothing follows."""
    async with house() as there:
        there.server.ensure_room(ROOM, RoomOptions(max_participants=5))
        sockets = [await there.joins(f"mallory{number}") for number in range(5)]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await there.joins("alice")
        participants = list(there.server.registry.rooms[ROOM].people.values())
        for participant in participants:
            participant.heard_at -= LIMITS.silence + 1
            participant.peer.wire.transport.heard_at -= LIMITS.silence + 1  # type: ignore[union-attr]
        there.server.rounds.sweep()
        await there.joins("alice")
        for socket in sockets:
            while (await socket.receive(timeout=5)).type is WSMsgType.BINARY:
                pass


async def test_the_same_name_again_and_again_is_one_person() -> None:
    async with house() as there:
        sockets = [await there.joins("mallory") for _ in range(30)]
        assert len(there.server.door.sessions) == 1
        assert len(there.server.registry.rooms[ROOM].people) == 1
        ended = 0
        for socket in sockets[:-1]:
            ended += (await hears_until(socket, "leave")).leave.reason == models.DUPLICATE_IDENTITY
        assert ended == 29
        await sockets[-1].send_bytes(packed(ping=1))
        assert (await hears_until(sockets[-1], "pong")).pong
