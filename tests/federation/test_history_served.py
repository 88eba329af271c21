"""What alpha tells of its rooms: to peer.example, where Bob is, and to Mallory's server, which is nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.federation.keyring import SERVER_KEYS
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import has_valid_content_hash
from homeserver.protocol.room_versions import ROOM_VERSIONS, V11
from homeserver.protocol.signing import verify_json
from homeserver.services.rooms.timeline_event import REJECTED, SOFT_FAILED
from tests.cast import Client
from tests.clock import START_MS, FakeClock
from tests.dns import FakeDns
from tests.federation.asker import Asker, member, stores
from tests.federation.authority import Authority
from tests.federation.conftest import ALPHA, FEDERATION_PORT, Home
from tests.federation.peers import Peer, key_document, running_peer, signing_key

KEY, MALLORYS_KEY = signing_key(2), signing_key(4)
BOB, CAROL = "@bob:peer.example", "@carol:peer.example"
VERSION = V11
FORBIDDEN, NOT_FOUND, INVALID = (403, "M_FORBIDDEN"), (404, "M_NOT_FOUND"), (400, "M_INVALID_PARAM")


@pytest.fixture
async def asker(alpha: Home, peer: Peer) -> Asker:
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    return Asker(alpha.server, "peer.example", KEY)


@pytest.fixture
async def alice(alpha: Home) -> Client:
    return await alpha.server.register("alice")


async def room_with_bob(alpha: Home, alice: Client, *members: str, **body: Any) -> str:
    room_id = await alice.create_room(preset="public_chat", room_version="11", **body)
    await stores(alpha.server, room_id, *(member(user_id, "join") for user_id in members or (BOB,)))
    return room_id


def visible_to(visibility: str) -> dict[str, Any]:
    content = {"history_visibility": visibility}
    return {"initial_state": [{"type": "m.room.history_visibility", "state_key": "", "content": content}]}


def ids(pdus: list[dict[str, Any]]) -> list[str]:
    return [Event.from_pdu(pdu, VERSION).event_id for pdu in pdus]


def texts(pdus: list[dict[str, Any]]) -> list[str | None]:
    return [pdu["content"].get("body") for pdu in pdus if pdu["type"] == "m.room.message"]


async def mark(alpha: Home, event_id: str, flags: int) -> None:
    """As if the event had been taken off the timeline when it came."""
    statement = "UPDATE events SET position = NULL, flags = flags | $2 WHERE event_id = $1"
    await alpha.server.application.base.database.execute(statement, event_id, flags)


# --- Single events ---


async def test_an_event_comes_with_its_signature_and_hash(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    event_id = await alice.send(room_id, "hello")
    answer = await asker.get("event", event_id)
    assert (answer["origin"], answer["origin_server_ts"]) == (ALPHA, START_MS)
    [pdu] = answer["pdus"]
    assert (ids([pdu]), texts([pdu])) == ([event_id], ["hello"])
    assert has_valid_content_hash(pdu, VERSION)
    verify_json({**pdu, "content": {}}, ALPHA, "ed25519:key1", signing_key(11, "key1").verify_key)


async def test_redactions_are_pdus_in_every_room_version(alpha: Home, asker: Asker, alice: Client) -> None:
    for version, rules in ROOM_VERSIONS.items():
        room_id = await alice.create_room(preset="public_chat", room_version=version)
        await stores(alpha.server, room_id, member(BOB, "join"))
        said = await alice.send(room_id, "hello")
        redaction = (await alice.put(("rooms", room_id, "redact", said, "txn"), {"reason": "no"}))["event_id"]
        [pdu] = (await asker.get("event", redaction))["pdus"]
        event = Event.from_pdu(pdu, rules, redaction if rules.event_id_in_pdu else None)
        assert (event.event_id, event.redacts) == (redaction, said)
        assert has_valid_content_hash(pdu, rules)
        [pdu] = (await asker.get("event", said))["pdus"]
        assert pdu["content"] == {}


async def test_mallory_gets_nothing_of_rooms_he_is_not_in(
    alpha: Home, asker: Asker, alice: Client, authority: Authority, dns: FakeDns
) -> None:
    room_id = await room_with_bob(alpha, alice, **visible_to("world_readable"))
    event_id = await alice.send(room_id, "hello")
    other_room = await alice.create_room()
    other = await alice.send(other_room, "secret")
    async with running_peer(authority.context("mallory.example")) as mallory:
        dns.point("mallory.example", FEDERATION_PORT, mallory.port)
        mallory.says(SERVER_KEYS, key_document("mallory.example", MALLORYS_KEY))
        strangers = Asker(alpha.server, "mallory.example", MALLORYS_KEY)
        await everything(strangers, room_id, event_id, expect=FORBIDDEN)
    await everything(asker, other_room, other, expect=FORBIDDEN)


async def everything(asker: Asker, room_id: str, event_id: str, *, expect: Any) -> None:
    of_event = [("event_id", event_id)]
    await asker.get("event", event_id, expect=expect)
    await asker.get("backfill", room_id, query=[("v", event_id), ("limit", 9)], expect=expect)
    await asker.get("state", room_id, query=of_event, expect=expect)
    await asker.get("state_ids", room_id, query=of_event, expect=expect)
    await asker.get("event_auth", room_id, event_id, expect=expect)
    await asker.get("timestamp_to_event", room_id, query=[("ts", START_MS), ("dir", "b")], expect=expect)
    body = {"earliest_events": [], "latest_events": [event_id]}
    await asker.post("get_missing_events", room_id, body=body, expect=expect)


async def test_a_name_with_a_port_is_another_server(alpha: Home, alice: Client, peer: Peer, dns: FakeDns) -> None:
    room_id = await room_with_bob(alpha, alice, "@bob:peer.example:8449", "@bob:notpeer.example")
    peer.says(SERVER_KEYS, key_document("peer.example", KEY))
    event_id = await alice.send(room_id, "hello")
    await everything(Asker(alpha.server, "peer.example", KEY), room_id, event_id, expect=FORBIDDEN)


async def test_rooms_that_keep_a_server_out(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    event_id = await alice.send(room_id, "hello")
    await asker.get("event", event_id)
    acl = {"allow": ["*"], "deny": ["peer.*"]}
    await alice.put(("rooms", room_id, "state", "m.room.server_acl", ""), acl)
    await everything(asker, room_id, event_id, expect=FORBIDDEN)


async def test_what_does_not_exist(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id, other_room = await room_with_bob(alpha, alice), await room_with_bob(alpha, alice)
    other = await alice.send(other_room, "hello")
    await everything(asker, "!nowhere:peer.example", "$nothing", expect=NOT_FOUND)
    for event_id in ("$nothing", other):
        await asker.get("state", room_id, query=[("event_id", event_id)], expect=NOT_FOUND)
        await asker.get("state_ids", room_id, query=[("event_id", event_id)], expect=NOT_FOUND)
        await asker.get("event_auth", room_id, event_id, expect=NOT_FOUND)
        assert (await asker.get("backfill", room_id, query=[("v", event_id), ("limit", 9)]))["pdus"] == []
        body = {"earliest_events": [], "latest_events": [event_id]}
        assert await asker.post("get_missing_events", room_id, body=body) == {"events": []}


# --- Walks ---


async def test_backfill_is_newest_first_and_goes_to_the_beginning(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    said = [await alice.send(room_id, str(number)) for number in range(30)]
    pdus = (await asker.get("backfill", room_id, query=[("v", said[-1]), ("limit", 10)]))["pdus"]
    assert ids(pdus) == said[:-11:-1]
    pdus = (await asker.get("backfill", room_id, query=[("v", said[4]), ("limit", 1_000_000)]))["pdus"]
    assert (ids(pdus)[:5], pdus[-1]["type"]) == (said[4::-1], "m.room.create")
    both = [("v", said[9]), ("v", said[2]), ("v", said[9]), ("limit", 3)]
    assert ids((await asker.get("backfill", room_id, query=both))["pdus"]) == said[9:6:-1]


async def test_backfill_costs_the_same_whatever_the_length(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    for number in range(150):
        event_id = await alice.send(room_id, str(number))
    database = alpha.server.application.base.database
    await asker.get("event", event_id)

    async def costs(limit: int) -> int:
        before = database.statements
        pdus = (await asker.get("backfill", room_id, query=[("v", event_id), ("limit", limit)]))["pdus"]
        assert texts(pdus) == [str(number) for number in range(149, 149 - min(limit, 100), -1)]
        return int(database.statements - before)

    # The better of two: what the sending of the messages leaves to be done is counted too.
    assert [min(await costs(limit), await costs(limit)) for limit in (1, 20, 400)] == [2, 2, 2]


async def test_missing_events_are_oldest_first(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    said = [await alice.send(room_id, str(number)) for number in range(60)]

    async def missing(earliest: list[str], latest: list[str], **more: int) -> list[str]:
        body = {"earliest_events": earliest, "latest_events": latest, **more}
        return ids((await asker.post("get_missing_events", room_id, body=body))["events"])

    assert await asker.post("get_missing_events", room_id, body={}) == {"events": []}

    assert await missing([said[2]], [said[9]]) == said[3:9]
    assert await missing([], [said[59]]) == said[49:59]
    assert await missing([], [said[59]], limit=1000) == said[9:59]
    assert await missing([], [said[59]], limit=0) == []
    depth = (await asker.get("event", said[55]))["pdus"][0]["depth"]
    assert await missing([], [said[59]], min_depth=depth) == said[55:59]


async def test_rejected_events_are_stepped_over_and_soft_failed_ones_are_met(
    alpha: Home, asker: Asker, alice: Client
) -> None:
    room_id = await room_with_bob(alpha, alice)
    said = [await alice.send(room_id, str(number)) for number in range(6)]
    await mark(alpha, said[4], SOFT_FAILED)
    await mark(alpha, said[2], REJECTED)
    pdus = (await asker.get("backfill", room_id, query=[("v", said[5]), ("limit", 5)]))["pdus"]
    assert texts(pdus) == ["5", "4", "3", "1", "0"]
    body = {"earliest_events": [said[0]], "latest_events": [said[5]]}
    assert texts((await asker.post("get_missing_events", room_id, body=body))["events"]) == ["1", "3", "4"]
    assert texts((await asker.get("event", said[2]))["pdus"]) == ["2"]
    assert texts((await asker.get("event", said[4]))["pdus"]) == ["4"]
    for verb in ("state", "state_ids"):
        await asker.get(verb, room_id, query=[("event_id", said[2])], expect=(404, "M_NOT_FOUND"))
        await asker.get(verb, room_id, query=[("event_id", said[4])])


async def test_mallory_asks_for_too_much(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    event_id = await alice.send(room_id, "hello")
    start = ("v", event_id)
    for limit in (-1, 0, "x", "99999999999999999999999", "1e3"):
        await asker.get("backfill", room_id, query=[start, ("limit", limit)], expect=INVALID)
    for query in ([start], [("limit", 5)]):
        await asker.get("backfill", room_id, query=query, expect=(400, "M_MISSING_PARAM"))
    many = [("v", f"${number}") for number in range(101)]
    await asker.get("backfill", room_id, query=[*many, ("limit", 5)], expect=INVALID)
    body: dict[str, Any] = {"earliest_events": [], "latest_events": [event_id]}
    for more in ({"limit": -1}, {"latest_events": ["$x"] * 101}, {"earliest_events": ["$x"] * 1001}):
        await asker.post("get_missing_events", room_id, body={**body, **more}, expect=INVALID)
    for more in ({"limit": "ten"}, {"latest_events": "all"}, {"latest_events": [5]}, {"min_depth": None}):
        await asker.post("get_missing_events", room_id, body={**body, **more}, expect=(400, "M_BAD_JSON"))
    await asker.get("state", room_id, expect=(400, "M_MISSING_PARAM"))
    for query in ([("ts", "now"), ("dir", "f")], [("ts", 5), ("dir", "up")]):
        await asker.get("timestamp_to_event", room_id, query=query, expect=INVALID)


# --- What is hidden ---


async def test_what_was_said_before_bob_came_arrives_redacted(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await alice.create_room(preset="public_chat", room_version="11", **visible_to("joined"))
    await alice.send(room_id, "before")
    await stores(alpha.server, room_id, member(BOB, "join"))
    await alice.send(room_id, "while he is there")
    await stores(alpha.server, room_id, member(BOB, "leave"))
    await alice.send(room_id, "while he is away")
    await stores(alpha.server, room_id, member(CAROL, "join"))
    last = await alice.send(room_id, "carol is there")
    answer = await asker.get("backfill", room_id, query=[("v", last), ("limit", 7)])
    assert texts(answer["pdus"]) == ["carol is there", None, "while he is there", None]
    # The graph stays whole: a redacted event has the id that others cite.
    chained = [pdu["prev_events"][0] for pdu in answer["pdus"][:-1]]
    assert chained == ids(answer["pdus"])[1:]


async def test_shared_history_is_for_all_servers_in_the_room(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await alice.create_room(preset="public_chat", room_version="11", **visible_to("shared"))
    said = await alice.send(room_id, "before")
    await stores(alpha.server, room_id, member(BOB, "join"))
    assert texts((await asker.get("event", said))["pdus"]) == ["before"]


async def test_a_server_that_left_may_ask_for_what_it_got(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await alice.create_room(preset="public_chat", room_version="11", **visible_to("world_readable"))
    before = await alice.send(room_id, "before")
    await stores(alpha.server, room_id, member(BOB, "join"))
    there = await alice.send(room_id, "while he is there")
    await alice.post(("rooms", room_id, "kick"), {"user_id": BOB})
    after = await alice.send(room_id, "while he is away")
    assert texts((await asker.get("event", there))["pdus"]) == ["while he is there"]
    await asker.get("event", before, expect=FORBIDDEN)
    await asker.get("event", after, expect=FORBIDDEN)
    await asker.get("backfill", room_id, query=[("v", there), ("limit", 5)], expect=FORBIDDEN)


async def test_words_of_erased_users_are_for_those_who_got_them(alpha: Home, asker: Asker, alice: Client) -> None:
    dave = await alpha.server.register("dave")
    room_id = await alice.create_room(preset="public_chat", room_version="11")
    await dave.join(room_id)
    before = await dave.send(room_id, "before")
    await stores(alpha.server, room_id, member(BOB, "join"))
    there = await dave.send(room_id, "while bob is there")
    await dave.post("account/deactivate", {"auth": dave.password_auth(), "erase": True})
    assert texts((await asker.get("event", before))["pdus"]) == [None]
    assert texts((await asker.get("event", there))["pdus"]) == ["while bob is there"]


# --- State ---


async def test_state_before_an_event_with_all_that_allows_it(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    first = (await alice.put(("rooms", room_id, "state", "m.room.topic", ""), {"topic": "one"}))["event_id"]
    second = (await alice.put(("rooms", room_id, "state", "m.room.topic", ""), {"topic": "two"}))["event_id"]
    before = await asker.get("state_ids", room_id, query=[("event_id", first)])
    between = await asker.get("state_ids", room_id, query=[("event_id", second)])
    assert set(between["pdu_ids"]) - set(before["pdu_ids"]) == {first}
    assert second not in between["pdu_ids"]
    whole = await asker.get("state", room_id, query=[("event_id", second)])
    assert sorted(ids(whole["pdus"])) == sorted(between["pdu_ids"])
    assert sorted(ids(whole["auth_chain"])) == sorted(between["auth_chain_ids"])
    cited = {event_id for pdu in whole["pdus"] for event_id in pdu["auth_events"]}
    assert cited <= set(between["auth_chain_ids"])
    assert all(has_valid_content_hash(pdu, VERSION) for pdu in [*whole["pdus"], *whole["auth_chain"]])


async def test_the_auth_chain_of_a_message(alpha: Home, asker: Asker, alice: Client) -> None:
    room_id = await room_with_bob(alpha, alice)
    said = await alice.send(room_id, "hello")
    chain = (await asker.get("event_auth", room_id, said))["auth_chain"]
    assert {"m.room.create", "m.room.member", "m.room.power_levels"} <= {pdu["type"] for pdu in chain}
    [pdu] = (await asker.get("event", said))["pdus"]
    assert set(pdu["auth_events"]) <= set(ids(chain))
    assert {cited for each in chain for cited in each["auth_events"]} <= set(ids(chain))
    create = next(event_id for event_id, each in zip(ids(chain), chain, strict=True) if each["type"] == "m.room.create")
    assert (await asker.get("event_auth", room_id, create))["auth_chain"] == []


async def test_since_version_12_the_create_event_is_named_by_the_room_alone(
    alpha: Home, asker: Asker, alice: Client
) -> None:
    room_id = await alice.create_room(preset="public_chat", room_version="12")
    await stores(alpha.server, room_id, member(BOB, "join"))
    said = await alice.send(room_id, "hello")
    chain = (await asker.get("event_auth", room_id, said))["auth_chain"]
    create_id = "$" + room_id[1:]
    assert create_id in [Event.from_pdu(pdu, ROOM_VERSIONS["12"]).event_id for pdu in chain]
    assert (await asker.get("event_auth", room_id, create_id))["auth_chain"] == []


# --- Time ---


async def test_the_event_at_a_moment(alpha: Home, asker: Asker, alice: Client, clock: FakeClock) -> None:
    room_id = await room_with_bob(alpha, alice)
    clock.advance(minutes=1)
    said = await alice.send(room_id, "hello")
    at_ms = clock.now_ms()
    clock.advance(minutes=1)

    async def nearest(ts: int, direction: str, **more: Any) -> Any:
        return await asker.get("timestamp_to_event", room_id, query=[("ts", ts), ("dir", direction)], **more)

    assert await nearest(at_ms - 5, "f") == {"event_id": said, "origin_server_ts": at_ms}
    assert await nearest(at_ms + 5, "b") == {"event_id": said, "origin_server_ts": at_ms}
    await nearest(at_ms + 5, "f", expect=NOT_FOUND)
    await nearest(0, "b", expect=NOT_FOUND)
