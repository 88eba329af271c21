"""A client that goes away in the middle of a request leaves nothing open behind."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import pytest

from tests.cast import Client, Server
from tests.faults.process import ServerProcess

OPEN_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()
"""


async def open_transactions(process: ServerProcess) -> int:
    lines = next(iter(process.data_dir.rglob("postmaster.pid"))).read_text().splitlines()
    connection = await asyncpg.connect(host=lines[4].strip(), port=int(lines[3]), user="postgres", database="voicechat")
    try:
        return int(await connection.fetchval(OPEN_TRANSACTIONS))
    finally:
        await connection.close()


def request_bytes(client: Client, path: str, body: bytes, announced: int) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.access_token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {announced}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.parametrize("whole", [False, True])
async def test_vanishing_leaves_no_open_transaction(faulty: Server, process: ServerProcess, whole: bool) -> None:
    alice = await faulty.register("alice")
    body = json.dumps({"name": "Tea", "preset": "public_chat"}).encode()
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        sent = body if whole else body[: len(body) // 2]
        writer.write(request_bytes(alice, "/_matrix/client/v3/createRoom", sent, len(body)))
        await writer.drain()
        writer.transport.abort()
    for _ in range(50):
        if await open_transactions(process) == 0:
            break
        await asyncio.sleep(0.1)
    assert await open_transactions(process) == 0
    room_id = await alice.create_room()
    await alice.send(room_id, "still here")
