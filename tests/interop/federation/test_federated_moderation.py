"""Who keeps order in a room need not live where it was made; and a room may keep a whole server out."""

from __future__ import annotations

import pytest

from tests.interop.federation.conftest import MakePerson, Pair
from tests.interop.federation.people import Refused
from tests.interop.federation.scenes import EVERYDAY, MEMBER, appoint, meet, says, until_same_state

ACL = {"type": "m.room.server_acl", "state_key": ""}


@pytest.mark.parametrize("version", ["1", "10", "11", "12"])
async def test_a_moderator_from_away(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """Bob redacts what Carol of the room's own server said, throws her out, bans her, pardons her."""
    alice, bob, room = await meet(pair, home, person, version)
    carol = await person("carol", pair.home_and_away(home)[0])
    await carol.join(room)
    await bob.until_state(room, MEMBER, carol.user_id, says("join"))
    rude = await carol.send(room, "something rude")
    await bob.until_event(room, rude)
    with pytest.raises(Refused):
        await bob.member(room, "kick", carol.user_id)
    await appoint(alice, bob, room)

    redaction = await bob.redact(room, rude)
    await carol.until_event(room, redaction)
    assert (await carol.event(room, rude))["content"] == {}
    await bob.member(room, "kick", carol.user_id)
    await carol.until_out(room)
    with pytest.raises(Refused):
        await carol.send(room, "but I am still here")
    await carol.join(room)
    await bob.until_state(room, MEMBER, carol.user_id, says("join"))
    await bob.member(room, "ban", carol.user_id)
    await alice.until_state(room, MEMBER, carol.user_id, says("ban"))
    with pytest.raises(Refused):
        await carol.join(room)
    await bob.member(room, "unban", carol.user_id)
    await alice.until_state(room, MEMBER, carol.user_id, says("leave"))
    await carol.join(room)
    await until_same_state(room, alice, bob)


@pytest.mark.parametrize("version", EVERYDAY)
async def test_a_room_keeps_a_server_out(pair: Pair, home: str, person: MakePerson, version: str) -> None:
    """What Bob says then stays with his own server, and nobody of it can come in; until the rule is lifted."""
    here, there = pair.home_and_away(home)
    alice, bob, room = await meet(pair, home, person, version)
    carol = await person("carol", there)
    host = there.name.partition(":")[0]
    await alice.set_state(room, "m.room.server_acl", {"allow": ["*"], "deny": [host]})
    await bob.until_state(room, "m.room.server_acl", "", lambda content: content.get("deny") == [host])
    try:
        unheard = await bob.send(room, "can you hear me?")
    except Refused:
        unheard = ""  # his own server said it
    elsewhere = await alice.create_room(version, initial_state=[{**ACL, "content": {"allow": ["*"], "deny": [host]}}])
    with pytest.raises(Refused):
        await carol.join(elsewhere, here.name)
    after = await alice.send(room, "it is quiet here")
    await bob.until_event(room, after)
    assert unheard not in [event["event_id"] for event in await alice.history(room)]

    await alice.set_state(room, "m.room.server_acl", {"allow": ["*"]})
    await bob.until_state(room, "m.room.server_acl", "", lambda content: "deny" not in content)
    again = await bob.send(room, "and now?")
    await alice.until_event(room, again)
    await alice.set_state(elsewhere, "m.room.server_acl", {"allow": ["*"]})
    await carol.join(elsewhere, here.name)
    await alice.until_state(elsewhere, MEMBER, carol.user_id, says("join"))
