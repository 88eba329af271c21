"""Waiting for what happens in tasks of their own, by events of the loop and not by the clock of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TRIES = 200


async def until(reached: Callable[[], object], what: str = "what the test waits for") -> None:
    """Return once it is so; AssertionError after two seconds."""
    for _ in range(TRIES):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not happen")


async def tasks_done() -> None:
    """Give tasks that need no network a chance to do what they should not do."""
    for _ in range(5):
        await asyncio.sleep(0.01)
