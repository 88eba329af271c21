"""The first join of a large room of another server, and how long others wait meanwhile.

    PYTHONPATH=$MXBENCH python -m bench.federation.big_join KIND FOLDER [members]

KIND and FOLDER as `pair.py` had them: server `a` of the pair is started anew. The room is a scripted server's, in a process of
its own: real events with signatures, joined by as many users; the answer to /send_join is ready before it is asked for.
While one user joins, another reads a small answer again and again.
Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web
from mxbench import proc  # type: ignore[import-not-found]
from mxbench.core import Ctx  # type: ignore[import-not-found]
from mxbench.target import Target  # type: ignore[import-not-found]

from tests.federation.foreign_rooms import ForeignRoom
from tests.federation.foreign_servers import V2, ForeignServer
from tests.federation.peers import DAY_MS, Peer, key_document

PORT = 18301
NAME = f"localhost:{PORT}"
CREATOR = f"@mallory:{NAME}"
LIMIT_S = 600


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    members = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
    print(json.dumps({"kind": kind, "members": members, **asyncio.run(measure(folder, members))}), flush=True)


async def measure(folder: Path, members: int) -> dict[str, Any]:
    """Build the room, start the server, join."""
    ready: Queue[str] = Queue()
    peer = Process(target=serve, args=(folder, members, ready), daemon=True)
    peer.start()
    room_id = await asyncio.to_thread(ready.get, timeout=LIMIT_S)
    target = Target.load(folder / "a.json")
    target.reset()
    await target.start()
    try:
        return await join(Ctx(target, {}, None, verbose=False), room_id, members)
    finally:
        await target.stop()
        peer.kill()


def serve(folder: Path, members: int, ready: Queue[str]) -> None:
    """The scripted server, until it is killed."""
    asyncio.run(_serve(folder, large_room(members), ready))


async def _serve(folder: Path, room: ForeignRoom, ready: Queue[str]) -> None:
    host = ForeignServer(Peer(), NAME)
    host.peer.says("/_matrix/key/v2/server", _keys(host))
    host.host(room)
    state = room.state_events()
    answer = {"origin": NAME, "state": room.given(state), "auth_chain": room.given(room.auth_chain(state))}
    told = orjson.dumps(answer)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        is_join = request.path.startswith(f"{V2}/send_join/")
        return web.Response(body=told, content_type="application/json") if is_join else await host.peer.handle(request)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    # All of them are called localhost.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "1.crt", folder / "1.key")
    await web.TCPSite(runner, "127.0.0.1", PORT, ssl_context=context).start()
    ready.put(room.room_id)
    await asyncio.Event().wait()


def large_room(members: int) -> ForeignRoom:
    """`ForeignRoom.add` resolves, which is slow; here one event follows the other."""
    room = ForeignRoom.create("10", CREATOR, now_ms=int(time.time() * 1000) - DAY_MS)
    state = dict(room.state)
    for number in range(members - 1):
        user_id = f"@user{number}:{NAME}"
        content = {"membership": "join", "displayname": f"User {number}", "avatar_url": f"mxc://{NAME}/{number:024}"}
        event = room.build(user_id, "m.room.member", content, user_id)
        room.events[event.event_id] = event
        state[event.key] = event.event_id
        room.states = {event.event_id: state}
        room.tip = [event.event_id]
    return room


def _keys(host: ForeignServer) -> dict[str, Any]:
    return key_document(NAME, host.key, valid_until_ms=int(time.time() * 1000) + DAY_MS)


async def join(server: Any, room_id: str, members: int) -> dict[str, Any]:
    """Join, wait until all members are there, and look once more what it has cost."""
    alice, bob = await server.users(2, "big")
    await bob.create_room(name="elsewhere")
    await server.quiesce(20)
    rss = proc.rss_mib(server.target.pids())
    async with server.meter() as meter:
        with probing(bob) as waits:
            started = time.perf_counter()
            await alice.join(room_id, NAME)
            answered = time.perf_counter() - started
            complete = await wait_for_members(alice, room_id, members, started)
    await server.quiesce(20)
    return {
        "join_s": round(answered, 2),
        "all_members_s": round(complete, 2),
        "others_waited_ms": round(max(waits) * 1000),
        "rss_before_mib": round(rss),
        "rss_after_mib": round(proc.rss_mib(server.target.pids())),
        **{name: meter.result.get(name) for name in ("server_cpu_s", "pg_cpu_s", "pg_xacts", "server_rss_peak_mib")},
    }


async def wait_for_members(user: Any, room_id: str, members: int, started: float) -> float:
    while time.perf_counter() - started < LIMIT_S:
        status, body = await user.raw("GET", f"/_matrix/client/v3/rooms/{quote(room_id)}/joined_members")
        if status == 200 and body.count(b'"display_name"') >= members - 1:
            return time.perf_counter() - started
        await asyncio.sleep(0.2)
    raise TimeoutError


@contextmanager
def probing(user: Any) -> Iterator[list[float]]:
    """How long somebody else waits for an answer that costs nothing."""
    waits = [0.0]

    async def probe() -> None:
        while True:
            started = time.perf_counter()
            await user.raw("GET", "/_matrix/client/v3/account/whoami")
            waits.append(time.perf_counter() - started)
            await asyncio.sleep(0.01)

    task = asyncio.ensure_future(probe())
    try:
        yield waits
    finally:
        task.cancel()


if __name__ == "__main__":
    main()
