"""A screen of its own for a program with windows: Xvfb, looked at with Pillow, typed and clicked on with xdotool."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageChops, ImageGrab

from tests.interop.environments import Unavailable

WIDTH, HEIGHT = 1066, 600
"""The size in which nheko opens; without a window manager it stays at the top left."""
START_SECONDS = 20.0
# A caret that blinks, and the seconds of a clock.
RESTLESS_PIXELS = 400
LOOK_EVERY_SECONDS = 0.3
TYPING_MS = 25


@dataclass(slots=True)
class Screen:
    """What a program draws, and the hands of whoever sits before it."""

    display: str
    server: subprocess.Popen[bytes]
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def open(cls) -> Screen:
        """Raises Unavailable."""
        for tool in ("Xvfb", "xdotool"):
            if shutil.which(tool) is None:
                raise Unavailable(f"no {tool} on this machine (Debian: apt install xvfb xdotool)")
        read, write = os.pipe()
        size = f"{WIDTH}x{HEIGHT}x24"
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", size, "-nolisten", "tcp"],
            pass_fds=[write],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as chosen:
            number = chosen.readline().strip()
        if not number:
            server.wait()
            raise Unavailable("Xvfb does not start on this machine")
        return cls(f":{number}", server)

    def run(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        """Start a program on this screen."""
        with log.open("wb") as output:
            self.programs.append(
                subprocess.Popen(
                    command,
                    env={**environment, "DISPLAY": self.display},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def picture(self) -> Image.Image:
        """What is to be seen now."""
        return ImageGrab.grab(xdisplay=self.display)

    async def settle(self, than: Image.Image | None = None, seconds: float = START_SECONDS) -> Image.Image:
        """Wait until the picture is another one than `than`, and keeps still. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            before = self.picture()
            while True:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                now = self.picture()
                if _differ(before, now) <= RESTLESS_PIXELS and (than is None or _differ(than, now) > RESTLESS_PIXELS):
                    return now
                before = now

    async def click(self, x: int, y: int) -> None:
        """With the left button."""
        await self._do("mousemove", str(x), str(y), "click", "1")

    async def type(self, text: str) -> None:
        """Into whatever has the focus."""
        await self._do("type", "--delay", str(TYPING_MS), "--", text)

    async def press(self, *keys: str) -> None:
        """Keys by their names, such as "Tab" and "ctrl+a"."""
        await self._do("key", *keys)

    async def _do(self, *arguments: str) -> None:
        tool = await asyncio.create_subprocess_exec(
            "xdotool", *arguments, env={**os.environ, "DISPLAY": self.display}, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await tool.communicate()
        assert tool.returncode == 0, complaint

    def close(self) -> None:
        """Ends the programs, and then the screen."""
        for program in self.programs:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        self.server.terminate()
        self.server.wait()


def _differ(one: Image.Image, other: Image.Image) -> int:
    """How many pixels are not the same."""
    grey = ImageChops.difference(one.convert("L"), other.convert("L"))
    return sum(grey.histogram()[8:])
