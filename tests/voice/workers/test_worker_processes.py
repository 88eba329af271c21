"""Workers are started, die, hang, and are started again; nobody's call is forgotten."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import psutil
import pytest

from tests.voice.calls.telephone import until
from tests.voice.workers.exchange_of_processes import SECRET, Workplace, configuration, worker_processes, workplace
from voice.sfu.backend import Grant, RoomOptions, RoomsLost, SfuUnavailable
from voice.sfu.embedded import supervisor_child
from voice.sfu.embedded.backend import CannotStart, EmbeddedBackend
from voice.sfu.embedded.supervisor import Supervisor


async def validate(place: Workplace, token: str, worker: int = 0) -> int:
    """What the worker's signalling says of a token."""
    address = (await place.crew.reach(worker)).signalling
    connector = aiohttp.UnixConnector(address.path)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://worker/rtc/v1/validate", params={"access_token": token}) as response,
    ):
        return response.status


async def test_a_second_worker_comes_with_the_work_and_gets_the_next_room() -> None:
    async with workplace(most=2, busy=1) as place:
        assert len(worker_processes()) == 1
        assert await place.backend.ensure_room("kitchen", RoomOptions()) == "ws://sfu.test/0"
        await place.backend.ensure_room("garden", RoomOptions())
        await until(lambda: len(place.crew.running()) == 2, "a second worker")
        assert await place.backend.ensure_room("cellar", RoomOptions()) == "ws://sfu.test/1"
        assert await place.backend.ensure_room("kitchen", RoomOptions()) == "ws://sfu.test/0", (
            "rooms stay where they are"
        )
        token = place.backend.mint_token(Grant("cellar", "alice"))
        assert await validate(place, token, worker=1) == 200
        assert await validate(place, token, worker=0) == 404, "the room is at the other worker"
    assert not worker_processes(), "stopping leaves none behind"


async def test_workers_go_before_others_where_the_system_lets_them() -> None:
    async with workplace():
        (process,) = worker_processes()
        assert process.nice() == (-10 if may_raise_priority() else psutil.Process().nice())


def may_raise_priority() -> bool:
    """Tried in a child: who lowered his niceness may not always raise it again."""
    attempt = "import os; os.setpriority(os.PRIO_PROCESS, 0, -10)"
    return subprocess.run([sys.executable, "-c", attempt], capture_output=True, check=False).returncode == 0


async def test_who_was_in_a_killed_worker_can_come_back_and_who_was_removed_cannot() -> None:
    async with workplace() as place:
        await place.backend.ensure_room("kitchen", RoomOptions())
        alice, bob = (place.backend.mint_token(Grant("kitchen", name)) for name in ("alice", "bob"))
        assert await place.backend.remove("kitchen", "bob") is False, "he had not come yet"
        await asyncio.sleep(0.005)
        carol = place.backend.mint_token(Grant("kitchen", "carol"))
        (process,) = worker_processes()
        process.send_signal(signal.SIGKILL)
        await until(lambda: place.events, "the news")
        assert place.events == [RoomsLost(["kitchen"])]
        await until(place.crew.running, "the next worker")
        assert [await validate(place, token) for token in (alice, bob, carol)] == [200, 401, 200]
        assert place.crew.deaths() == 1


async def test_a_token_stays_void_when_the_worker_has_forgotten_the_room() -> None:
    async with workplace() as place:
        bob = place.backend.mint_token(Grant("kitchen", "bob"))
        await asyncio.sleep(0.005)
        await place.backend.remove("kitchen", "bob")
        await place.backend.ensure_room("kitchen", RoomOptions())
        assert await validate(place, bob) == 401


async def test_requests_wait_for_a_worker_that_is_starting_again() -> None:
    async with workplace() as place:
        place.crew.patience_s = 20.0
        await place.backend.ensure_room("kitchen", RoomOptions())
        worker_processes()[0].kill()
        await until(lambda: place.events, "the news")
        assert await place.backend.participants("kitchen") == []


async def test_a_worker_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_EVERY_S", "LOOK_PATIENCE_S"):
        monkeypatch.setattr(supervisor_child, name, 0.05)
    async with workplace() as place:
        (process,) = worker_processes()
        process.send_signal(signal.SIGSTOP)
        await until(lambda: place.crew.deaths() == 1, "its end")
        assert not psutil.pid_exists(process.pid)


async def test_a_verb_does_not_wait_for_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workplace() as place:
        await place.backend.ensure_room("kitchen", RoomOptions())
        (process,) = worker_processes()
        process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(SfuUnavailable):
            await place.backend.participants("kitchen")
        assert time.monotonic() - began < 2 * supervisor_child.ANSWER_S
        process.send_signal(signal.SIGCONT)


async def test_secrets_are_nowhere_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECHAT_DATABASE_URL", "postgresql://of:everybody@test/x")
    async with workplace():
        (process,) = worker_processes()
        assert SECRET not in " ".join(process.cmdline())
        assert SECRET not in str(process.environ())
        assert "VOICECHAT_DATABASE_URL" not in process.environ()


async def test_the_message_names_the_port_that_is_taken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        crew = Supervisor(configuration(port=port), 1)
        with pytest.raises(CannotStart, match=f"Another program uses the port for voice, 127.0.0.1 port {port}"):
            await EmbeddedBackend(crew, "ws://sfu.test", "key", SECRET).start()
    assert not worker_processes()


async def test_while_people_are_in_calls_a_spare_process_waits() -> None:
    async with workplace() as place:
        (first,) = worker_processes()
        await place.crew.in_use(people=True)
        await until(lambda: place.crew.spare.is_there, "the spare one")
        (spare,) = [each for each in worker_processes() if each.pid != first.pid]
        first.kill()
        await until(lambda: place.crew.deaths() == 1 and place.crew.running(), "the next worker")
        assert [child.process.pid for child in place.crew.running()] == [spare.pid]
        await place.crew.in_use(people=True)
        await until(lambda: place.crew.spare.is_there, "another spare one")
        await place.crew.in_use(people=False)
        assert [each.pid for each in worker_processes()] == [spare.pid]
        await place.crew.in_use(people=True)
    assert not worker_processes()


async def test_a_spare_process_that_died_is_not_taken() -> None:
    async with workplace() as place:
        await place.crew.in_use(people=True)
        await until(lambda: place.crew.spare.is_there, "the spare one")
        for process in worker_processes():
            process.kill()
        await until(lambda: place.crew.deaths() == 1 and place.crew.running(), "the next worker")
