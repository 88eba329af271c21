"""Keys of other servers' users: from what we keep where that is complete, else asked of their servers, all at once.

Source: server-server API, "End-to-End Encryption" and "Device Management".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.client import Limits, request_uri
from homeserver.federation.users.key_answers import read_query_answer
from homeserver.protocol.errors import MatrixError
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.keys.remote import Failures, RemoteClaims, RemoteKeys, failures
from homeserver.storage.remote_devices import RemoteDevice, RemoteDeviceList

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.clock import Clock
    from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys
    from homeserver.storage.database import Database
    from homeserver.storage.memberships import Memberships
    from homeserver.storage.remote_devices import RemoteDevices

QUERY: Final = "/_matrix/federation/v1/user/keys/query"
CLAIM: Final = "/_matrix/federation/v1/user/keys/claim"
MAX_BYTES: Final = 16 * 1024 * 1024
DEFAULT_TIMEOUT_MS: Final = 10_000
MAX_TIMEOUT_MS: Final = 30_000
AT_ONCE: Final = 30
"""Servers that one request asks at the same time."""

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RemoteDeviceKeys:
    """`services.keys.remote.OtherServersKeys`."""

    database: Database
    rows: RemoteDevices
    memberships: Memberships
    cross_signing: CrossSigningKeys
    client: FederationClient
    clock: Clock

    async def query(self, wanted: Mapping[str, Collection[str]], timeout_ms: int | None) -> RemoteKeys:
        """See there. Two statements for what we keep, and three for what is kept from now on."""
        user_ids = list(wanted)
        found = RemoteKeys()
        kept = await self.rows.fresh(self.database, user_ids)
        if kept:
            found.cross_signing = await self.cross_signing.of_users(self.database, list(kept))
        asked = [user_id for user_id in user_ids if user_id not in kept]
        if asked:
            told, keys, found.failures = await self._ask(asked, timeout_ms)
            kept |= told
            found.cross_signing += keys
        for user_id, devices in kept.items():
            named = set(wanted[user_id])
            found.device_keys[user_id] = {
                each.device_id: _with_name(each) for each in devices if not named or each.device_id in named
            }
        return found

    async def _ask(
        self, user_ids: Sequence[str], timeout_ms: int | None
    ) -> tuple[dict[str, list[RemoteDevice]], list[CrossSigningKey], Failures]:
        by_server = _by_server(user_ids)

        def ask(server: str) -> Awaitable[Answer]:
            body: dict[str, Any] = {"device_keys": {user_id: [] for user_id in by_server[server]}}
            return self.client.post(server, request_uri(QUERY), body, limits=_limits(timeout_ms))

        answers, failed = await _of_each(by_server, ask)
        devices: dict[str, list[RemoteDevice]] = {}
        keys: list[CrossSigningKey] = []
        for server, answer in answers.items():
            told, cross_signing = read_query_answer(answer, by_server[server])
            devices |= told
            keys += cross_signing
        await self._keep(devices, keys)
        return devices, keys, failed

    async def _keep(self, devices: Mapping[str, Sequence[RemoteDevice]], keys: Sequence[CrossSigningKey]) -> None:
        """What we are told of users whose changes we hear of is good for the next who asks."""
        tracked = await self.memberships.joined_anywhere(self.database, list(devices)) if devices else set()
        if not tracked:
            return
        lists = [RemoteDeviceList(user_id, None, each) for user_id, each in devices.items() if user_id in tracked]
        now_ms = self.clock.now_ms()
        async with self.database.transaction() as tx:
            await self.rows.replace(tx, lists, now_ms)
            await self.cross_signing.replace_all(tx, list(tracked), [k for k in keys if k.user_id in tracked], now_ms)

    async def claim(self, wanted: Mapping[str, Mapping[str, str]], timeout_ms: int | None) -> RemoteClaims:
        """See there. A key is handed on as it came: the client checks its signature."""
        by_server = _by_server(wanted)

        def ask(server: str) -> Awaitable[Answer]:
            body = {"one_time_keys": {user_id: dict(wanted[user_id]) for user_id in by_server[server]}}
            return self.client.post(server, request_uri(CLAIM), body, limits=_limits(timeout_ms))

        answers, failed = await _of_each(by_server, ask)
        claims = RemoteClaims(failures=failed)
        for server, answer in answers.items():
            for user_id in by_server[server]:
                keys = _claimed(answer, user_id, wanted[user_id])
                if keys:
                    claims.one_time_keys[user_id] = keys
        return claims


def _by_server(user_ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for user_id in user_ids:
        found.setdefault(server_name_of(user_id), []).append(user_id)
    return found


async def _of_each(
    servers: Collection[str], ask: Callable[[str], Awaitable[Answer]]
) -> tuple[dict[str, Answer], Failures]:
    """The answers, and who did not give one."""
    slots = asyncio.Semaphore(AT_ONCE)
    answers: dict[str, Answer] = {}
    failed: Failures = {}

    async def one(server: str) -> None:
        async with slots:
            try:
                answers[server] = await ask(server)
            except MatrixError as error:
                failed.update(failures([server], error))

    await asyncio.gather(*map(one, servers))
    return answers, failed


def _limits(timeout_ms: int | None) -> Limits:
    wanted = DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms
    return Limits(timeout_ms=max(1_000, min(wanted, MAX_TIMEOUT_MS)), max_bytes=MAX_BYTES)


def _with_name(device: RemoteDevice) -> orjson.Fragment:
    unsigned = {} if device.display_name is None else {"device_display_name": device.display_name}
    return orjson.Fragment(device.keys[:-1] + b',"unsigned":' + orjson.dumps(unsigned) + b"}")


def _claimed(answer: Answer, user_id: str, wanted: Mapping[str, str]) -> dict[str, dict[str, orjson.Fragment]]:
    """One key of each device that was asked for, of the algorithm that was asked for."""
    users = answer.get("one_time_keys")
    devices = users.get(user_id) if isinstance(users, dict) else None
    found: dict[str, dict[str, orjson.Fragment]] = {}
    for device_id, algorithm in wanted.items():
        keys = devices.get(device_id) if isinstance(devices, dict) else None
        for name, key in list(keys.items())[:1] if isinstance(keys, dict) else ():
            if name.startswith(f"{algorithm}:") and isinstance(key, dict | str):
                found[device_id] = {name: orjson.Fragment(orjson.dumps(key))}
    return found
