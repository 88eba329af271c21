"""Real clients against a real server process. Run by `./voicechat test --all`, or `pytest tests/interop`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from tests.interop import environments
from tests.interop.player import Player
from tests.interop.stage import Stage
from tests.interop.target import Target, start_target

HERE = Path(__file__).parent
COMMANDS: dict[str, Callable[[], list[str]]] = {
    "nio": environments.nio_command,
    "mautrix": environments.mautrix_command,
    "js": environments.js_command,
    # The same client, which lists its rooms by sliding sync.
    "sliding": lambda: [*environments.js_command(), "--sliding"],
}


class Cast(Protocol):
    """Brings a player on stage: `await cast("alice", "nio")`."""

    async def __call__(self, name: str, kind: str, *, as_device_of: Player | None = None) -> Player: ...


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "interop: real clients against a real server process")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("interop")


@pytest.fixture(scope="session")
def homeserver_under_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    target = start_target(tmp_path_factory.mktemp("server"))
    yield target
    target.stop()
    assert target.complaints() == []


@pytest.fixture(scope="session")
def client_commands() -> Callable[[str], list[str]]:
    """The command that starts a client of a kind; the client is installed when it is first asked for."""
    known: dict[str, list[str]] = {}

    def command(kind: str) -> list[str]:
        try:
            if kind not in known:
                known[kind] = COMMANDS[kind]()
        except environments.Unavailable as error:
            pytest.skip(str(error))
        return known[kind]

    return command


@pytest_asyncio.fixture
async def cast(
    homeserver_under_test: Target, client_commands: Callable[[str], list[str]], tmp_path: Path
) -> AsyncIterator[Cast]:
    """Makes players, each a fresh account (or one more device of another player's), and sends them home afterwards."""
    stage = Stage(client_commands, tmp_path)

    async def call(name: str, kind: str, *, as_device_of: Player | None = None) -> Player:
        return await stage.call(homeserver_under_test.base_url, name, kind, as_device_of)

    yield call
    await stage.clear()


def pytest_report_header() -> str:
    return f"interop target: {os.environ.get('VOICECHAT_INTEROP_TARGET', 'voicechat')}"
