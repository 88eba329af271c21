"""A real bridge's bot, of mautrix's parts, talks encrypted with Alice: everything comes to it in transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.bridge import AS_TOKEN, HS_TOKEN, registration
from tests.interop.environments import DRIVERS
from tests.interop.player import Player
from tests.interop.stage import Stage
from tests.interop.target import SERVER_NAME, Target, free_port, start_target


@pytest.fixture(scope="module")
def bridge_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, bridge_port: int) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("bridged")
    file = folder / "bridge.yaml"
    wishes = {"receive_ephemeral": True, "org.matrix.msc3202": True, "io.element.msc4190": True}
    file.write_text(yaml.safe_dump(registration(f"http://127.0.0.1:{bridge_port}", **wishes)))
    target = start_target(folder, {"appservice_files": [str(file)]})
    yield target
    target.stop()
    assert target.complaints() == []


@pytest_asyncio.fixture
async def bridge(
    target: Target, bridge_port: int, client_commands: Callable[[str], list[str]], tmp_path: Path
) -> AsyncIterator[Player]:
    python, _ = client_commands("mautrix")
    player = await Player.start("bridge", [python, str(DRIVERS / "mautrix_bridge.py")], tmp_path / "bridge.log")
    tokens = {"as_token": AS_TOKEN, "hs_token": HS_TOKEN}
    known = await player.ask(
        "start", homeserver=target.base_url, domain=SERVER_NAME, port=bridge_port, **tokens
    )  # fmt: skip
    player.user_id, player.device_id = known["user_id"], known["device_id"]
    yield player
    await player.close()


@pytest.mark.parametrize("kind", ["mautrix", "nio"])
async def test_alice_and_a_bot_without_sync_talk_encrypted(
    target: Target, bridge: Player, client_commands: Callable[[str], list[str]], tmp_path: Path, kind: str
) -> None:
    stage = Stage(client_commands, tmp_path)
    alice = await stage.call(target.base_url, "alice", kind)
    try:
        room_id = await alice.ask("create_room", name="Bridged", invite=[bridge.user_id])
        await alice.ask("wait_member", room_id=room_id, user_id=bridge.user_id)
        await alice.ask("send", room_id=room_id, body="Are you there?")
        await bridge.ask("wait_message", room_id=room_id, body="Are you there?")
        await bridge.ask("send", room_id=room_id, body="I am.")
        assert (await alice.ask("wait_message", room_id=room_id, body="I am."))["encrypted"]
        await alice.ask("typing", room_id=room_id, is_typing=True)
        await bridge.ask("wait_typing", room_id=room_id, user_id=alice.user_id)
        await bridge.ask(
            "ghost_says", room_id=room_id, localpart="_net_bob", body="From the net", sent_ms=1_600_000_000_000
        )
        await alice.ask("wait_message", room_id=room_id, body="From the net")
    finally:
        await stage.clear()
