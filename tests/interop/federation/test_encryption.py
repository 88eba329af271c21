"""Alice on one server and Bob on the other, each with a real client, share secrets that neither server can read."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.interop.federation.conftest import Pair
from tests.interop.player import Player
from tests.interop.scenes import PATIENCE_SECONDS, eventually, meet, say
from tests.interop.stage import Stage
from tests.interop.test_verification import compare_codes

CONVERSATIONS = [("js", "js"), ("nio", "js"), ("js", "nio"), ("mautrix", "js"), ("nio", "mautrix")]


@pytest_asyncio.fixture
async def stage(client_commands: Callable[[str], list[str]], tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(client_commands, tmp_path)
    yield stage
    await stage.clear()


async def couple(stage: Stage, pair: Pair, home: str, of_alice: str, of_bob: str) -> tuple[Player, Player]:
    """Alice, whose server will have the room, and Bob of the other one."""
    here, there = pair.home_and_away(home)
    alice = await stage.call(here.base_url, "alice", of_alice)
    return alice, await stage.call(there.base_url, "bob", of_bob)


async def until_answer(wanted: object, player: Player, question: str, **arguments: Any) -> None:
    """Asks again until the answer is this one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := await player.ask(question, **arguments)) != wanted:
        assert time.monotonic() < deadline, (
            f"{player}: {question}({arguments}) stayed {answer!r}; its log: {player.log}"
        )
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("of_alice, of_bob", CONVERSATIONS)
async def test_messages_and_files_go_both_ways(stage: Stage, pair: Pair, home: str, of_alice: str, of_bob: str) -> None:
    alice, bob = await couple(stage, pair, home, of_alice, of_bob)
    room_id = await meet(alice, bob)
    await say(alice, room_id, "Tea at five?", bob)
    await say(bob, room_id, "I bring cake. 🍰", alice)
    await say(alice, room_id, "Which one?", bob)

    for sender, receiver in ((alice, bob), (bob, alice)):
        name = f"from-{sender.username}.bin"
        recipe = base64.b64encode(secrets.token_bytes(200_000)).decode()
        await sender.ask("send_file", room_id=room_id, name=name, data=recipe)
        assert await receiver.ask("wait_file", room_id=room_id, name=name) == recipe


@pytest.mark.parametrize("of_alice", ["js", "nio"])
async def test_a_device_hears_from_its_login_to_its_logout(stage: Stage, pair: Pair, home: str, of_alice: str) -> None:
    alice, bob = await couple(stage, pair, home, of_alice, "js")
    room_id = await meet(bob, alice)
    await say(bob, room_id, "only the first device hears this", alice)

    phone = await stage.call(pair.home_and_away(home)[0].base_url, "alice", of_alice, as_device_of=alice)
    await phone.ask("wait_member", room_id=room_id, user_id=bob.user_id)
    await eventually(bob, "knows_device", user_id=alice.user_id, device_id=phone.device_id)
    await say(bob, room_id, "both devices hear this", alice, phone)

    await phone.ask("logout")
    await until_answer(False, bob, "knows_device", user_id=alice.user_id, device_id=phone.device_id)
    await bob.ask("devices_written_to", user_id=alice.user_id)
    await say(bob, room_id, "and the first one goes on hearing", alice)
    assert await bob.ask("devices_written_to", user_id=alice.user_id) == [alice.device_id]


@pytest.mark.parametrize("of_alice, of_bob", [("nio", "js"), ("js", "nio")])
async def test_two_devices_compare_codes(stage: Stage, pair: Pair, home: str, of_alice: str, of_bob: str) -> None:
    alice, bob = await couple(stage, pair, home, of_alice, of_bob)
    room_id = await meet(alice, bob)
    await say(alice, room_id, "Shall we compare codes?", bob)

    await compare_codes(alice, bob)

    assert await alice.ask("is_verified", user_id=bob.user_id, device_id=bob.device_id)
    assert await bob.ask("is_verified", user_id=alice.user_id, device_id=alice.device_id)


