"""Sends hostile requests to every operation that the server serves, and says which answers are not to be accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.cast import Client, Server
from tests.fuzz.own_operations import DELAYED, STICKY, own_operations, with_unstable_queries
from tests.fuzz.requests import HostileRequest, make_request
from tests.spec import validator
from tests.spec.validator import Operation

# The gateway errors are documented answers about somebody else, or about a file that is on its way.
ACCEPTED_FAILURES = {502, 504}
ADMINISTRATION = (
    "/_synapse/admin/",
    "/_voicechat/admin/",
    "/_matrix/client/v1/admin/",
    "/_matrix/client/unstable/uk.timedout.msc4323/",
)
MEETINGS = "/_matrix/client/unstable/io.element.msc4388/rendezvous"
ROUNDS_ON_ONE_GROUND = 4
PAGES = (
    "/setup",
    "/static/client/login",
    "/static/client/login/",
    "/account_validity/renew",
    "/fallback/web",
    "/rtc",
    "/rtc/v1",
    "/validate",
    "/email/submit_token",
    "/unsubscribe",
)
# Pages for people in browsers, and OAuth, whose errors are not those of Matrix.
OUR_WEB = ("/_voicechat/sign-in", "/_voicechat/account", "/_voicechat/register", "/_voicechat/oauth2/")
# What would end the accounts that the siege is carried out with.
SPARED = {
    "POST /_matrix/client/v3/logout",
    "POST /_matrix/client/v3/logout/all",
    "POST /_matrix/client/v3/account/deactivate",
    "POST /_matrix/client/v3/account/password",
    "POST /_matrix/client/v3/delete_devices",
    "DELETE /_matrix/client/v3/devices/{deviceId}",
}


def served_operations(server: Server) -> Iterator[Operation]:
    """What of the specification this server has, and what it has besides."""
    yield from own_operations(server.application.edge.endpoints)
    declared = {
        (endpoint.declaration.method, _shape(path))
        for endpoint in server.application.edge.endpoints
        for path in endpoint.declaration.paths
    }
    for operation in validator.operations():
        if (operation.method, _shape(operation.path)) in declared:
            yield with_unstable_queries(operation)


def _shape(path: str) -> str:
    return "/".join("{}" if segment.startswith("{") else segment for segment in path.split("/"))


async def lay_siege(server: Server, *, rounds: int, seed: int) -> list[str]:
    """Complaints, each with the request that leads to it."""
    random = Random(seed)
    mallory, bob = await server.register("mallory"), await server.register("bob")
    # Who may everything meets other code than who is refused everywhere.
    ada, victim = await server.administrator(), await server.register("victim")
    operations = list(served_operations(server))
    complaints: list[str] = []
    known: dict[str, Any] = {}
    for number in range(rounds):
        if number % ROUNDS_ON_ONE_GROUND == 0:
            known = await _prepare(mallory, bob, number)
        random.shuffle(operations)
        for operation in operations:
            nobody = operation.key in SPARED or number % 10 == 9
            of_administrators = operation.path.startswith(ADMINISTRATION)
            client = server.anonymous() if nobody else ada if of_administrators else mallory
            about = {**known, **dict.fromkeys(("user_id", "userId"), victim.user_id)} if of_administrators else known
            complaints += await _complaints(client, operation, make_request(operation, random, about))
    return complaints


async def _prepare(mallory: Client, bob: Client, number: int) -> dict[str, Any]:
    """New ground to fight on: the last one may have been left, upgraded or closed by chance."""
    room_id = await mallory.create_room(preset="public_chat", room_alias_name=f"siege{number}", name="Siege")
    await bob.join(room_id)
    event_id = await mallory.send(room_id, "first")
    since = (await mallory.sync())["next_batch"]
    # Quarantine goes by contents.
    data = f"bytes {number}".encode()
    upload = await mallory.raw("POST", "/_matrix/media/v3/upload", data=data, headers={"Content-Type": "image/png"})
    backup = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {"public_key": "abc"}}
    version = (await mallory.post("room_keys/version", backup))["version"]
    openid = await mallory.post(("user", mallory.user_id, "openid", "request_token"))
    rooms, later = "/_matrix/client/v3/rooms", {"data": b"{}", "query": {DELAYED: 3_600_000}, "check": False}
    delayed = await mallory.raw("PUT", f"{rooms}/{room_id}/send/m.room.message/d{number}", **later)
    filter_id = (await mallory.post(("user", mallory.user_id, "filter"), {}))["filter_id"]
    return {
        **dict.fromkeys(("roomId", "room_id", "roomIdOrAlias"), room_id),
        **dict.fromkeys(("eventId", "event_id", "root_id", "m.fully_read", "m.read"), event_id),
        "relType": "m.thread",
        **dict.fromkeys(("since", "from", "to"), since),
        "userId": mallory.user_id,
        "user_id": bob.user_id,
        "device_id": mallory.device_id,
        "meeting_id": (await mallory.post(MEETINGS, {"data": ""}))["id"],
        "roomAlias": f"#siege{number}:test",
        "serverName": "test",
        "stateKey": "",
        "scope": "global",
        "server_name": "test",
        "media_id": upload.json()["content_uri"].rpartition("/")[2],
        "mediaId": upload.json()["content_uri"].rpartition("/")[2],
        "version": version,
        "filterId": filter_id,
        "eventType": "m.room.topic",
        "txnId": "t1",
        "type": "org.example.data",
        "receiptType": "m.read",
        "kind": "content",
        "ruleId": "rule1",
        "keyName": "displayname",
        "tag": "u.work",
        "sessionId": "abc",
        "dir": "b",
        "new_version": "11",
        "password": "12345678",
        "timeout": 0,
        "pattern": "tea",
        "room": room_id,
        "slot_id": "m.call#ROOM",
        "member_id": "m1",
        "access_token": openid["access_token"],
        "matrix_server_name": "test",
        "claimed_user_id": mallory.user_id,
        "claimed_device_id": mallory.device_id,
        "delay_id": delayed.json()["delay_id"],
        "delay_timeout": 10_000,
        "url": "ws://localhost:8008/livekit/sfu",
        "worker": "0",
        DELAYED: 60_000,
        STICKY: 60_000,
    }


def _is_unspecified(operation: Operation, request: HostileRequest) -> bool:
    """Delayed events, lists of push rules, pages for people and words of LiveKit have answers that no definition has."""
    path = request.target.partition("?")[0]
    rules_of_a_kind = "/pushrules/" in path and path.endswith("/")  # not a rule without a name
    is_page = operation.path.endswith(PAGES) or operation.path.startswith(OUR_WEB)
    return DELAYED in request.target or is_page or rules_of_a_kind


async def _complaints(client: Client, operation: Operation, request: HostileRequest) -> list[str]:
    try:
        async with asyncio.timeout(20):
            answer = await client.raw(
                request.method,
                request.target,
                data=request.body,
                headers=request.headers,
                encoded=True,
                check=not _is_unspecified(operation, request),
            )
    except AssertionError as error:
        return [f"{operation.key}: {error}\n  {request}"[:1500]]
    except TimeoutError:
        return [f"{operation.key}: no answer within 20 seconds\n  {request}"[:1500]]
    if answer.status >= 500 and answer.status not in ACCEPTED_FAILURES:
        return [f"{operation.key}: {answer.status} {answer.body[:300]!r}\n  {request}"[:1500]]
    return []
