"""Who is behind the names at the SFU: bounded, and known again after a restart."""

from __future__ import annotations

import pytest

from homeserver.protocol.errors import Forbidden, LimitExceeded, Unavailable
from homeserver.services.calls.identities import KEPT_MS, MAX_OF_USER, VoiceIdentities
from homeserver.storage.database import Database
from homeserver.storage.voice_identities import VoiceIdentity, VoiceIdentityRows
from tests.clock import FakeClock
from voice.sfu.backend import Joined, LeaveReason, Left, ParticipantState, RoomsLost


def identities(database: Database, clock: FakeClock, **limits: int) -> VoiceIdentities:
    return VoiceIdentities(database, VoiceIdentityRows(), clock, **limits)


def somebody(identity: str = "a", user_id: str = "@alice:test", room: str = "call") -> VoiceIdentity:
    return VoiceIdentity(room, identity, "!room:test", "m.call#ROOM", user_id, "PHONE", None)


def comes(identity: str = "a", room: str = "call") -> Joined:
    return Joined(room, ParticipantState(identity, "PA_1", 0))


async def test_a_restart_forgets_nobody(database: Database, clock: FakeClock) -> None:
    before = identities(database, clock)
    alice = await before.remember(somebody())
    await before.delegate(alice, "delay1", 20_000)
    after = identities(database, clock)
    await after.start()
    known = after.find("call", "a")
    assert known is not None
    assert (known.user_id, known.device_id, known.delay_id, known.delay_ms) == (
        "@alice:test",
        "PHONE",
        "delay1",
        20_000,
    )
    assert [each.identity for each in after.of_room("!room:test")] == ["a"]
    await after.end_delegations([("call", "a")])
    third = identities(database, clock)
    await third.start()
    assert list(third.with_delegation()) == []


async def test_a_name_belongs_to_who_had_it_first(database: Database, clock: FakeClock) -> None:
    known = identities(database, clock)
    await known.remember(somebody())
    with pytest.raises(Forbidden):
        await known.remember(somebody(user_id="@mallory:test"))
    await known.remember(somebody())
    await known.remember(somebody(user_id="@mallory:test", room="another call"))


async def test_who_is_in_the_call_is_not_forgotten(database: Database, clock: FakeClock) -> None:
    known = identities(database, clock)
    await known.remember(somebody("a"))
    await known.remember(somebody("b", "@bob:test"))
    known.follow(comes("a"))
    clock.advance(ms=KEPT_MS + 1)
    await known.prune()
    assert known.find("call", "a") is not None
    assert known.find("call", "b") is None
    assert [each.identity for each in known.of_room("!room:test")] == ["a"]
    after = identities(database, clock)
    await after.start()
    assert after.memory_usage()["identities"] == 1
    known.follow(Left("call", "a", "PA_1", LeaveReason.LEFT))
    clock.advance(ms=KEPT_MS + 1)
    await known.prune()
    assert known.memory_usage() == {"identities": 0, "present": 0}
    assert not known.has_calls("!room:test")


async def test_who_is_there(database: Database, clock: FakeClock) -> None:
    known = identities(database, clock)
    known.follow(comes("a"))
    known.follow(comes("a"))
    known.follow(Left("call", "a", "PA_1", LeaveReason.DUPLICATE))
    assert known.is_present("call", "a")
    known.follow(RoomsLost(["call"]))
    assert not known.is_present("call", "a")


async def test_mallory_cannot_fill_the_memory(database: Database, clock: FakeClock) -> None:
    known = identities(database, clock, max_identities=MAX_OF_USER + 1)
    for number in range(MAX_OF_USER):
        known._hold(somebody(str(number), "@mallory:test"))
    with pytest.raises(LimitExceeded):
        await known.remember(somebody("one more", "@mallory:test"))
    await known.remember(somebody("a"))
    with pytest.raises(Unavailable):
        await known.remember(somebody("b", "@bob:test"))
    await known.remember(somebody("a"))
