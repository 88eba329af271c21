"""Many people join one room within seconds, and each opens a microphone: what does it cost the SFU?

    python bench/voice/joins.py [people] [seconds]

The SFU runs in a process of its own; its CPU time is what is printed. The others only count what they get.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
from aiohttp import web

from voice.participant.participant import Behaviour, Participant
from voice.sfu.backend import Grant, RoomOptions
from voice.sfu.embedded.rooms.server import RoomServer
from voice.sfu.embedded.signalling.application import new_runner
from voice.sfu.embedded.transport import open_media_port
from voice.tokens import mint

KEY, SECRET, ROOM = "bench", "a secret of this benchmark and of nobody else", "hall"


def sfu(pipe: Connection) -> None:
    asyncio.run(serve(pipe))


async def serve(pipe: Connection) -> None:
    port = await open_media_port("127.0.0.1", 0, ())
    server = RoomServer(port, {KEY: SECRET})
    runner = new_runner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.ensure_room(ROOM, RoomOptions(max_participants=1000))
    server.start()
    pipe.send(f"ws://127.0.0.1:{runner.addresses[0][1]}")
    while await asyncio.to_thread(pipe.recv):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send((usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024))


async def storm(pipe: Connection, people: int, seconds: float) -> None:
    url = pipe.recv()
    before, _ = ask(pipe)
    async with aiohttp.ClientSession() as http:
        joining = []
        for number in range(people):
            joining.append(asyncio.create_task(join(url, f"person{number}", http)))
            await asyncio.sleep(seconds / people)
        joined = await asyncio.gather(*joining)
        await until_all_hear_all(joined)
        after, memory = ask(pipe)
        await asyncio.sleep(2)
        idle, _ = ask(pipe)
        rounds = sum(person.statistics().negotiations for person, _ in joined)
        times = sorted(took for _, took in joined)
        print(f"{people} people within {seconds:.0f} s, each with a microphone")
        print(f"  CPU of the SFU: {after - before:.2f} s ({(after - before) / people * 1000:.0f} ms a person)")
        print(f"  afterwards, nobody talking: {(idle - after) / 2 * 100:.1f} % of a core; memory {memory} MB")
        print(f"  negotiations: {rounds} ({(after - before) / rounds * 1000:.1f} ms each, joins included)")
        print(f"  connect: p50 {times[people // 2] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms")
        await asyncio.gather(*(person.close() for person, _ in joined))
    pipe.send(None)


def ask(pipe: Connection) -> tuple[float, int]:
    pipe.send(True)
    cpu, memory = pipe.recv()
    return cpu, memory


heard: dict[str, int] = {}
"""How many tracks the last answer to each person carried."""


def note(identity: str, response: Any) -> None:
    if response.WhichOneof("message") == "answer":
        heard[identity] = len(response.answer.mid_to_track_id)


async def join(url: str, identity: str, http: aiohttp.ClientSession) -> tuple[Participant, float]:
    token = mint(KEY, SECRET, Grant(ROOM, identity), time.time())
    behaviour = Behaviour(opens_packets=False)
    person = Participant(url, token, behaviour=behaviour, http=http, on_signal=lambda said: note(identity, said))
    begun = time.monotonic()
    await person.connect(timeout=60)
    took = time.monotonic() - begun
    await person.publish_audio(timeout=60)
    return person, took


async def until_all_hear_all(joined: list[tuple[Participant, float]]) -> None:
    deadline = time.monotonic() + 60
    while min(heard.values()) < len(joined) - 1:
        if time.monotonic() > deadline:
            sys.exit(f"not everybody follows everybody: {sorted(heard.values())}")
        await asyncio.sleep(0.1)


def main() -> None:
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=sfu, args=(theirs,))
    process.start()
    try:
        asyncio.run(storm(ours, people, seconds))
    finally:
        process.join(5)
        process.kill()


if __name__ == "__main__":
    main()
