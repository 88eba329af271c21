"""The worker processes: one from the start, further ones when those that run have work, up to one per core."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from voice.sfu.backend import SfuListener
from voice.sfu.embedded.backend import CannotStart, Restore
from voice.sfu.embedded.control import Configure, Numbers, Ready
from voice.sfu.embedded.supervisor_child import Child, WorkerFailed, employ
from voice.sfu.embedded.supervisor_keeper import Keeper
from voice.sfu.embedded.supervisor_spare import Spare

RESTART_PATIENCE_S: Final = 3.0
"""So long a request waits for a worker that is being started again; longer than its start takes."""
_LONGEST_SOCKET_PATH: Final = 100
"""Of the 104 bytes that macOS has for the whole path, 108 on Linux."""


@dataclass(slots=True, eq=False)
class Supervisor:
    """A `Crew` of processes. `configuration` is that of worker 0; worker n has a media port n further on."""

    configuration: Configure
    most: int
    """Workers, at least one."""
    patience_s: float = RESTART_PATIENCE_S
    spare: Spare = field(default_factory=Spare)
    _keepers: list[Keeper] = field(default_factory=list)
    _folder: Path | None = None
    _listener: SfuListener | None = None
    _restore: Restore | None = None

    async def start(self, listener: SfuListener, lost: Callable[[int], None], restore: Restore) -> None:
        """Raises CannotStart where not even the first worker begins."""
        self._listener, self._restore = listener, restore
        self._folder = _new_folder()
        self._keepers = [Keeper(number, self._begin, lost) for number in range(self.most)]
        self._keepers[0].start()
        try:
            await self._keepers[0].first_attempt()
        except WorkerFailed as error:
            await self.stop()
            raise CannotStart(why_not(self.configuration, error.errno, str(error))) from error

    async def stop(self) -> None:
        """No process is left afterwards."""
        await asyncio.gather(*(keeper.stop() for keeper in self._keepers))
        self._keepers = []
        await self.spare.drop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def running(self) -> Sequence[Child]:
        return [keeper.child for keeper in self._keepers if keeper.child is not None]

    async def reach(self, number: int) -> Child:
        return await self._keepers[number].reach(self.patience_s)

    def has(self, number: int) -> bool:
        return number < len(self._keepers) and self._keepers[number].started

    def grow(self) -> None:
        """One at a time: the start of a process is work for a core of its own."""
        if any(keeper.starting for keeper in self._keepers):
            return
        for keeper in self._keepers:
            if not keeper.started:
                keeper.start()
                return

    async def in_use(self, people: bool) -> None:
        if people:
            self.spare.want()
        else:
            await self.spare.drop()

    def deaths(self) -> int:
        return sum(keeper.deaths for keeper in self._keepers)

    def numbers(self) -> dict[int, Numbers]:
        return {child.number: child.numbers for child in self.running()}

    def ready(self) -> Sequence[Ready]:
        return [child.ready for child in self.running()]

    async def _begin(self, number: int) -> Child:
        """A worker that knows its rooms. Raises WorkerFailed or SfuUnavailable."""
        assert self._listener is not None
        assert self._restore is not None
        child = await employ(await self.spare.take(), number, self._configuration_of(number), self._listener)
        child.start()
        try:
            await asyncio.gather(*map(child.ask, self._restore(number)))
            await child.look()
        except BaseException:
            child.kill()
            await child.over()
            raise
        return child

    def _configuration_of(self, number: int) -> Configure:
        assert self._folder is not None
        port, path = self.configuration.port, str(self._folder / f"{number}.sock")
        usable = hasattr(socket, "AF_UNIX") and len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH
        return msgspec.structs.replace(
            self.configuration, port=port + number if port else 0, socket_path=path if usable else ""
        )


def why_not(configuration: Configure, number: int, text: str) -> str:
    """Why a worker does not start, for the person who can mend it."""
    where = f"{configuration.bind} port {configuration.port}"
    if number == errno.EADDRINUSE:
        return (
            f"Another program uses the port for voice, {where} (UDP or TCP); please stop it, or choose another "
            "port (voice.port)."
        )
    if number == errno.EACCES:
        return f"This user may not use {where} for voice; please choose a port above 1023 (voice.port)."
    if number == errno.EADDRNOTAVAIL:
        return f"{configuration.bind} is no address of this machine; please mend voice.bind."
    return f"Voice cannot start: {text}."


# --- where the sockets are -------------------------------------------------------------------------------------------


def _new_folder() -> Path:
    """Closed to other users. Folders of servers that were killed are cleared away."""
    parent = Path(tempfile.gettempdir())
    prefix = f"voicechat-voice-{os.geteuid()}-"
    for old in parent.glob(f"{prefix}*"):
        if not _is_alive(old.name.removeprefix(prefix).partition("-")[0]):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (ValueError, PermissionError):
        pass
    return True
