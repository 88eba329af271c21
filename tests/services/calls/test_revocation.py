"""Whoever loses the right to a call is out of it at once, and his tokens are void."""

from __future__ import annotations

import pytest

from homeserver.services.requester import on_behalf_of
from tests.cast import Client, Server
from tests.clock import FakeClock
from tests.voice.callers import ask_homeserver, get_token, sfu_get
from tests.voice.recording_backend import RecordingBackend
from tests.voice.waiting import tasks_done, until
from voice import tokens
from voice.sfu.backend import Joined, ParticipantState

CALL_TYPES = ("org.matrix.msc3401.call.member", "org.matrix.msc4143.rtc.member", "m.rtc.member")


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def call_of(server: Server, sfu: RecordingBackend) -> tuple[Client, Client, str]:
    """Alice and Bob in the call of Alice's room."""
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    sfu.join((await sfu_get(alice, room_id))["jwt"])
    sfu.join((await sfu_get(bob, room_id))["jwt"])
    return alice, bob, room_id


def sfu_name(client: Client, room_id: str) -> tuple[str, str]:
    return tokens.sfu_room(room_id), f"{client.user_id}:{client.device_id}"


def there(sfu: RecordingBackend, room_id: str, *people: Client) -> bool:
    return set(sfu.people[tokens.sfu_room(room_id)]) == {f"{each.user_id}:{each.device_id}" for each in people}


@pytest.mark.parametrize("how", ["kick", "ban", "leave"])
async def test_who_is_out_of_the_room_is_out_of_the_call(server: Server, sfu: RecordingBackend, how: str) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    await (bob.leave(room_id) if how == "leave" else getattr(alice, how)(room_id, bob))
    await until(lambda: there(sfu, room_id, alice))
    assert [entry[1] for entry in sfu.removed] == [f"@bob:test:{bob.device_id}"]


async def test_an_old_token_lets_nobody_in_again(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    old = (await sfu_get(bob, room_id))["jwt"]
    await alice.kick(room_id, bob)
    await until(lambda: there(sfu, room_id, alice))
    clock.advance(ms=1)
    with pytest.raises(AssertionError, match="after this token"):
        sfu.join(old)
    await bob.join(room_id)
    sfu.join((await sfu_get(bob, room_id))["jwt"])
    await tasks_done()
    assert there(sfu, room_id, alice, bob)


async def test_a_token_that_was_never_used_is_void_too(server: Server, sfu: RecordingBackend) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await get_token(bob, room_id, "m1")
    await alice.kick(room_id, bob)
    await until(lambda: sfu.removed)
    assert sfu.removed[0][1] == tokens.device_identity("@bob:test", bob.device_id, "m1")


async def test_an_sfu_that_keeps_no_list_is_helped(server: Server, sfu: RecordingBackend) -> None:
    """LiveKit lets in whoever has a token that has not expired."""
    alice, bob, room_id = await call_of(server, sfu)
    await alice.kick(room_id, bob)
    await until(lambda: there(sfu, room_id, alice))
    room = tokens.sfu_room(room_id)
    again = ParticipantState(f"@bob:test:{bob.device_id}", "PA_again", 0)
    sfu.people[room][again.identity] = again
    sfu.tell(Joined(room, again))
    await until(lambda: there(sfu, room_id, alice))


async def test_a_lost_role_ends_the_call_for_those_who_need_it(server: Server, sfu: RecordingBackend) -> None:
    alice, _bob, room_id = await call_of(server, sfu)
    levels = await alice.state(room_id, "m.room.power_levels")
    events = {**levels["events"], **dict.fromkeys(CALL_TYPES, 50)}
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "events": events})
    await until(lambda: there(sfu, room_id, alice))


async def test_a_lost_voice_is_lost_at_once_and_comes_back(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    levels = await alice.state(room_id, "m.room.power_levels")
    events = {**levels["events"], "org.voicechat.voice.speak": 10}
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "events": events})
    await until(lambda: sfu.permitted)
    [(room, grant)] = sfu.permitted
    assert (room, grant.identity) == (tokens.sfu_room(room_id), f"@bob:test:{bob.device_id}")
    assert "microphone" not in grant.sources
    assert grant.can_publish
    users = {**levels["users"], "@bob:test": 10}
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "events": events, "users": users})
    await until(lambda: len(sfu.permitted) == 2)
    assert "microphone" in sfu.permitted[1][1].sources
    assert there(sfu, room_id, alice, bob)


