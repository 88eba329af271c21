"""Calls as they are: a real worker process, people who join through signalling, ICE and DTLS, and packets counted.

    python -m bench.voice.calls [scenario ...] [--seconds 60] [--long 600]

Scenarios: those of `SCENARIOS` below; without a name all but `hour`. With LIVEKIT_BINARY in the environment `hall` and
`round_table` run at LiveKit's server as well, in turns, and the ratios are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.voice.load.crowd import Person
from bench.voice.load.measuring import HEADER, Measured, load, quantiles
from bench.voice.load.sfus import Sfu, cpu_of, livekit, memory_mb, prioritise, worker


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    long: float
    samples: str


def _talkers(count: int, room: str = "hall", hears: int | None = None) -> list[Person]:
    return [
        Person(room, f"{room}-talker{n}", publishes=True, hears=count - 1 if hears is None else hears)
        for n in range(count)
    ]


def _listeners(count: int, talkers: int, room: str = "hall") -> list[Person]:
    return [Person(room, f"{room}-listener{n}", hears=talkers) for n in range(count)]


def _names(people: list[Person]) -> list[str]:
    return [person.identity for person in people]


def _show(what: str, sfu: Sfu, measured: Measured) -> None:
    print(f"| {what} | {sfu.name} | {measured.row} |", flush=True)


@asynccontextmanager
async def _ours(options: Options, *, way: str = "", top_speakers: int = 5) -> AsyncIterator[Sfu]:
    way = way or (f"samples:{options.samples}" if options.samples else "")
    async with worker(way=way, top_speakers=top_speakers) as sfu:
        yield sfu


async def _both(options: Options, run: Callable[[Sfu], Awaitable[Measured]]) -> None:
    async with _ours(options) as sfu:
        ours = await run(sfu)
    binary = os.environ.get("LIVEKIT_BINARY")
    if binary:
        async with livekit(binary) as sfu:
            theirs = await run(sfu)
        cpu, memory = ours.us_each / theirs.us_each, ours.memory_mb / theirs.memory_mb
        print(f"\nours / LiveKit: CPU of a forwarded packet {cpu:.2f}, memory {memory:.2f}\n", flush=True)


# --- scenarios -------------------------------------------------------------------------------------------------------


async def cost(options: Options) -> None:
    """CPU of a forwarded packet by fan-out, with more and more who talk: until packets are lost, or a core is full."""
    print(HEADER)
    for way in ("", "sendto"):
        for fan_out, step in ((10, 22), (50, 6), (400, 1)):
            await _climb(options, way, fan_out, step)


async def _climb(options: Options, way: str, fan_out: int, step: int) -> None:
    async with _ours(options, way=way, top_speakers=0) as sfu, load(sfu, crowds=1) as crowd:
        talkers, people = _crowded(fan_out)
        await crowd.join([people])
        await crowd.settle()
        await crowd.count()
        for talking in range(step, len(talkers) + 1, step):
            # Of each room the same number, so that they do not all talk in one.
            await crowd.talk(_names(talkers[:talking]))
            measured = await crowd.measure(min(6.0, options.seconds))
            _show(f"fan-out {fan_out}, {talking} talking", sfu, measured)
            if measured.lost > measured.forwarded / 1000:
                break
    return


def _crowded(fan_out: int) -> tuple[list[Person], list[Person]]:
    """Rooms of `fan_out` + 1 people for about 150,000 packets a second: those who can talk, in turns of rooms, and all."""
    if fan_out >= 100:
        talkers = _talkers(8)
        return talkers, talkers + _listeners(fan_out + 1 - len(talkers), len(talkers))
    rooms = 20 if fan_out == 10 else 1
    everybody = [_talkers(fan_out + 1, f"room{n}") for n in range(rooms)]
    return [person for turn in zip(*everybody, strict=True) for person in turn], [
        person for room in everybody for person in room
    ]


async def hall(options: Options) -> None:
    """3 talk, 400 listen."""

    async def run(sfu: Sfu) -> Measured:
        async with load(sfu, crowds=2) as crowd:
            talkers = _talkers(3)
            await crowd.join([talkers, _listeners(400, 3)])
            await crowd.settle()
            await crowd.count()
            await crowd.talk(_names(talkers))
            measured = await crowd.measure(options.seconds)
            _show("3 talk, 400 listen", sfu, measured)
            return measured

    print(HEADER)
    await _both(options, run)


async def everybody(options: Options) -> None:
    """35 people who all talk, and all are forwarded."""
    print(HEADER)
    for top_speakers in (0, 5):
        async with _ours(options, top_speakers=top_speakers) as sfu, load(sfu) as crowd:
            people = _talkers(35)
            await crowd.join([people])
            await crowd.settle()
            await crowd.count()
            await crowd.talk(_names(people))
            what = "35 talk" + (f", the {top_speakers} loudest forwarded" if top_speakers else ", all forwarded")
            _show(what, sfu, await crowd.measure(options.seconds))


async def round_table(options: Options) -> None:
    """50 participants, all with a microphone, 5 talk."""

    async def run(sfu: Sfu) -> Measured:
        return await _fifty(sfu, options.seconds, 1)

    print(HEADER)
    await _both(options, run)


async def hour(options: Options) -> None:
    """The same for long, told in ten parts: does anything grow?"""
    print(HEADER)
    async with _ours(options) as sfu:
        await _fifty(sfu, options.long / 10, 10)


async def _fifty(sfu: Sfu, seconds: float, parts: int) -> Measured:
    async with load(sfu) as crowd:
        people = _talkers(50)
        await crowd.join([people])
        await crowd.settle()
        await crowd.count()
        await crowd.talk(_names(people[:5]))
        start = memory_mb(sfu.pid)
        for part in range(parts):
            measured = await crowd.measure(seconds)
            _show(f"50 there, 5 talk, part {part + 1} of {parts}", sfu, measured)
        print(f"\n{sfu.name}: RSS {start:.1f} MB at the start, {memory_mb(sfu.pid):.1f} MB at the end\n", flush=True)
        return measured


async def newcomer(options: Options) -> None:
    """From the wish to join to the first packet heard, one after another."""
    binary = os.environ.get("LIVEKIT_BINARY")
    async with _ours(options) as sfu:
        await _newcomers(sfu)
    if binary:
        async with livekit(binary) as sfu:
            await _newcomers(sfu)


async def _newcomers(sfu: Sfu) -> None:
    async with load(sfu, crowds=2) as crowd:
        talkers = _talkers(3)
        await crowd.join([talkers, []])
        await crowd.settle()
        await crowd.talk(_names(talkers))
        took = await crowd.crowds[1].do("first_audio", sfu.door, "hall", 50)
        p50, p95, worst = quantiles(took)
        print(
            f"{sfu.name}, join to first audio, 50 times: p50 {p50} ms, p95 {p95} ms, worst {worst} ms "
            f"(load average {os.getloadavg()[0]:.1f})",
            flush=True,
        )


async def storm(options: Options) -> None:
    """50 people join within 5 s, each with a microphone."""
    async with _ours(options) as sfu, load(sfu) as crowd:
        people = _talkers(50)
        cpu = cpu_of(sfu.pid).both
        took = await crowd.join([people], within=5.0)
        settling = await crowd.settle()
        cpu = cpu_of(sfu.pid).both - cpu
        await crowd.count()
        await crowd.crowds[0].do("begin")
        rounds = (await crowd.crowds[0].do("results")).negotiations
        p50, p95, worst = quantiles(took)
        print(
            f"50 people with microphones within 5 s: {cpu:.2f} s of CPU, {rounds} negotiations; all follow all "
            f"{settling:.1f} s after the last came; connect p50 {p50} ms, p95 {p95} ms, worst {worst} ms "
            f"(load average {os.getloadavg()[0]:.1f})",
            flush=True,
        )


async def memory(options: Options) -> None:
    """One worker with a hundred people in it."""
    for what, rooms in (
        ("nobody", []),
        ("100 in one room, 5 have a microphone", [[*_talkers(5), *_listeners(95, 5)]]),
        ("10 rooms of 10, all have a microphone", [_talkers(10, f"room{n}") for n in range(10)]),
        ("100 in one room, all have a microphone", [_talkers(100)]),
    ):
        await _memory(options, what, rooms)


async def _memory(options: Options, what: str, rooms: list[list[Person]]) -> None:
    async with _ours(options) as sfu, load(sfu) as crowd:
        people = [person for room in rooms for person in room]
        if people:
            await crowd.join([people])
            await crowd.settle()
            await crowd.count()
            await crowd.talk(_names([person for person in people if person.publishes][:20]))
        joined = memory_mb(sfu.pid)
        await asyncio.sleep(15)
        print(
            f"{what}: RSS {joined:.0f} MB when all are there, {memory_mb(sfu.pid):.0f} MB after 15 s of talk",
            flush=True,
        )


SCENARIOS = {run.__name__: run for run in (cost, hall, everybody, round_table, newcomer, storm, memory, hour)}


async def _run(names: list[str], options: Options) -> None:
    for name in names:
        print(f"\n### {name}: {SCENARIOS[name].__doc__} ({time.strftime('%Y-%m-%d %H:%M')})\n", flush=True)
        await SCENARIOS[name](options)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scenarios", nargs="*", choices=[[], *SCENARIOS])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--long", type=float, default=600.0)
    parser.add_argument("--samples", default="", help="file for where the CPU of our worker was")
    parser.add_argument(
        "--nice", type=int, default=0, help="of all processes; below 0 (as root) where others use the machine"
    )
    given = parser.parse_args()
    if given.nice:
        prioritise(given.nice)
    names = given.scenarios or [name for name in SCENARIOS if name != "hour"]
    asyncio.run(_run(names, Options(given.seconds, given.long, given.samples)))


if __name__ == "__main__":
    main()
