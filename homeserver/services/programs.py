"""Programs of ours that read what strangers made, each time in a process of its own, which may be killed."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """A file of Python that imports nothing of ours: input on stdin, output on stdout."""

    path: Path
    max_seconds: float
    max_output_bytes: int

    async def run(self, source: bytes, *arguments: str) -> bytes | None:
        """Its output; None where it failed, took too long, or had too much to say."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(self.path), *arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            output, _ = await asyncio.wait_for(process.communicate(source), self.max_seconds)
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return output if process.returncode == 0 and len(output) <= self.max_output_bytes else None