@pytest.mark.parametrize("in_room", [False, True], ids=["to-the-device", "in-the-room"])
async def test_two_people_come_to_trust_each_other(stage: Stage, pair: Pair, home: str, in_room: bool) -> None:
    """Each signs the other's master key; all devices of either know it. A new identity of Bob's is not trusted."""
    here, there = pair.home_and_away(home)
    alice, bob = await couple(stage, pair, home, "js", "js")
    keys = {player: await player.ask("set_up_cross_signing", password=player.password) for player in (alice, bob)}
    room_id = await meet(alice, bob)
    await eventually(alice, "has_cross_signing", user_id=bob.user_id)
    assert not await alice.ask("is_user_verified", user_id=bob.user_id)

    await compare_codes(alice, bob, room_id=room_id if in_room else None)

    await eventually(alice, "is_user_verified", user_id=bob.user_id)
    await eventually(bob, "is_user_verified", user_id=alice.user_id)
    assert await alice.ask("master_key", user_id=bob.user_id) == keys[bob]["master_key"]
    phones = [
        await stage.call(server.base_url, "phone", "js", as_device_of=player)
        for server, player in ((here, alice), (there, bob))
    ]
    for phone, owner, other in ((phones[0], alice, bob), (phones[1], bob, alice)):
        await phone.ask("sign_in_with_recovery_key", recovery_key=keys[owner]["recovery_key"])
        await phone.ask("wait_member", room_id=room_id, user_id=other.user_id)
        await eventually(other, "knows_device", user_id=phone.user_id, device_id=phone.device_id)
        # The SDK asks for the identity of somebody new to it when its long poll has ended, which this does.
        await say(other, room_id, f"hello {phone.device_id}", phone)
        await eventually(phone, "is_user_verified", user_id=other.user_id)
        await eventually(other, "is_verified", user_id=phone.user_id, device_id=phone.device_id)

    renewed = await bob.ask("reset_cross_signing", password=bob.password)
    await until_answer(renewed["master_key"], alice, "master_key", user_id=bob.user_id)
    await until_answer(False, alice, "is_user_verified", user_id=bob.user_id)


@pytest.mark.parametrize("of_alice, of_bob", [("js", "mautrix"), ("mautrix", "js")])
async def test_a_new_device_is_seen_to_be_signed(
    stage: Stage, pair: Pair, home: str, of_alice: str, of_bob: str
) -> None:
    alice, bob = await couple(stage, pair, home, of_alice, of_bob)
    keys = await alice.ask("set_up_cross_signing", password=alice.password)
    await meet(alice, bob)
    assert await bob.ask("master_key", user_id=alice.user_id) == keys["master_key"]
    await eventually(bob, "is_cross_signed", user_id=alice.user_id, device_id=alice.device_id)

    phone = await stage.call(pair.home_and_away(home)[0].base_url, "alice", of_alice, as_device_of=alice)
    assert not await bob.ask("is_cross_signed", user_id=alice.user_id, device_id=phone.device_id)
    await phone.ask("sign_in_with_recovery_key", recovery_key=keys["recovery_key"])
    await eventually(bob, "is_cross_signed", user_id=alice.user_id, device_id=phone.device_id)


@pytest.mark.parametrize("of_alice, of_bob", [("js", "js"), ("nio", "js"), ("js", "nio")])
async def test_what_was_said_while_bobs_server_was_away(
    stage: Stage, pair: Pair, home: str, of_alice: str, of_bob: str
) -> None:
    """Keys, messages, a file and Alice's new phone: all of it reaches Bob, and he reads it."""
    here, there = pair.home_and_away(home)
    alice, bob = await couple(stage, pair, home, of_alice, of_bob)
    room_id = await meet(alice, bob)
    await say(alice, room_id, "before", bob)
    await say(bob, room_id, "before as well", alice)

    there.kill()
    for number in range(3):
        await alice.ask("discard_room_key", room_id=room_id)
        await alice.ask("send", room_id=room_id, body=f"while you were away {number}")
    recipe = base64.b64encode(secrets.token_bytes(50_000)).decode()
    await alice.ask("send_file", room_id=room_id, name="recipe.bin", data=recipe)
    phone = await stage.call(here.base_url, "alice", of_alice, as_device_of=alice)
    await phone.ask("wait_member", room_id=room_id, user_id=bob.user_id)
    there.start()

    for number in range(3):
        heard = await bob.ask("wait_message", room_id=room_id, body=f"while you were away {number}")
        assert heard["encrypted"]
    assert await bob.ask("wait_file", room_id=room_id, name="recipe.bin") == recipe
    await eventually(bob, "knows_device", user_id=alice.user_id, device_id=phone.device_id)
    await say(bob, room_id, "back again", alice, phone)


async def test_keys_survive_the_fall_of_both_servers(stage: Stage, pair: Pair) -> None:
    """Ours falls with Alice's key still in its queue, while theirs is away. Both come back: Bob reads what she said."""
    alice, bob = await couple(stage, pair, "ours", "js", "js")
    room_id = await meet(alice, bob)
    await say(alice, room_id, "before", bob)
    await say(bob, room_id, "before as well", alice)

    pair.theirs.kill()
    await alice.ask("discard_room_key", room_id=room_id)
    await alice.ask("send", room_id=room_id, body="hold on to this")
    pair.ours.kill()
    pair.ours.start()
    pair.theirs.start()

    assert (await bob.ask("wait_message", room_id=room_id, body="hold on to this"))["encrypted"]
    await say(bob, room_id, "I did", alice)
