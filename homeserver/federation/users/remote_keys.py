"""Keys of other servers' users: from what we keep where that is complete, else asked of their servers, all at once.

Source: server-server API, "End-to-End Encryption" and "Device Management".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.federation.client import Limits, request_uri
from homeserver.federation.errors import BadAnswer
from homeserver.federation.users.key_answers import read_list_answer, read_query_answer
from homeserver.protocol.canonical_json import encode_canonical
from homeserver.protocol.encryption.key_objects import MAX_KEY_OBJECT_BYTES
from homeserver.protocol.errors import BadJson, ConnectionTimeout, InvalidParam, MatrixError
from homeserver.protocol.identifiers import server_name_of
from homeserver.services.keys.remote import Failures, RemoteClaims, RemoteKeys, failures
from homeserver.storage.remote_devices import RemoteDevice, RemoteDeviceList

if TYPE_CHECKING:
    from homeserver.federation.client import FederationClient
    from homeserver.services.clock import Clock
    from homeserver.storage.cross_signing import CrossSigningKey, CrossSigningKeys
    from homeserver.storage.database import Database
    from homeserver.storage.remote_devices import RemoteDevices

USER_DEVICES: Final = "/_matrix/federation/v1/user/devices"
MAX_LISTS: Final = 3
"""Users for whom their whole lists are asked for, one by one: what changes later can be followed then. Of more users at
once, all of a server are one question.
"""
QUERY: Final = "/_matrix/federation/v1/user/keys/query"
CLAIM: Final = "/_matrix/federation/v1/user/keys/claim"
MAX_BYTES: Final = 8 * 1024 * 1024
BYTES_OF_USER: Final = 256 * 1024
"""An answer may be longer the more users it is about, up to MAX_BYTES."""
MAX_BYTES_TOLD: Final = 64 * 1024 * 1024
"""Keys of devices that one request gets together from other servers; those that answer later are among the failures."""
DEFAULT_TIMEOUT_MS: Final = 10_000
MAX_TIMEOUT_MS: Final = 20_000
ROUNDS: Final = 2
AT_ONCE: Final = 30
"""Servers that one request asks at the same time."""
MAX_SERVERS: Final = 1_000
"""That one request asks at all. Clients ask for some hundred users at once."""

Answer = Mapping[str, Any]
Told = tuple[Sequence[RemoteDeviceList], Sequence["CrossSigningKey"]]


@dataclass(frozen=True, slots=True)
class RemoteDeviceKeys:
    """`services.keys.remote.OtherServersKeys`."""

    database: Database
    rows: RemoteDevices
    cross_signing: CrossSigningKeys
    client: FederationClient
    clock: Clock
    server_name: str

    async def query(self, wanted: Mapping[str, Collection[str]], timeout_ms: int | None) -> RemoteKeys:
        """See there. Two statements for what we keep, and three for what is kept from now on."""
        user_ids = list(wanted)
        found = RemoteKeys()
        kept = await self.rows.fresh(self.database, user_ids, self.server_name)
        if kept:
            found.cross_signing = await self.cross_signing.of_users(self.database, list(kept))
        asked = [user_id for user_id in user_ids if user_id not in kept]
        if asked:
            tracked = await self.rows.tracked(self.database, asked, self.server_name)
            told, keys, found.failures = await self._ask(asked, tracked, timeout_ms)
            kept |= told
            found.cross_signing += keys
            if len(asked) <= MAX_LISTS:
                found.followed = [user_id for user_id in told if user_id in tracked]
        for user_id, devices in kept.items():
            named = set(wanted[user_id])
            found.device_keys[user_id] = {
                each.device_id: _with_name(each) for each in devices if not named or each.device_id in named
            }
        return found

    async def _ask(
        self, user_ids: Sequence[str], tracked: AbstractSet[str], timeout_ms: int | None
    ) -> tuple[dict[str, list[RemoteDevice]], list[CrossSigningKey], Failures]:
        by_server = _by_server(user_ids)
        lists: dict[str, RemoteDeviceList] = {}
        keys: list[CrossSigningKey] = []
        bytes_told = 0

        async def ask(server: str) -> None:
            nonlocal bytes_told
            users = by_server[server]
            whole = len(user_ids) <= MAX_LISTS and tracked >= set(users)
            # At once: what is parsed takes many times the room of what is kept of it.
            told, cross_signing = await (self._whole if whole else self._query)(server, users, timeout_ms)
            bytes_told += sum(len(device.keys) for each in told for device in each.devices)
            if bytes_told > MAX_BYTES_TOLD:
                raise BadAnswer("Other servers have told more keys than one request may get")
            lists.update((each.user_id, each) for each in told)
            keys.extend(cross_signing)

        failed = await _of_each(by_server, ask, _timeout_ms(timeout_ms))
        await self._keep([each for each in lists.values() if each.user_id in tracked], keys)
        return {user_id: list(each.devices) for user_id, each in lists.items()}, keys, failed

    async def _whole(self, server: str, users: Sequence[str], timeout_ms: int | None) -> Told:
        """`GET /user/devices` of each."""
        lists, keys = [], []
        for user_id in users:
            answer = await self.client.get(server, request_uri(USER_DEVICES, user_id), limits=_limits(timeout_ms, 1))
            told, public = read_list_answer(answer, user_id)
            lists.append(told)
            keys += public
        return lists, keys

    async def _query(self, server: str, users: Sequence[str], timeout_ms: int | None) -> Told:
        """`POST /user/keys/query`, which tells nothing of later changes."""
        body: dict[str, Any] = {"device_keys": {user_id: [] for user_id in users}}
        answer = await self.client.post(server, request_uri(QUERY), body, limits=_limits(timeout_ms, len(users)))
        devices, keys = read_query_answer(answer, users)
        return [RemoteDeviceList(user_id, None, each) for user_id, each in devices.items()], keys

    async def _keep(self, lists: Sequence[RemoteDeviceList], keys: Sequence[CrossSigningKey]) -> None:
        """What we are told of users whose changes we hear of is good for the next who asks."""
        if not lists:
            return
        user_ids, now_ms = [each.user_id for each in lists], self.clock.now_ms()
        known = set(user_ids)
        async with self.database.transaction() as tx:
            await self.rows.replace(tx, lists, now_ms)
            await self.cross_signing.replace_all(tx, user_ids, [k for k in keys if k.user_id in known], now_ms)

    async def claim(self, wanted: Mapping[str, Mapping[str, str]], timeout_ms: int | None) -> RemoteClaims:
        """See there. A key is handed on as it came: the client checks its signature."""
        by_server = _by_server(wanted)

        claims = RemoteClaims()

        async def ask(server: str) -> None:
            users = by_server[server]
            body = {"one_time_keys": {user_id: dict(wanted[user_id]) for user_id in users}}
            answer = await self.client.post(server, request_uri(CLAIM), body, limits=_limits(timeout_ms, len(users)))
            for user_id in users:
                keys = _claimed(answer, user_id, wanted[user_id])
                if keys:
                    claims.one_time_keys[user_id] = keys

        claims.failures = await _of_each(by_server, ask, _timeout_ms(timeout_ms))
        return claims


def _by_server(user_ids: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for user_id in user_ids:
        found.setdefault(server_name_of(user_id), []).append(user_id)
    return found


async def _of_each(servers: Collection[str], ask: Callable[[str], Awaitable[None]], timeout_ms: int) -> Failures:
    """Who did not answer. Of many servers those behind slow ones have as long again, and no more."""
    slots = asyncio.Semaphore(AT_ONCE)
    asked = list(servers)[:MAX_SERVERS]
    failed = failures(set(servers).difference(asked), InvalidParam(f"At most {MAX_SERVERS} servers are asked at once"))
    left = set(asked)

    async def one(server: str) -> None:
        async with slots:
            try:
                await ask(server)
            except MatrixError as error:
                failed.update(failures([server], error))
            left.discard(server)

    try:
        async with asyncio.timeout(ROUNDS * timeout_ms / 1000):
            await asyncio.gather(*map(one, asked))
    except TimeoutError:
        failed.update(failures(left, ConnectionTimeout()))
    return failed


def _timeout_ms(wanted: int | None) -> int:
    return DEFAULT_TIMEOUT_MS if wanted is None else max(1_000, min(wanted, MAX_TIMEOUT_MS))


def _limits(timeout_ms: int | None, users: int) -> Limits:
    return Limits(timeout_ms=_timeout_ms(timeout_ms), max_bytes=min(MAX_BYTES, BYTES_OF_USER * (1 + users)))


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
            encoded = _encoded(key) if name.startswith(f"{algorithm}:") else None
            if encoded is not None:
                found[device_id] = {name: orjson.Fragment(encoded)}
    return found


def _encoded(key: object) -> bytes | None:
    """None for what is no key: clients could not check its signature."""
    if not isinstance(key, dict | str):
        return None
    try:
        encoded = encode_canonical(key)
    except BadJson:
        return None
    return encoded if len(encoded) <= MAX_KEY_OBJECT_BYTES else None
