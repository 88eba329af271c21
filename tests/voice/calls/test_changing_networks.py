"""A client that changes its network, or is gone for good."""

from __future__ import annotations

import time

import pytest

from tests.voice.calls.telephone import ROOM, Exchange, exchange, until
from voice.participant.participant import Participant
from voice.sfu.backend import LeaveReason, Left


async def person(here: Exchange, identity: str) -> Participant:
    made = Participant(here.url, here.token(identity))
    await made.connect()
    return made


def talks(someone: Participant) -> None:
    someone.send_packet(b"\x78opus", level=20)


async def test_after_a_change_of_network_the_call_goes_on_with_the_same_session() -> None:
    async with exchange() as here:
        alice, bob = await person(here, "alice"), await person(here, "bob")
        await alice.publish_audio()
        await until(lambda: (talks(alice), bob.statistics().received > 3)[1], "sound")

        alice.drop_signalling()
        await alice.change_network()
        await alice.resume()
        before = bob.statistics().received

        await until(lambda: (talks(alice), bob.statistics().received > before + 3)[1], "sound from the new network")
        assert not [event for event in here.events if isinstance(event, Left)]
        await alice.close()
        await bob.close()


@pytest.mark.slow
async def test_who_vanishes_is_gone_within_five_seconds() -> None:
    async with exchange() as here:
        alice, bob = await person(here, "alice"), await person(here, "bob")
        await until(lambda: len(here.server.participants(ROOM)) == 2)

        gone_at = time.monotonic()
        await alice.vanish()
        await until(lambda: "alice" not in bob.others, "the end of Alice")

        assert time.monotonic() - gone_at < 5
        assert [event.reason for event in here.events if isinstance(event, Left)] == [LeaveReason.VANISHED]
        await alice.release()
        await bob.close()
