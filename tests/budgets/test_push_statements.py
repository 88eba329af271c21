"""What pushing to many costs the database: the same as pushing to one."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import OutgoingHttpSettings, Settings
from tests.cast import Client, Server
from tests.gateway import PushGateway
from tests.homeserver import server_settings

READERS = 12


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return server_settings(tmp_path, outgoing_http=OutgoingHttpSettings(verify_tls=False, ip_denylist=()))


async def _room(server: Server, gateway: PushGateway, readers: int) -> tuple[Client, str]:
    """Bob's room with so many others, all with pushers, a third of them with rules and ignore lists of their own."""
    bob = await server.register(f"bob{readers}")
    room_id = await bob.create_room(preset="public_chat")
    for number in range(readers):
        reader = await server.register(f"reader{readers}-{number}")
        await reader.join(room_id)
        await reader.post("pushers/set", gateway.pusher(f"key{readers}-{number}"))
        if number % 3 == 0:
            rule = {"pattern": f"word{number}", "actions": ["notify", {"set_tweak": "highlight"}]}
            await reader.put(("pushrules", "global", "content", f"word{number}"), rule)
            ignored = {"ignored_users": {f"@nobody{number}:test": {}}}
            await reader.put(("user", reader.user_id, "account_data", "m.ignored_user_list"), ignored)
    return bob, room_id


async def _cost(server: Server, gateway: PushGateway, bob: Client, room_id: str, readers: int) -> int:
    database = server.application.base.database
    before = database.statements
    await bob.send(room_id, "hello")
    for _ in range(readers):
        await gateway.next()
    return int(database.statements - before)


def _forget_everybody(server: Server) -> None:
    """As after a start: nobody is awake, nothing is counted, no rules and lists are in memory."""
    readers, awake = server.application.readers, server.application.base.awake
    for user_id in list(server.application.push.pushers.registry.pushed):
        readers.unread.forget_reader(user_id)
        if awake.is_awake(user_id):
            awake._drop(user_id)
        readers.ignored._lists.pop(user_id, None)
        readers.push_rules.rulesets._cache.pop(user_id, None)


async def test_many_pushers_of_a_room_cost_no_statement_each(server: Server, gateway: PushGateway) -> None:
    few, few_room = await _room(server, gateway, 3)
    many, many_room = await _room(server, gateway, READERS)
    await few.send(few_room, "warm up")
    await many.send(many_room, "warm up")
    for _ in range(3 + READERS):
        await gateway.next()
    _forget_everybody(server)
    cold_few = await _cost(server, gateway, few, few_room, 3)
    _forget_everybody(server)
    cold_many = await _cost(server, gateway, many, many_room, READERS)
    assert cold_many <= cold_few <= 8
    # Once everybody is awake, the message is all there is to write.
    assert await _cost(server, gateway, many, many_room, READERS) == 1
