"""What remains of a reader whose account is deactivated: nothing that was his alone."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

TABLES = ("account_data", "push_rules", "receipts", "read_positions", "push_actions", "status_messages")


async def rows(server: Server, user: Client) -> dict[str, list[Any]]:
    """What the tables say about the user, without positions."""
    fetch = server.application.base.database.fetch
    found = {table: await fetch(f"SELECT * FROM {table} WHERE user_id = $1", user.user_id) for table in TABLES}
    return {table: [dict(row) for row in each] for table, each in found.items()}


async def live_a_little(bob: Client, room_id: str, event_id: str) -> None:
    await bob.put(("user", bob.user_id, "account_data", "org.example.diary"), {"dear": "diary"})
    await bob.put(
        ("user", bob.user_id, "account_data", "m.ignored_user_list"), {"ignored_users": {"@mallory:test": {}}}
    )
    await bob.put(("user", bob.user_id, "rooms", room_id, "tags", "u.secret"), {})
    await bob.put(("pushrules", "global", "content", "secret"), {"actions": ["notify"], "pattern": "secret"})
    await bob.put(("presence", bob.user_id, "status"), {"presence": "online", "status_msg": "reading"})
    await bob.post(("rooms", room_id, "receipt", "m.read", event_id))
    await bob.post(("rooms", room_id, "receipt", "m.read.private", event_id))
    await bob.send(room_id, "Goodbye")


async def test_a_deactivated_account_leaves_nothing_of_its_own(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    event_id = await alice.send(room_id, "bob, are you there?")
    await live_a_little(bob, room_id, event_id)
    await alice.put(("user", alice.user_id, "account_data", "org.example.diary"), {"dear": "diary"})
    readers = server.application.readers
    before = [readers.account_data.stream.current, readers.receipts.stream.current]

    await bob.post("account/deactivate", {"auth": bob.password_auth()})
    await readers.unread.own_reads.flush()

    left = await rows(server, bob)
    assert [(row["room_id"], row["type"], row["content"]) for row in left.pop("account_data")] == [("", "", b"{}")]
    assert [(row["receipt_type"], row["event_id"]) for row in left.pop("receipts")] == [("", "")]
    assert [row["customised"] for row in left.pop("push_rules")] == [False]
    assert not any(left.values()), left
    assert await readers.account_data.ignored_users(bob.user_id) == frozenset()
    assert "secret" not in str(await readers.push_rules.ruleset(bob.user_id))
    assert (await readers.receipts.everything(alice.user_id, [room_id])).get(room_id, {}) == {}
    assert await alice.get(("user", alice.user_id, "account_data", "org.example.diary")) == {"dear": "diary"}

    # A server that starts anew does not use positions again which clients have in their tokens.
    await readers.receipts.load()
    await readers.account_data.changes.load()
    after = [readers.account_data.stream.current, readers.receipts.stream.current]
    assert all(here > there for here, there in zip(after, before, strict=True))
    await readers.forget(bob.user_id, erase=False)
    assert (await rows(server, bob))["account_data"]
