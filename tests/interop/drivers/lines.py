"""JSON lines: how a driver talks with the test that started it.

One request a line on stdin, `{"id": 1, "command": "send", "arguments": {...}}`; one answer a line on stdout, `{"id": 1,
"result": ...}` or `{"id": 1, "error": "..."}`. Any number of requests may be under way at once. stderr is the driver's log.

This file and the drivers beside it run in the environment of the client they drive, so they import nothing of the project.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 30.0


class Inbox:
    """What the client has seen so far; a test may wait for an entry that came before or comes later."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._grown = asyncio.Condition()

    async def put(self, entry: dict[str, Any]) -> None:
        async with self._grown:
            self._entries.append(entry)
            self._grown.notify_all()

    async def wait(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The first entry that is wanted; TimeoutError naming `what` and all that came instead."""
        async with self._grown:
            try:
                await asyncio.wait_for(self._grown.wait_for(lambda: any(map(wanted, self._entries))), PATIENCE_SECONDS)
            except TimeoutError:
                raise TimeoutError(f"{what} did not come; seen so far: {self._entries}") from None
            return next(entry for entry in self._entries if wanted(entry))


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Polls a condition of the client library (plain or coroutine function) until it is true, and returns its value."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{what} did not come")


async def _answer(driver: object, request: dict[str, Any]) -> None:
    answer: dict[str, Any] = {"id": request["id"]}
    try:
        answer["result"] = await getattr(driver, request["command"])(**request.get("arguments", {}))
    except Exception as error:
        traceback.print_exc()
        answer["error"] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _serve(driver: object) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(_answer(driver, json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


def run(make_driver: Callable[[], object]) -> None:
    """Serves until stdin is closed; the driver is made inside the running loop."""

    async def main() -> None:
        await _serve(make_driver())

    asyncio.run(main())
