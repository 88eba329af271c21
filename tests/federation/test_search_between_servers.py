"""What beta's people find of what was said, and of who is, at alpha."""

from __future__ import annotations

from typing import Any

from tests.cast import Client
from tests.federation.conftest import ALPHA, Home
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer
from tests.federation.shared_rooms import BOB, shared_room


async def found(client: Client, term: str) -> list[str]:
    criteria = {"search_term": term, "order_by": "recent", "keys": ["content.body"]}
    answer = await client.post("search", {"search_categories": {"room_events": criteria}})
    return [each["result"]["content"]["body"] for each in answer["search_categories"]["room_events"]["results"]]


async def people(client: Client, term: str) -> list[Any]:
    return [each["user_id"] for each in (await client.post("user_directory/search", {"search_term": term}))["results"]]


async def hall(alpha: Home, beta: Home, **body: Any) -> tuple[Client, Client, str]:
    alice, bob = await alpha.server.register("alice"), await beta.server.register("bob")
    return alice, bob, await alice.create_room(**{"preset": "public_chat", **body})


async def test_history_is_found_once_it_is_here(alpha: Home, beta: Home) -> None:
    alice, bob, room = await hall(alpha, beta)
    old = [await alice.send(room, f"potato {number}") for number in range(3)]
    await alice.redact(room, old[1])
    await bob.post(("join", room), via=[ALPHA])
    await alice.send(room, "potato of today")
    await bob.sync_until(lambda sync: any("body" in event["content"] for event in sync.timeline(room)))
    assert await found(bob, "potato") == ["potato of today"]
    await bob.messages(room, limit=100)
    beta.server.clock.advance(seconds=3)
    for _ in range(100):
        rows = await beta.server.application.base.database.fetchval("SELECT count(*) FROM search_entries")
        if rows >= 3:
            break
        await bob.get("account/whoami")
    assert await found(bob, "potato") == ["potato of today", "potato 2", "potato 0"]
    assert list(await beta.server.application.base.database.fetch("SELECT * FROM search_past")) == []


async def test_redactions_from_elsewhere(alpha: Home, beta: Home) -> None:
    alice, bob, room = await hall(alpha, beta)
    await bob.post(("join", room), via=[ALPHA])
    said = await alice.send(room, "potato")
    await bob.sync_until(lambda sync: said in sync.event_ids(room))
    assert await found(bob, "potato") == ["potato"]
    redaction = await alice.redact(room, said)
    await bob.sync_until(lambda sync: redaction in sync.event_ids(room))
    assert await found(bob, "potato") == []
    words = await beta.server.application.base.database.fetch("SELECT words::text FROM search_entries")
    assert not [row for row in words if "potato" in row[0]]


async def test_people_of_rooms_that_we_come_into_and_leave(alpha: Home, beta: Home) -> None:
    alice, bob, room = await hall(alpha, beta)
    carol = await alpha.server.register("carol")
    for person, name in ((alice, "Alice Ärmel"), (carol, "Carol Ärmel")):
        await person.put(("profile", person.user_id, "displayname"), {"displayname": name})
    await carol.join(room)
    assert await people(bob, "armel") == []
    await bob.post(("join", room), via=[ALPHA])
    assert await people(bob, "armel") == [alice.user_id, carol.user_id]
    # Somebody else of beta finds them too, since the room is public, until nobody of beta is there.
    dora = await beta.server.register("dora")
    assert await people(dora, f"@carol:{ALPHA}") == [carol.user_id]
    assert await people(dora, "bob") == [bob.user_id]
    await bob.leave(room)
    assert await people(dora, "armel") == []
    assert await people(bob, "armel") == []


async def test_a_private_name_is_not_for_all(alpha: Home, beta: Home) -> None:
    """Of users elsewhere we know what they are called in rooms; what the public one says counts."""
    alice, bob, room = await hall(alpha, beta)
    secret = await alice.create_room(preset="private_chat", invite=[bob.user_id])
    await alice.set_state(room, "m.room.member", {"membership": "join", "displayname": "Official"}, alice.user_id)
    await alice.set_state(secret, "m.room.member", {"membership": "join", "displayname": "Sweetheart"}, alice.user_id)
    for each in (room, secret):
        await bob.post(("join", each), via=[ALPHA])
    dora = await beta.server.register("dora")
    assert await people(dora, "sweet") == []
    assert await people(dora, "official") == [alice.user_id]


async def test_what_postgresql_cannot_hold(alpha: Home, peer: Peer) -> None:
    """Mallory's events have characters that texts in PostgreSQL cannot have, and redact what is no id."""
    mallory = ForeignServer(peer)
    alice, room = await shared_room(alpha, mallory)
    named = room.member(BOB, "join", content={"displayname": "Bo\0b the Bad", "avatar_url": "mxc://\0"})
    said = room.send(BOB, "potato \0 chips")
    event = room.send(BOB, {"redacts": "$\0", "reason": "\0"}, "m.room.redaction")
    await mallory.send(alpha.server, [named, said, event])
    await alice.send(room.room_id, "potato salad")
    assert await found(alice, "potato") == ["potato salad", "potato \0 chips"]
    assert await people(alice, "bob the") == [BOB]
    rows = await alpha.server.application.base.database.fetchval("SELECT position FROM search_progress")
    assert rows == alpha.server.application.kernel.writer.position.current
