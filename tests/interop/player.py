"""One user on one device: a real client in a process of its own, spoken to in JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 60.0
EXIT_SECONDS = 5.0
LINE_BYTES = 2**24


class ClientError(AssertionError):
    """The client refused or gave up; the message is the client's own."""


class Player:
    """Commands are those of the drivers (see drivers/README.md); unknown ones are the driver's error."""

    def __init__(self, kind: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.kind = kind
        self.log = log
        self.user_id = ""
        self.device_id = ""
        self.password = ""
        self.username = ""
        self._process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, kind: str, command: list[str], log: Path) -> Player:
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                limit=LINE_BYTES,
            )
        return cls(kind, process, log)

    async def ask(self, command: str, **arguments: Any) -> Any:
        """Sends one command and waits for its answer."""
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "command": command, "arguments": arguments})
        self._process.stdin.write(line.encode() + b"\n")
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise ClientError(f"{self}: no answer to {command}; its log: {self.log}") from None

    async def enter(self, command: str, homeserver: str, username: str, password: str) -> None:
        """Registers or logs in, and remembers who and where the player is."""
        known = await self.ask(command, homeserver=homeserver, username=username, password=password)
        self.user_id, self.device_id = known["user_id"], known["device_id"]
        self.username, self.password = username, password

    async def close(self) -> None:
        assert self._process.stdin is not None
        if self.user_id:
            with contextlib.suppress(ClientError):
                await self.ask("close")
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), EXIT_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            answer = json.loads(line)
            waiting = self._answers.pop(answer["id"])
            if waiting.done():
                continue
            if "error" in answer:
                waiting.set_exception(ClientError(f"{self}: {answer['error']}; its log: {self.log}"))
            else:
                waiting.set_result(answer["result"])
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(ClientError(f"{self}: the client ended; its log: {self.log}"))

    def __str__(self) -> str:
        return f"{self.user_id or 'nobody yet'} with {self.kind}"
