"""What a killed server left behind: a PostgreSQL that is still stopping, or only its pid file.

PostgreSQL looks whether the number in `postmaster.pid` is a living process. That number may by now belong to anybody,
so we look at what is true instead: every PostgreSQL process has the cluster as its working directory.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

_POLL_SECONDS = 0.02
_PATIENCE: tuple[tuple[float, signal.Signals], ...] = (
    (5.0, signal.SIGINT),  # by itself: it was told to stop when its parent died; then told again
    (10.0, signal.SIGQUIT),
    (5.0, signal.SIGKILL),
)


async def clear_leftovers(cluster: Path) -> None:
    """Return when no process uses `cluster` and no pid file claims it. Call only while holding the data lock."""
    for seconds, next_signal in _PATIENCE:
        if await _all_gone(cluster, seconds):
            break
        for pid in processes_in(cluster):
            _send(pid, next_signal)
    await _all_gone(cluster, 5.0)
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def processes_in(cluster: Path) -> list[int]:
    """The processes whose working directory is `cluster`. Only Linux can tell; elsewhere the pid file has to do."""
    if not Path("/proc/self/cwd").exists():
        return _process_in_pid_file(cluster)
    wanted = os.path.realpath(cluster)
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _cwd(name) == wanted]


def _process_in_pid_file(cluster: Path) -> list[int]:
    try:
        pid = int((cluster / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return []
    return [pid]


def _cwd(pid: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:  # gone, a zombie, or somebody else's
        return None


async def _all_gone(cluster: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while processes_in(cluster):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
