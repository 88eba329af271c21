"""Eight clients send while the server, or its database, is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.cast import Server
from tests.faults.crowd import Sender, check_nothing_lost, make_crowd
from tests.faults.process import ServerProcess

BEFORE_SECONDS = 1.5
AFTER_SECONDS = 2.0


async def send_through(senders: list[Sender], fault: Callable[[], None]) -> None:
    """Send, let the fault happen, and go on sending until everybody got through again."""
    enough = asyncio.Event()
    tasks = [asyncio.create_task(sender.send_until(enough)) for sender in senders]
    await asyncio.sleep(BEFORE_SECONDS)
    await asyncio.to_thread(fault)
    before = [len(sender.acknowledged) for sender in senders]
    while any(len(sender.acknowledged) <= count + 3 for sender, count in zip(senders, before, strict=True)):
        assert not any(task.done() for task in tasks), [task for task in tasks if task.done()]
        await asyncio.sleep(0.1)
    await asyncio.sleep(AFTER_SECONDS)
    enough.set()
    await asyncio.gather(*tasks)
    assert all(count > 3 for count in before), "the fault came before anything was sent"


async def test_killing_the_server_loses_nothing_that_was_acknowledged(faulty: Server, process: ServerProcess) -> None:
    senders = await make_crowd(faulty)

    def kill_and_restart() -> None:
        process.kill()
        process.start()

    await send_through(senders, kill_and_restart)
    assert any(sender.statuses[0] for sender in senders), "nobody noticed that the server was gone"
    await check_nothing_lost(senders)


async def test_killing_postgres_loses_nothing_and_answers_503_meanwhile(faulty: Server, process: ServerProcess) -> None:
    senders = await make_crowd(faulty)
    await send_through(senders, process.kill_postgres)
    assert any(sender.statuses[503] for sender in senders), "nobody noticed that the database was gone"
    assert not any(sender.statuses[500] for sender in senders)
    await check_nothing_lost(senders)


async def test_transactions_are_recognised_after_a_restart(faulty: Server, process: ServerProcess) -> None:
    (sender,) = await make_crowd(faulty, size=1)
    first = await sender.attempt("once")
    await asyncio.to_thread(process.kill)
    await asyncio.to_thread(process.start)
    assert first is not None
    assert await sender.attempt("once") == first