async def test_a_voice_lost_before_coming_in_does_not_come_in_with_an_older_token(
    server: Server, sfu: RecordingBackend
) -> None:
    """Mallory collects a token while she may speak, and uses it when she may not."""
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    older = (await sfu_get(mallory, room_id))["jwt"]
    levels = await alice.state(room_id, "m.room.power_levels")
    events = {**levels["events"], "org.voicechat.voice.speak": 10}
    await alice.set_state(room_id, "m.room.power_levels", {**levels, "events": events})
    for _ in range(2):  # the newer token that she asks for in between changes nothing about the older one
        sfu.permitted.clear()
        sfu.join(older)
        await until(lambda: sfu.permitted)
        assert "microphone" not in sfu.permitted[-1][1].sources
        sfu.leave(*sfu_name(mallory, room_id))
        assert "microphone" not in sfu.granted[sfu_name(mallory, room_id)].sources
        await sfu_get(mallory, room_id)


async def test_mallory_takes_ten_places_and_no_more(server: Server, sfu: RecordingBackend) -> None:
    """With tokens collected before she uses the first, and with those she asks for afterwards."""
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room(preset="public_chat")
    await mallory.join(room_id)
    collected = [(await get_token(mallory, room_id, f"m{number}"))["jwt"] for number in range(13)]
    for token in collected:
        sfu.join(token)
        await tasks_done()
    room = tokens.sfu_room(room_id)
    await until(lambda: len(sfu.people[room]) == 10)
    await get_token(mallory, room_id, "one more", expect=(403, "M_FORBIDDEN"))
    assert len(sfu.removed) == 3
    first = tokens.device_identity(mallory.user_id, mallory.device_id, "m0")
    assert first in sfu.people[room]
    sfu.join((await get_token(mallory, room_id, "m0"))["jwt"])  # a seat she has may be taken again
    sfu.join((await get_token(alice, room_id, "m0"))["jwt"])
    await tasks_done()
    assert len(sfu.people[room]) == 11


async def test_a_new_name_of_a_member_changes_nothing(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    await bob.put(("profile", bob.user_id, "displayname"), {"displayname": "Bobby"})
    await alice.send(room_id, "hello")
    await tasks_done()
    assert (sfu.removed, sfu.permitted) == ([], [])


async def test_a_replaced_room_ends_its_call(server: Server, sfu: RecordingBackend) -> None:
    alice, _bob, room_id = await call_of(server, sfu)
    await alice.post(("rooms", room_id, "upgrade"), {"new_version": "11"})
    await until(lambda: there(sfu, room_id))


async def test_a_logged_out_device_is_out(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    phone = await bob.login()
    sfu.join((await sfu_get(phone, room_id))["jwt"])
    await phone.post("logout")
    await until(lambda: there(sfu, room_id, alice, bob))


async def test_a_logged_out_device_is_out_once_the_sfu_is_back(
    server: Server, sfu: RecordingBackend, clock: FakeClock
) -> None:
    """Bob is in the room still, so it is the device alone that has to go."""
    alice, bob, room_id = await call_of(server, sfu)
    phone = await bob.login()
    sfu.join((await sfu_get(phone, room_id))["jwt"])
    sfu.down = True
    await phone.post("logout")
    for _ in range(3):
        await tasks_done()
        clock.advance(seconds=1)
    assert there(sfu, room_id, alice, bob, phone)
    sfu.down = False
    clock.advance(seconds=1)
    await until(lambda: there(sfu, room_id, alice, bob))


async def test_a_deactivated_account_is_out(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    await bob.post("account/deactivate", {"auth": bob.password_auth()})
    await until(lambda: there(sfu, room_id, alice))


async def test_new_options_reach_a_call_that_is_going_on(server: Server, sfu: RecordingBackend) -> None:
    alice, _bob, room_id = await call_of(server, sfu)
    await alice.set_state(room_id, "org.voicechat.voice_channel", {"bitrate": 32_000})
    await until(lambda: sfu.rooms[tokens.sfu_room(room_id)].audio_bitrate == 32_000)


async def test_the_sfu_is_told_once_it_is_back(server: Server, sfu: RecordingBackend, clock: FakeClock) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    sfu.down = True
    await alice.kick(room_id, bob)
    await tasks_done()
    assert there(sfu, room_id, alice, bob)
    sfu.down = False
    clock.advance(seconds=1)
    await until(lambda: there(sfu, room_id, alice))


async def test_a_room_without_a_call_costs_nothing(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, _ = await call_of(server, sfu)
    other = await alice.create_room(preset="public_chat")
    await bob.join(other)
    await alice.kick(other, bob)
    await tasks_done()
    assert sfu.removed == []


async def test_the_suspended_are_out_and_stay_out(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, room_id = await call_of(server, sfu)
    standings = server.application.accounts.standings
    await standings.set_suspended(on_behalf_of("@ada:test"), bob.user_id, True)
    await until(lambda: there(sfu, room_id, alice))
    await ask_homeserver(bob, room_id, expect=(403, "M_USER_SUSPENDED"))
    await standings.set_suspended(on_behalf_of("@ada:test"), bob.user_id, False)
    server.clock.advance(seconds=1)
    sfu.join((await sfu_get(bob, room_id))["jwt"])
    await until(lambda: there(sfu, room_id, alice, bob))
