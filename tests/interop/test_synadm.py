"""synadm, the command line tool of administrators who know Synapse, against our server: what it shows and what it does."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.cast import PASSWORD, Client, Server
from tests.interop import environments
from tests.interop.target import SERVER_NAME, SHARED_SECRET, Target

SECONDS = 60.0
ON_SYNAPSE = os.environ.get("VOICECHAT_INTEROP_TARGET") == "synapse"


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return environments.synadm_program()
    except environments.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
async def server(homeserver_under_test: Target) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as session:
        yield Server(session, homeserver_under_test.base_url, SERVER_NAME)


@pytest.fixture
async def ada(server: Server) -> Client:
    """An administrator, made with the shared secret as tools make one."""
    path = "/_synapse/admin/v1/register"
    nobody = server.anonymous()
    nonce = (await nobody.get(path))["nonce"]
    name = f"ada{nonce[:6]}"
    mac = hmac.new(
        SHARED_SECRET.encode(), "\0".join([nonce, name, PASSWORD, "admin"]).encode(), hashlib.sha1
    ).hexdigest()
    made = await nobody.post(
        path, {"nonce": nonce, "username": name, "password": PASSWORD, "admin": True, "mac": mac}
    )  # fmt: skip
    return Client(server.session, server.base_url, user_id=made["user_id"], access_token=made["access_token"])


@dataclass(frozen=True, slots=True)
class Synadm:
    """The tool with the settings of one administrator."""

    program: Path
    settings: Path

    async def __call__(self, *arguments: str) -> Any:
        """The JSON that it prints last."""
        command = ["--batch", "--output", "json", "--config-file", str(self.settings), *arguments]
        process = await asyncio.create_subprocess_exec(
            str(self.program), *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, complained = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 0, f"synadm {arguments}: {said.decode()} {complained.decode()}"
        return _last_json(said.decode())


def _last_json(said: str) -> Any:
    """Some commands say how it was before, and add sentences."""
    lines = said.splitlines()
    begins = [number for number, line in enumerate(lines) if line[:1] in ("{", "[")]
    return json.loads("\n".join(lines[begins[-1] :])) if begins else None


@pytest.fixture
def synadm(program: Path, ada: Client, server: Server, tmp_path: Path) -> Synadm:
    settings = tmp_path / "synadm.yaml"
    settings.write_text(
        yaml.safe_dump(
            {
                "user": ada.user_id,
                "token": ada.access_token,
                "base_url": server.base_url,
                "admin_path": "/_synapse/admin",
                "matrix_path": "/_matrix",
                "format": "json",
                "timeout": 30,
                "server_discovery": "well-known",
                "homeserver": SERVER_NAME,
                "ssl_verify": True,
            }
        )
    )
    return Synadm(program, settings)


@pytest.fixture
def somebody(server: Server) -> Callable[[str], Any]:
    """A new user whose name nobody had before in this server."""
    count = iter(range(1000))

    async def register(name: str) -> Client:
        return await server.register(f"{name}{os.urandom(3).hex()}{next(count)}")

    return register


async def test_it_knows_the_server(synadm: Synadm) -> None:
    version: str = (await synadm("version"))["server_version"]
    assert version.startswith("VoiceChat") or ON_SYNAPSE


async def test_a_user_is_made_changed_and_ended(synadm: Synadm, server: Server) -> None:
    name = f"bob{os.urandom(3).hex()}"
    user_id = f"@{name}:{SERVER_NAME}"
    made = await synadm(
        "user",
        "modify",
        name,
        "--password",
        PASSWORD,
        "--display-name",
        "Bob",
        "--threepid",
        "email",
        "Bob@example.org",
    )
    assert (made["name"], made["displayname"]) == (user_id, "Bob")
    assert made["threepids"][0]["address"] == "bob@example.org"
    bob = await server.anonymous().login(name, PASSWORD)
    assert (await synadm("user", "3pid", "bob@example.org", "--medium", "email")) == {"user_id": user_id}
    assert [user["name"] for user in (await synadm("user", "list", "--name", name))["users"]] == [user_id]
    assert (await synadm("user", "details", user_id))["displayname"] == "Bob"
    assert (await synadm("user", "whois", user_id))["user_id"] == user_id
    await synadm("user", "password", user_id, "--password", "another one entirely")
    await bob.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    bob = await server.anonymous().login(name, "another one entirely")
    await synadm("user", "deactivate", user_id)
    await bob.get("account/whoami", expect=(401, "M_UNKNOWN_TOKEN"))
    assert (await synadm("user", "details", user_id))["deactivated"] is True


@pytest.mark.skipif(ON_SYNAPSE, reason="synadm falls over devices that Synapse has not seen yet")
async def test_old_devices_are_pruned(synadm: Synadm, somebody: Callable[[str], Any]) -> None:
    alice: Client = await somebody("alice")
    await alice.login(device_id="OLD")
    await synadm("user", "prune-devices", alice.user_id, "--device-id", "OLD", "--min-days", "0")
    assert [device["device_id"] for device in (await alice.get("devices"))["devices"]] == [alice.device_id]


async def test_ada_acts_as_alice(synadm: Synadm, server: Server, somebody: Callable[[str], Any]) -> None:
    alice: Client = await somebody("alice")
    token = (await synadm("user", "login", alice.user_id, "--expire-days", "1"))["access_token"]
    puppet = Client(server.session, server.base_url, access_token=token)
    assert (await puppet.get("account/whoami"))["user_id"] == alice.user_id


async def test_rooms_are_listed_read_and_governed(
    synadm: Synadm, ada: Client, somebody: Callable[[str], Any]
) -> None:  # fmt: skip
    alice, bob = await somebody("alice"), await somebody("bob")
    name = f"Hall {os.urandom(3).hex()}"
    room_id = await alice.create_room(name=name, preset="private_chat", room_version="11")
    found = await synadm("room", "list", "--name", name)
    assert (found["total_rooms"], found["rooms"][0]["room_id"]) == (1, room_id)
    details = await synadm("room", "details", room_id)
    assert (details["name"], details["joined_members"]) == (name, 1)
    assert (await synadm("room", "members", room_id))["members"] == [alice.user_id]
    assert name in json.dumps((await synadm("room", "state", room_id))["state"])
    await synadm("room", "make-admin", room_id, "--user-id", bob.user_id)
    assert (await alice.state(room_id, "m.room.power_levels"))["users"][bob.user_id] == 100
    assert (await synadm("user", "membership", alice.user_id))["joined_rooms"] == [room_id]
    hers = await ada.create_room(preset="private_chat")
    assert (await synadm("room", "join", hers, bob.user_id))["room_id"] == hers


async def test_files_are_listed(synadm: Synadm, somebody: Callable[[str], Any]) -> None:
    alice: Client = await somebody("alice")
    await alice.raw("POST", "/_matrix/media/v3/upload", data=b"tea", headers={"Content-Type": "text/plain"})
    media = await synadm("user", "media", alice.user_id)
    assert (media["total"], media["media"][0]["media_length"]) == (1, 3)


async def test_registration_tokens_come_and_go(synadm: Synadm) -> None:
    token = f"tea-{os.urandom(3).hex()}"
    made = await synadm("regtok", "new", "--token", token, "--uses-allowed", "2")
    assert (made["token"], made["uses_allowed"]) == (token, 2)
    assert (await synadm("regtok", "update", token, "--uses-allowed", "3"))["uses_allowed"] == 3
    assert token in json.dumps(await synadm("regtok", "list"))
    await synadm("regtok", "delete", token)
    assert token not in json.dumps(await synadm("regtok", "list"))
