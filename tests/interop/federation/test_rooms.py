"""A room's life across two servers, in every room version that both know, made at either of them."""

from __future__ import annotations

import pytest

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Person, Refused, rooms_of, segment

VERSIONS = [str(number) for number in range(1, 13)]
KNOCK_SINCE, RESTRICTED_SINCE = 7, 8
MEMBER = "m.room.member"


def says(membership: str) -> object:
    return lambda content: content.get("membership") == membership


async def meet(pair: Pair, home: str, person: MakePerson, version: str) -> tuple[Person, Person, str]:
    """Alice's public room, where she lives; Bob, of the other server, has come in."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    room = await alice.create_room(version)
    await bob.join(room, here.name)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    return alice, bob, room


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_conversation(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Join by alias, words both ways, an edit, a redaction, a topic, kick, return, ban, pardon, leave."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    name = f"room-{version}-{alice.user_id[1:].partition(':')[0]}"
    room = await alice.create_room(version, room_alias_name=name, topic="federation")
    before = await alice.send(room, "before bob came")
    assert await bob.join(f"#{name}:{here.name}") == room
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    assert (await bob.state(room))[("m.room.topic", "")]["content"]["topic"] == "federation"
    assert any(event["event_id"] == before for event in await bob.history(room))

    hello = await alice.send(room, "hello bob")
    assert (await bob.until_event(room, hello))["content"]["body"] == "hello bob"
    answer = await bob.send(room, "hello alice")
    assert (await alice.until_event(room, answer))["content"]["body"] == "hello alice"

    edit = {"msgtype": "m.text", "body": "* hi", "m.new_content": {"msgtype": "m.text", "body": "hi"}}
    edited = await bob.send(room, {**edit, "m.relates_to": {"rel_type": "m.replace", "event_id": answer}})
    relation = (await alice.until_event(room, edited))["content"]["m.relates_to"]
    assert relation == {"rel_type": "m.replace", "event_id": answer}
    redaction = await bob.redact(room, answer)
    await alice.until_event(room, redaction)
    assert (await alice.event(room, answer))["content"] == {}

    topic = await alice.set_state(room, "m.room.topic", {"topic": "a new one"})
    await bob.until_event(room, topic)
    await bob.until_state(room, "m.room.topic", "", lambda content: content.get("topic") == "a new one")

    await alice.member(room, "kick", bob.user_id)
    await bob.until_out(room)
    await bob.join(room, here.name)
    back = await alice.send(room, "welcome back")
    await bob.until_event(room, back)
    await alice.member(room, "ban", bob.user_id)
    await bob.until_out(room)
    with pytest.raises(Refused):
        await bob.join(room, here.name)
    await alice.member(room, "unban", bob.user_id)
    await bob.join(room, here.name)
    await bob.leave(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("leave"))


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_invitation(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Bob declines the first and accepts the second; a third is taken back."""
    here, there = pair.home_and_away(home)
    alice, bob, carol = await person("alice", here), await person("bob", there), await person("carol", there)
    room = await alice.create_room(version, preset="private_chat", name="in private")
    await alice.member(room, "invite", bob.user_id)
    state = await bob.until_invited(room)
    assert {"name": "in private"} in [event["content"] for event in state]
    await bob.leave(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("leave"))
    await alice.member(room, "invite", bob.user_id)
    await bob.until_invited(room)
    await bob.join(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    hello = await bob.send(room, "thank you")
    await alice.until_event(room, hello)
    await alice.member(room, "invite", carol.user_id)
    await carol.until_invited(room)
    await alice.member(room, "kick", carol.user_id)
    await carol.until_out(room)


@pytest.mark.parametrize("version", VERSIONS[KNOCK_SINCE - 1 :])
async def test_a_knock(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = await alice.create_room(version, preset="private_chat", name="knock", initial_state=[rules])
    await bob.knock(room, here.name)
    await alice.until_state(room, MEMBER, bob.user_id, says("knock"))
    await bob.until(lambda answer: room in rooms_of(answer, "knock"), "his own knock")
    await alice.member(room, "invite", bob.user_id)
    await bob.until_invited(room)
    await bob.join(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))


@pytest.mark.parametrize("version", VERSIONS[RESTRICTED_SINCE - 1 :])
async def test_a_restricted_room(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Who is in the club may come in; the host's server vouches for him. Others may not."""
    here, there = pair.home_and_away(home)
    alice, bob, carol = await person("alice", here), await person("bob", there), await person("carol", there)
    club = await alice.create_room(version)
    allow = [{"type": "m.room_membership", "room_id": club}]
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "restricted", "allow": allow}}
    room = await alice.create_room(version, preset="private_chat", initial_state=[rules])
    with pytest.raises(Refused):
        await carol.join(room, here.name)
    await bob.join(club, here.name)
    await alice.until_state(club, MEMBER, bob.user_id, says("join"))
    await bob.join(room, here.name)
    member = await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    assert member["join_authorised_via_users_server"] == alice.user_id
    hello = await alice.send(room, "welcome to the club")
    await bob.until_event(room, hello)


@pytest.mark.parametrize("version", ["6", "10", "11", "12"])
async def test_an_upgrade(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    alice, bob, room = await meet(pair, home, person, version)
    answer = await alice.post(f"/rooms/{segment(room)}/upgrade", {"new_version": "12"})
    new = answer["replacement_room"]
    await bob.until_state(room, "m.room.tombstone", "", lambda content: content.get("replacement_room") == new)
    await bob.join(new, alice.server_name)
    hello = await bob.send(new, "here we are")
    await alice.until_event(new, hello)


async def test_coming_back(pair: Pair, home: str, person: MakePerson) -> None:
    """While nobody of Bob's server is in the room, things go on; back in it he sees them."""
    alice, bob, room = await meet(pair, home, person, "10")
    await bob.leave(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("leave"))
    missed = [await alice.send(room, f"missed {number}") for number in range(25)]
    await alice.set_state(room, "m.room.topic", {"topic": "changed meanwhile"})
    await bob.join(room, alice.server_name)
    assert (await bob.state(room))[("m.room.topic", "")]["content"]["topic"] == "changed meanwhile"
    history = [event["event_id"] for event in await bob.history(room)]
    assert [event_id for event_id in history if event_id in missed] == missed[::-1]


async def test_backfill_across_a_gap(pair: Pair, home: str, person: MakePerson) -> None:
    """Bob pages back through what was said before he came, all of it, in order and once."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    room = await alice.create_room("11")
    sent = [await alice.send(room, f"message {number}") for number in range(230)]
    await bob.join(room, here.name)
    history = [event["event_id"] for event in await bob.history(room)]
    assert [event_id for event_id in history if event_id in sent] == sent[::-1]
    assert len(history) == len(set(history))


async def test_a_space(pair: Pair, home: str, person: MakePerson) -> None:
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    space = await alice.create_room("10", creation_content={"type": "m.space"}, name="a space")
    child = await alice.create_room("10", name="a child")
    await alice.set_state(space, "m.space.child", {"via": [here.name]}, child)
    await bob.join(space, here.name)
    rooms = (await bob.get(f"/_matrix/client/v1/rooms/{segment(space)}/hierarchy"))["rooms"]
    assert {room["room_id"]: room["name"] for room in rooms} == {space: "a space", child: "a child"}
