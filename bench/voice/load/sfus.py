"""The SFU that is measured, in a process of its own: a real worker of ours, or LiveKit's server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import aiohttp

from bench.voice.load.crowd import Door
from voice.sfu.backend import RoomOptions
from voice.sfu.embedded.control import Configure, EnsureRoom
from voice.sfu.embedded.control_channel import open_channel
from voice.sfu.embedded.supervisor_child import Child, _introduced

PROJECT = Path(__file__).resolve().parents[3]
KEY, SECRET = "bench", "a secret of this benchmark and of nobody else"
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LIVEKIT = """\
port: {http}
bind_addresses: ["127.0.0.1"]
rtc: {{tcp_port: {tcp}, udp_port: {udp}, use_external_ip: false, node_ip: 127.0.0.1}}
room: {{auto_create: true}}
keys: {{"{key}": "{secret}"}}
logging: {{level: error}}
"""


class Sfu(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def door(self) -> Door: ...

    @property
    def pid(self) -> int: ...

    async def open_room(self, room: str) -> None: ...

    def begin(self) -> None:
        """What is measured begins now."""
        ...


@dataclass(frozen=True, slots=True)
class Cpu:
    """Seconds of a process until now."""

    user: float
    system: float
    """In the kernel; on loopback that is sending and receiving."""

    @property
    def both(self) -> float:
        return self.user + self.system

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def cpu_of(pid: int) -> Cpu:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cpu(int(fields[11]) / _TICKS, int(fields[12]) / _TICKS)


def memory_mb(pid: int) -> float:
    """Resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def dropped_by_full_sockets() -> int:
    """Of all UDP sockets of the machine (RFC 4113's udpInErrors of that kind)."""
    names, numbers = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Udp:")
    return int(numbers[names.index("RcvbufErrors")])


def prioritise(nice: int) -> None:
    """This process and those it starts, before others of the machine; below 0 is for root.

    Linux weighs sessions before it weighs processes (sched_autogroup), so the session must be one of its own.
    """
    os.nice(nice)
    with contextlib.suppress(PermissionError):
        os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


# --- ours ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Worker:
    name: str
    door: Door
    pid: int
    child: Child
    sampled: bool

    async def open_room(self, room: str) -> None:
        await self.child.ask(EnsureRoom(room, RoomOptions(max_participants=2000)))

    def begin(self) -> None:
        if self.sampled:
            os.kill(self.pid, signal.SIGUSR1)


@asynccontextmanager
async def worker(*, way: str = "", top_speakers: int = 5) -> AsyncIterator[Worker]:
    """`way`: "" as it is; "sendto" without sendmmsg; "samples:FILE" (worker_variant.py)."""
    configuration = Configure(KEY, SECRET, "127.0.0.1", 0, ("127.0.0.1",), RoomOptions(), top_speakers, 20, "")
    ours, theirs = socket.socketpair()
    module = ("bench.voice.load.worker_variant", way) if way else ("voice.sfu.embedded.worker",)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module[0], str(theirs.fileno()), str(os.getpid()), *module[1:]),
        pass_fds=(theirs.fileno(),),
        cwd=PROJECT,
    )
    theirs.close()
    channel = await open_channel(ours)
    child = Child(0, process, channel, await _introduced(channel, configuration), lambda event: None)
    child.start()
    try:
        name, sampled = "ours" + (f", {way}" if way == "sendto" else ""), way.startswith("samples")
        yield Worker(name, _door(child.signalling.port), process.pid, child, sampled)
    finally:
        await child.stop()


def _door(port: int) -> Door:
    return Door(f"ws://127.0.0.1:{port}", KEY, SECRET)


# --- LiveKit -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LiveKit:
    name: str
    door: Door
    pid: int

    async def open_room(self, room: str) -> None:
        """Made by whoever joins first."""

    def begin(self) -> None: ...


@asynccontextmanager
async def livekit(binary: str) -> AsyncIterator[LiveKit]:
    with tempfile.TemporaryDirectory() as folder:
        http, tcp, udp = _free_ports()
        path = Path(folder) / "livekit.yaml"
        path.write_text(_LIVEKIT.format(http=http, tcp=tcp, udp=udp, key=KEY, secret=SECRET))
        process = await asyncio.create_subprocess_exec(
            binary, "--config", path, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            await _answers(http, process)
            yield LiveKit("LiveKit", replace(_door(http), data=False), process.pid)
        finally:
            process.kill()
            await process.wait()


async def _answers(port: int, process: Process) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(30):
        while process.returncode is None:
            try:
                async with session.get(f"http://127.0.0.1:{port}/"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise RuntimeError("LiveKit ended at its start.")


def _free_ports() -> tuple[int, int, int]:
    first = 20_000 + secrets.randbelow(10_000)
    return first, first + 1, first + 2
