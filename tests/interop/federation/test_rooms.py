"""A room's life across two servers, in every room version that both know, made at either of them."""

from __future__ import annotations

import pytest

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Refused, rooms_of, segment
from tests.interop.federation.scenes import EVERYDAY, MEMBER, VERSIONS, appoint, meet, says, until_same_state

KNOCK_SINCE, RESTRICTED_SINCE = 7, 8


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
    content = (await alice.until_event(room, edited))["content"]
    assert content["m.relates_to"] == {"rel_type": "m.replace", "event_id": answer}
    assert content["m.new_content"]["body"] == "hi"
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


@pytest.mark.parametrize("version", [str(KNOCK_SINCE), "12"])
async def test_a_knock_is_taken_back(pair: Pair, person: MakePerson, version: str) -> None:
    """By Bob, who is ours. Synapse neither takes back the knocks of its users nor tells other servers that it turned one
    down.
    """
    alice, bob = await person("alice", pair.theirs), await person("bob", pair.ours)
    rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}
    room = await alice.create_room(version, preset="private_chat", initial_state=[rules])
    with pytest.raises(Refused):
        await bob.join(room, alice.server_name)
    await bob.knock(room, alice.server_name)
    await alice.until_state(room, MEMBER, bob.user_id, says("knock"))
    await bob.until(lambda answer: room in rooms_of(answer, "knock"), "his own knock")
    await bob.leave(room)
    await alice.until_state(room, MEMBER, bob.user_id, says("leave"))
    await bob.until_out(room)
    await bob.knock(room, alice.server_name)
    await alice.until_state(room, MEMBER, bob.user_id, says("knock"))


@pytest.mark.parametrize("version", EVERYDAY)
async def test_a_club_with_a_door_bell(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """knock_restricted, since version 10: who is in the club comes in, others knock."""
    here, there = pair.home_and_away(home)
    alice, bob, carol = await person("alice", here), await person("bob", there), await person("carol", there)
    club = await alice.create_room(version)
    allow = [{"type": "m.room_membership", "room_id": club}]
    content = {"join_rule": "knock_restricted", "allow": allow}
    rules = {"type": "m.room.join_rules", "state_key": "", "content": content}
    room = await alice.create_room(version, preset="private_chat", initial_state=[rules])
    await bob.join(club, here.name)
    await alice.until_state(club, MEMBER, bob.user_id, says("join"))
    await bob.join(room, here.name)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    with pytest.raises(Refused):
        await carol.join(room, here.name)
    await carol.knock(room, here.name)
    await alice.until_state(room, MEMBER, carol.user_id, says("knock"))
    await alice.member(room, "invite", carol.user_id)
    await carol.until_invited(room)
    # Carol's server is told twice, and goes by what it is told as one of those in the room.
    await bob.until_state(room, MEMBER, carol.user_id, says("invite"))
    await carol.join(room)
    await alice.until_state(room, MEMBER, carol.user_id, says("join"))


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


@pytest.mark.parametrize("version", EVERYDAY)
async def test_a_guest_invites(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Bob asks somebody of the room's own server into the private room, and somebody of his own; to talk with directly."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    carol, dave = await person("carol", here), await person("dave", there)
    room = await alice.create_room(version, preset="private_chat", is_direct=True, invite=[bob.user_id])
    invitation = next(event for event in await bob.until_invited(room) if event.get("state_key") == bob.user_id)
    assert invitation["content"]["is_direct"] is True
    await bob.join(room)
    for guest in (carol, dave):
        await bob.member(room, "invite", guest.user_id)
        await guest.until_invited(room)
        for resident in (alice, bob):
            await resident.until_state(room, MEMBER, guest.user_id, says("invite"))
        await guest.join(room)
    for reader in (alice, bob):
        for member in (carol, dave):
            await reader.until_state(room, MEMBER, member.user_id, says("join"))
    await until_same_state(room, alice, bob)


@pytest.mark.parametrize("version", ["6", "10", "11", "12"])
async def test_an_upgrade(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    alice, bob, room = await meet(pair, home, person, version)
    answer = await alice.post(f"/rooms/{segment(room)}/upgrade", {"new_version": "12"})
    new = answer["replacement_room"]
    await bob.until_state(room, "m.room.tombstone", "", lambda content: content.get("replacement_room") == new)
    await bob.join(new, alice.server_name)
    hello = await bob.send(new, "here we are")
    await alice.until_event(new, hello)


@pytest.mark.parametrize("version", EVERYDAY)
async def test_an_upgrade_by_a_guest(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """The new room is made where Bob lives; Alice, whose room it was, comes after him."""
    alice, bob, room = await meet(pair, home, person, "10")
    await appoint(alice, bob, room, 100)
    new = (await bob.post(f"/rooms/{segment(room)}/upgrade", {"new_version": version}))["replacement_room"]
    await alice.until_state(room, "m.room.tombstone", "", lambda content: content.get("replacement_room") == new)
    await alice.join(new, bob.server_name)
    created = (await alice.state(new))[("m.room.create", "")]["content"]
    assert created["room_version"] == version
    assert created["predecessor"]["room_id"] == room
    hello = await alice.send(new, "here I am")
    await bob.until_event(new, hello)


async def test_two_creators(pair: Pair, home: str, person: MakePerson) -> None:
    """Since version 12 a room can have several creators, and no power level says anything about them."""
    here, there = pair.home_and_away(home)
    alice, bob = await person("alice", here), await person("bob", there)
    room = await alice.create_room("12", creation_content={"additional_creators": [bob.user_id]})
    await bob.join(room, here.name)
    await alice.until_state(room, MEMBER, bob.user_id, says("join"))
    topic = await bob.set_state(room, "m.room.topic", {"topic": "also mine"})
    await alice.until_event(room, topic)
    levels = (await bob.state(room))[("m.room.power_levels", "")]["content"]
    with pytest.raises(Refused):
        await alice.set_state(room, "m.room.power_levels", {**levels, "users": {bob.user_id: 0}})
    changed = await bob.set_state(room, "m.room.power_levels", {**levels, "events_default": 10})
    await alice.until_event(room, changed)
    await until_same_state(room, alice, bob)
