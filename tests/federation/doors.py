"""What stories at the doors have in common: a server of others knocks at alpha's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeserver.federation.client import request_uri
from homeserver.protocol.builder import hash_and_sign
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import ROOM_VERSIONS
from tests.cast import Client, Expected
from tests.federation.conftest import Home
from tests.federation.foreign_servers import V1, V2, ForeignServer

EVERY_VERSION = tuple(ROOM_VERSIONS)


async def make(
    bob: ForeignServer,
    home: Home,
    membership: str,
    room_id: str,
    user_id: str,
    *,
    versions: Sequence[str] = EVERY_VERSION,
    expect: Expected = 200,
) -> Any:
    """GET make_join, make_leave or make_knock."""
    query = [("ver", each) for each in versions] if membership != "leave" else None
    uri = request_uri(f"{V1}/make_{membership}", room_id, user_id, query=query)
    return await bob.ask(home.server, "GET", uri, expect=expect)


async def made(bob: ForeignServer, home: Home, membership: str, room_id: str, user_id: str, **content: Any) -> Event:
    """The template, with more content, hashed and signed."""
    answer = await make(bob, home, membership, room_id, user_id)
    template = {**answer["event"], "content": {**answer["event"]["content"], **content}, "origin": bob.name}
    return hash_and_sign(template, ROOM_VERSIONS[answer["room_version"]], bob.name, bob.key)


async def hand_in(
    bob: ForeignServer,
    home: Home,
    event: Event,
    *,
    membership: str | None = None,
    room_id: str | None = None,
    event_id: str | None = None,
    pdu: dict[str, Any] | None = None,
    version: str | None = None,
    query: str = "",
    expect: Expected = 200,
) -> Any:
    """PUT send_join, send_leave or send_knock; what is not given is as it should be."""
    membership = membership or event.content["membership"]
    version = version or (V1 if membership == "knock" else V2)
    uri = request_uri(f"{version}/send_{membership}", room_id or event.room_id, event_id or event.event_id)
    return await bob.ask(home.server, "PUT", uri + query, event.pdu if pdu is None else pdu, expect=expect)


async def open_room(alice: Client, *, version: str = "10", join_rule: str = "public", **body: Any) -> str:
    """A room of Alice's with this join rule."""
    room_id = await alice.create_room(room_version=version, preset="public_chat", **body)
    if join_rule != "public":
        await alice.set_state(room_id, "m.room.join_rules", {"join_rule": join_rule})
    return room_id


def allowing(*room_ids: str, rule: str = "restricted") -> dict[str, Any]:
    """Join rules that let members of other rooms in."""
    return {"join_rule": rule, "allow": [{"type": "m.room_membership", "room_id": each} for each in room_ids]}
