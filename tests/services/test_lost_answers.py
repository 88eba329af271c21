"""PostgreSQL commits, and its answer is lost: nobody knows, but memory must not go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from homeserver.protocol.errors import Unavailable
from homeserver.storage import database as database_module
from homeserver.storage.account_data import AccountDataRows
from homeserver.storage.devices import DeviceRows
from homeserver.storage.push_rules import PushRuleRows
from homeserver.storage.receipts import ReceiptRows
from tests.cast import Client, Server

Break = Callable[[type, str], None]


@pytest.fixture
def lose_answer_of(monkeypatch: pytest.MonkeyPatch) -> Break:
    """The method does its work at its next call, and then the connection breaks."""

    def lose(owner: type, name: str) -> None:
        work = getattr(owner, name)

        async def unheard(*arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(owner, name, work)
            await work(*arguments, **named)
            raise Unavailable("the connection broke after the commit")

        monkeypatch.setattr(owner, name, unheard)

    return lose


async def chat(server: Server) -> tuple[Client, Client, str]:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    return alice, bob, room_id


async def test_a_token_whose_end_nobody_heard_of_is_no_longer_good(server: Server, lose_answer_of: Break) -> None:
    alice = await server.register("alice")
    lose_answer_of(DeviceRows, "delete")
    await alice.post("logout", expect=503)
    await alice.post("logout", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_a_login_on_the_same_device_ends_the_old_token_heard_or_not(
    server: Server, lose_answer_of: Break
) -> None:
    alice = await server.register("alice")
    body = {"type": "m.login.password", "user": "alice", "password": alice.password, "device_id": alice.device_id}
    lose_answer_of(database_module._TransactionScope, "_end")
    await alice.anonymous().post("login", body, expect=503)
    await alice.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))


async def test_bob_hears_of_a_device_list_that_changed_unheard(server: Server, lose_answer_of: Break) -> None:
    alice, bob, _ = await chat(server)
    since = (await bob.sync())["next_batch"]
    lose_answer_of(DeviceRows, "rename")
    # The name was changed, and the second time it is the same: only the first change is one.
    await alice.put(("devices", alice.device_id), {"display_name": "Phone"}, expect=503)
    changes = type(server.application.encryption.device_lists.changes)
    lose_answer_of(changes, "record")
    await alice.put(("devices", alice.device_id), {"display_name": "Phone"}, expect=503)
    assert (await bob.sync(since=since))["device_lists"]["changed"] == [alice.user_id]


async def test_account_data_that_was_stored_unheard_is_told(server: Server, lose_answer_of: Break) -> None:
    alice, bob, room_id = await chat(server)
    event_id = await bob.send(room_id, "noise")
    since = (await alice.sync())["next_batch"]
    lose_answer_of(AccountDataRows, "put")
    path = ("user", alice.user_id, "account_data", "m.ignored_user_list")
    await alice.put(path, {"ignored_users": {bob.user_id: {}}}, expect=503)
    assert (await alice.sync(since=since)).account_data("m.ignored_user_list") == {"ignored_users": {bob.user_id: {}}}
    # What decides over messages knows it too.
    assert event_id not in str(await alice.messages(room_id))


async def test_push_rules_that_were_stored_unheard_are_in_force(server: Server, lose_answer_of: Break) -> None:
    alice, bob, room_id = await chat(server)
    since = (await alice.sync())["next_batch"]
    lose_answer_of(PushRuleRows, "store")
    await alice.put(("pushrules", "global", "room", room_id), {"actions": []}, expect=503)
    rules = (await alice.sync(since=since)).account_data("m.push_rules")
    assert [rule["rule_id"] for rule in rules["global"]["room"]] == [room_id]
    await bob.send(room_id, "silent")
    unread = (await alice.sync(since=since)).room(room_id)["unread_notifications"]
    assert unread["notification_count"] == 0


async def test_a_receipt_that_was_stored_unheard_is_told(server: Server, lose_answer_of: Break) -> None:
    alice, bob, room_id = await chat(server)
    event_id = await bob.send(room_id, "hello")
    since = (await bob.sync())["next_batch"]
    lose_answer_of(ReceiptRows, "store")
    await alice.post(("rooms", room_id, "receipt", "m.read", event_id), {}, expect=503)
    receipts = (await bob.sync(since=since)).ephemeral(room_id, "m.receipt")
    assert alice.user_id in str(receipts)
