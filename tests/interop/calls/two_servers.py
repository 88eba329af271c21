"""Two of our servers with media workers and call pages of their own, which federate over real TLS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.federation.authority import Authority
from tests.interop.calls.stand import Account, call_page, register
from tests.interop.federation.servers import FederatedServer, make_server
from tests.interop.target import free_port


@dataclass(frozen=True, slots=True)
class Servers:
    """`alpha` is where the rooms of the stories are made."""

    alpha: FederatedServer
    beta: FederatedServer


@contextmanager
def two_servers(folder: Path) -> Iterator[Servers]:
    """Started; raises Unavailable where there is no call page."""
    authority = Authority(folder)
    servers = []
    for name in ("alpha", "beta"):
        port = free_port()
        server = make_server("voicechat", folder / name, authority, port, port)
        shutil.copytree(call_page(), server.folder / "data" / "call-page")
        servers.append(server)
    try:
        for server in servers:
            server.start()
        yield Servers(*servers)
    finally:
        for server in servers:
            server.stop()


@dataclass(frozen=True, slots=True)
class Meeting:
    """Alice of alpha, who made the room, and Bob of beta; Mona of alpha and Carol of beta are in it and not in the call."""

    room_id: str
    alice: Account
    bob: Account
    mona: Account
    carol: Account

    @property
    def both(self) -> set[str]:
        """Those who call each other."""
        return {self.alice.user_id, self.bob.user_id}

    @property
    def watchers(self) -> tuple[Account, Account]:
        """One at each server, who see what it shows to others."""
        return self.mona, self.carol


async def meet(http: aiohttp.ClientSession, servers: Servers, *, encrypted: bool) -> Meeting:
    """In a new voice channel; Mona and Bob may kick."""
    alice, mona = [await register(http, servers.alpha.base_url, name) for name in ("alice", "mona")]
    bob, carol = [await register(http, servers.beta.base_url, name) for name in ("bob", "carol")]
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    body: dict[str, Any] = {
        "name": "Lounge",
        "preset": "private_chat",
        "room_version": "11",
        "creation_content": {"type": "org.matrix.msc3417.call"},
        "invite": [each.user_id for each in (mona, bob, carol)],
        "power_level_content_override": {"users": {alice.user_id: 100, bob.user_id: 150, mona.user_id: 200}},
        "initial_state": [encryption] if encrypted else [],
    }
    room_id = str((await alice.ask(http, "POST", "/_matrix/client/v3/createRoom", body))["room_id"])
    via = quote(servers.alpha.name)
    for each in (mona, bob, carol):
        await each.ask(http, "POST", f"/_matrix/client/v3/join/{quote(room_id)}?via={via}&server_name={via}", {})
    return Meeting(room_id, alice, bob, mona, carol)


async def roster(http: aiohttp.ClientSession, watcher: Account, room_id: str) -> set[str]:
    """Who is at the SFU of the watcher's server."""
    answer = await watcher.ask(http, "GET", f"/_voicechat/client/v1/rooms/{quote(room_id)}/voice")
    return set(answer["participants"])


async def kick(http: aiohttp.ClientSession, admin: Account, room_id: str, user_id: str) -> None:
    await admin.ask(http, "POST", f"/_matrix/client/v3/rooms/{quote(room_id)}/kick", {"user_id": user_id})
