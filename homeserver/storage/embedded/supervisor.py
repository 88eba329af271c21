"""The life of the embedded PostgreSQL: start it as a direct child, watch it, bring it back when it dies, stop it.

    postgres = EmbeddedPostgres(data_dir)
    await postgres.start()                       # makes the files at the first start
    watching = asyncio.create_task(postgres.watch())
    … postgres.dsn …
    watching.cancel()
    await postgres.stop()

If *we* are killed, the kernel tells PostgreSQL to stop, fast and clean (see child.py); the next start waits for it.
The child has to be started from the main thread: that signal follows the death of the *thread* that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

import asyncpg

from homeserver.storage.embedded.binaries import Binaries, find_binaries
from homeserver.storage.embedded.cluster import SUPERUSER, check_version, make_cluster, owner_uid
from homeserver.storage.embedded.errors import AlreadyRunningError, EmbeddedPostgresError
from homeserver.storage.embedded.identity import Identity, choose_identity
from homeserver.storage.embedded.leftovers import clear_leftovers
from homeserver.storage.embedded.options import command_line_options
from homeserver.storage.embedded.socket_folder import socket_folder

logger = logging.getLogger(__name__)

DATABASE = "voicechat"
_READY_SECONDS = 60.0  # replaying the log after a crash can take that long on a slow disk
_MAX_LOG_BYTES = 10_000_000
_STOP: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
_RESTART_PAUSES_SECONDS = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)


class EmbeddedPostgres:
    """One PostgreSQL under `data_dir/postgres`. `durable=False` gives up safety for speed: tests only."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.absolute()
        self.cluster = self.data_dir / "postgres"
        self.log_file = self.data_dir / "postgres.log"
        self.restarts = 0
        self._durable = durable
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None
        self._binaries: Binaries | None = None
        self._socket_folder = self.cluster

    @property
    def dsn(self) -> str:
        """The address of the server's database; `dsn_of("postgres")` is for making others."""
        return self.dsn_of(DATABASE)

    def dsn_of(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self._socket_folder), safe='')}"

    def dsn_of_running(self) -> str:
        """The address while another process runs it: for a short command given beside the server."""
        self._socket_folder = socket_folder(self.cluster, choose_identity(owner_uid(self.cluster)))
        return self.dsn

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Make the files if there are none, start PostgreSQL, and return when it takes connections."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock_data_dir(self.data_dir)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._binaries = find_binaries()
        self._identity = choose_identity(owner_uid(self.cluster))
        if owner_uid(self.cluster) is None:
            await make_cluster(self.cluster, self._binaries, self._identity, durable=self._durable)
        check_version(self.cluster)
        self._socket_folder = socket_folder(self.cluster, self._identity)
        await clear_leftovers(self.cluster)
        await self._launch()
        await self._make_database()

    async def _launch(self) -> None:
        assert self._identity is not None
        assert self._binaries is not None
        _keep_log_small(self.log_file)
        options = command_line_options(durable=self._durable)
        arguments = ["-D", str(self.cluster), "-k", str(self._socket_folder), *options]
        command = self._identity.command(self._binaries.path("postgres"), *arguments, death_signal=signal.SIGINT)
        with self.log_file.open("ab") as log:
            # A session of its own, so that Ctrl-C in our terminal does not reach it before we have finished.
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - returns at once
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        await self._until_ready(self._process)

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_ready(self.cluster, process.pid):
            if process.poll() is not None:
                raise EmbeddedPostgresError(f"PostgreSQL did not start. Its last words: {self._last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL is not ready after {_READY_SECONDS:.0f} s: {self.log_file}")
            await asyncio.sleep(0.005)

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(self.dsn_of("postgres"), timeout=10)
        try:
            await connection.execute(f"CREATE DATABASE {DATABASE}")
        except asyncpg.DuplicateDatabaseError:
            pass  # every start but the first
        finally:
            await connection.close()

    async def watch(self) -> None:
        """Bring PostgreSQL back whenever it dies, until cancelled. Never gives up: a full disk may be emptied."""
        while self._process is not None:
            await _exit_of(self._process)
            logger.error("PostgreSQL died (exit %s); restarting it", self._process.returncode)
            await self._restart()

    async def _restart(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(_RESTART_PAUSES_SECONDS[min(attempt, len(_RESTART_PAUSES_SECONDS) - 1)])
            attempt += 1
            try:
                await clear_leftovers(self.cluster)
                await self._launch()
            except (EmbeddedPostgresError, OSError) as error:
                logger.error("PostgreSQL does not come back yet (attempt %d): %s", attempt, error)
                await self._kill()
                continue
            self.restarts += 1
            logger.warning("PostgreSQL is back after %d attempt(s)", attempt)
            return

    async def stop(self) -> None:
        """Stop PostgreSQL cleanly and give the data directory free. Cancel `watch()` first."""
        if self._process is not None:
            for number, seconds in _STOP:
                if await _stopped(self._process, number, seconds):
                    break
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def _kill(self) -> None:
        if self._process is not None:
            await _stopped(self._process, signal.SIGKILL, 5.0)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return " / ".join(self.log_file.read_text("utf-8", "replace").splitlines()[-4:])
        return f"none; {self.log_file} cannot be read"


def lock_data_dir(data_dir: Path) -> IO[str]:
    """Claim `data_dir` for this process, until it closes the file or dies in whatever way."""
    file = (data_dir / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise AlreadyRunningError(
            f"VoiceChat is already running on {data_dir} (process {holder or 'unknown'}). "
            "Stop that one first, or choose another directory with --data-dir."
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _is_ready(cluster: Path, pid: int) -> bool:
    """`postmaster.pid` names our child and says ready; with another number it is an old file, soon replaced."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


async def _exit_of(process: subprocess.Popen[bytes]) -> None:
    """Return when `process` has exited: told by the kernel where it can, else by looking twice a second."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        while process.poll() is None:  # noqa: ASYNC110 - nothing tells us here
            await asyncio.sleep(0.5)
        return
    loop, exited = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, exited.set)
    try:
        await exited.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    process.wait()


async def _stopped(process: subprocess.Popen[bytes], number: signal.Signals, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    if process.poll() is None:
        process.send_signal(number)
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


def _keep_log_small(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > _MAX_LOG_BYTES:
            path.replace(path.with_name(path.name + ".1"))
