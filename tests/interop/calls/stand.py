"""The stage of calls: our server as a process with its media workers, the call page, and accounts that meet in a room."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.interop.environments import CACHE, PROJECT, Unavailable
from tests.interop.target import SERVER_NAME, Target, _await_ready, free_port
from voice.call_page.install import SOURCE, CannotInstall, install


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in, and who acts here without a client."""

    base_url: str
    user_id: str
    password: str
    token: str
    device_id: str

    @property
    def localpart(self) -> str:
        return self.user_id[1:].split(":")[0]

    async def ask(self, http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
        """One request of the client-server API; raises AssertionError for anything but 200."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with http.request(method, f"{self.base_url}{path}", json=body, headers=headers) as answer:
            content = await answer.json()
            assert answer.status == 200, (method, path, answer.status, content)
            return content


def call_page() -> Path:
    """The page as an operator would install it, made once for the same sources."""
    digest = hashlib.sha256()
    for file in sorted(SOURCE.iterdir()):
        if file.is_file():
            digest.update(file.read_bytes())
    directory = CACHE / "call-page"
    stamp = CACHE / "call-page.made-from"
    if not (directory.exists() and stamp.exists() and stamp.read_text() == digest.hexdigest()):
        CACHE.mkdir(exist_ok=True)
        try:
            install(directory)
        except CannotInstall as error:
            raise Unavailable(str(error)) from error
        stamp.write_text(digest.hexdigest())
    return directory


def start_server(directory: Path, listener_bind: str = "127.0.0.1", **voice: Any) -> Target:
    """Our server with open registration, guests, and media on this machine only; `voice` changes that section."""
    port = free_port()
    data = directory / "data"
    data.mkdir(parents=True)
    shutil.copytree(call_page(), data / "call-page")
    config = {
        "server_name": SERVER_NAME,
        "public_baseurl": f"http://{listener_bind}:{port}",
        "data_dir": str(data),
        "listeners": [{"bind": listener_bind, "port": port}],
        "registration": {"enabled": True, "require_verification": False, "guests": True},
        "passwords": {"hash_cost": "minimum"},
        "rate_limits": {"enabled": False},
        "voice": {"bind": "127.0.0.1", "port": free_port(), "workers": 1, **voice},
    }
    file = directory / "homeserver.yaml"
    file.write_text(yaml.safe_dump(config))
    log = directory / "server.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "homeserver", "--config", str(file)]
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
    target = Target(f"http://{listener_bind}:{port}", log, process)
    _await_ready(target)
    return target


async def register(http: aiohttp.ClientSession, base_url: str, name: str) -> Account:
    username, password = f"{name}-{secrets.token_hex(3)}", f"password of {name}"
    body = {"username": username, "password": password, "auth": {"type": "m.login.dummy"}}
    async with http.post(f"{base_url}/_matrix/client/v3/register", json=body) as answer:
        made = await answer.json()
        assert answer.status == 200, made
    return Account(base_url, made["user_id"], password, made["access_token"], made["device_id"])


async def make_call_room(http: aiohttp.ClientSession, owner: Account, *others: Account, encrypted: bool = True) -> str:
    """A voice channel in which all of them are members."""
    encryption = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    body = {
        "name": "Lounge",
        "preset": "private_chat",
        "creation_content": {"type": "org.matrix.msc3417.call"},
        "invite": [each.user_id for each in others],
        "initial_state": [encryption] if encrypted else [],
    }
    room_id = str((await owner.ask(http, "POST", "/_matrix/client/v3/createRoom", body))["room_id"])
    await asyncio.gather(*(each.ask(http, "POST", f"/_matrix/client/v3/join/{room_id}", {}) for each in others))
    return room_id


async def call_members(http: aiohttp.ClientSession, account: Account, room_id: str) -> set[str]:
    """Who is in the call, as everybody in the room reads it in its state."""
    state = await account.ask(http, "GET", f"/_matrix/client/v3/rooms/{room_id}/state")
    return {
        event["sender"]
        for event in state
        if event["type"] == "org.matrix.msc3401.call.member" and event["content"].get("application") == "m.call"
    }


async def sticky_call_members(http: aiohttp.ClientSession, account: Account, room_id: str) -> set[str]:
    """Who is in the call by sticky events: the last one of each device says it, as a first sync tells them."""
    answer = await account.ask(http, "GET", '/_matrix/client/v3/sync?filter={"room":{"timeline":{"limit":1}}}')
    room = answer["rooms"]["join"][room_id]
    events = [*room.get("msc4354_sticky", {}).get("events", []), *room["timeline"]["events"]]
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: event["origin_server_ts"]):
        if event["type"] == "org.matrix.msc4143.rtc.member":
            content = event.get("content", {})
            newest[event["sender"], str(content.get("msc4354_sticky_key"))] = content
    return {sender for (sender, _), content in newest.items() if "application" in content}


async def call_token(http: aiohttp.ClientSession, account: Account, room_id: str) -> dict[str, str]:
    """`url` and `jwt` of the media server, got in the way of Element Call: transports, OpenID token, token service."""
    found = await account.ask(http, "GET", "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports")
    service = found["rtc_transports"][0]["livekit_service_url"]
    openid = await account.ask(http, "POST", f"/_matrix/client/v3/user/{account.user_id}/openid/request_token", {})
    body = {"room": room_id, "openid_token": openid, "device_id": account.device_id}
    async with http.post(f"{service}/sfu/get", json=body) as answer:
        made = await answer.json()
        assert answer.status == 200, made
        return dict(made)
