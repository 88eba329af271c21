"""The hostile stories of every day, for longer: many seeds, half a minute of bad weather."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from tests.voice.hostile.babble import babble, mumble
from tests.voice.hostile.weather import Bursts
from tests.voice.participant.embedded_server import embedded_server
from voice.participant import Behaviour, Participant

SECONDS = 30
PAYLOAD = b"\x78 an opus frame"


@pytest.mark.parametrize("seed", range(100, 110))
@pytest.mark.parametrize("single", [True, False], ids=["v1", "v0"])
async def test_long_babble(seed: int, single: bool) -> None:
    await babble(seed, single=single, requests=150)


@pytest.mark.parametrize("seed", range(100, 110))
async def test_long_mumble(seed: int) -> None:
    assert await mumble(seed, descriptions=150)


async def test_three_people_in_bad_weather_hear_ninety_nine_of_a_hundred_packets() -> None:
    """Ten of a hundred are lost, in bursts, on the way up and on the way down of each."""
    weather = [Bursts(0.1, Random(seed)) for seed in range(6)]
    async with embedded_server() as server:
        people = [
            server.participant(
                f"p{number}",
                behaviour=Behaviour(
                    asks_again=True, loses_sent=weather[2 * number], loses_received=weather[2 * number + 1]
                ),
            )
            for number in range(3)
        ]
        for person in people:
            await person.connect()
            await person.publish_audio()
        await _talk(people, 2)
        await _talk(people, SECONDS)
        await asyncio.sleep(0.5)
        for person in people:
            assert person.statistics().expected > 2 * SECONDS * 45
            assert person.statistics().loss < 0.01
        assert all(each.lost > SECONDS for each in weather)
        await asyncio.gather(*(person.close() for person in people))


async def _talk(people: list[Participant], seconds: int) -> None:
    for _ in range(seconds * 50):
        for person in people:
            person.send_packet(PAYLOAD)
        await asyncio.sleep(0.02)
