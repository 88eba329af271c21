"""Keys of users of other servers: what is asked of those, and what is said where they do not answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from homeserver.protocol.errors import MatrixError, Unavailable
from homeserver.protocol.identifiers import parse_user_id
from homeserver.storage.cross_signing import CrossSigningKey

Failures = dict[str, dict[str, Any]]
"""By server name, as the answer has them."""
DeviceKeysByUser = dict[str, dict[str, orjson.Fragment]]
"""User id -> device id -> keys with `unsigned`, in JSON."""


@dataclass(slots=True)
class RemoteKeys:
    """What other servers told. `followed`: users whose whole lists are kept from now on."""

    device_keys: DeviceKeysByUser = field(default_factory=dict)
    cross_signing: list[CrossSigningKey] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    failures: Failures = field(default_factory=dict)


@dataclass(slots=True)
class RemoteClaims:
    """User id -> device id -> key name -> key, in JSON."""

    one_time_keys: dict[str, dict[str, dict[str, orjson.Fragment]]] = field(default_factory=dict)
    failures: Failures = field(default_factory=dict)


class OtherServersKeys(Protocol):
    """Implemented by federation/users. Never raises for what another server does: that is among the failures."""

    async def query(self, wanted: Mapping[str, Collection[str]], timeout_ms: int | None) -> RemoteKeys:
        """Keys of these users' devices, of all where none is named."""
        ...

    async def claim(self, wanted: Mapping[str, Mapping[str, str]], timeout_ms: int | None) -> RemoteClaims:
        """A key of each device: user id -> device id -> algorithm."""
        ...


class NoOtherServersKeys:
    """Where federation is switched off."""

    __slots__ = ()

    async def query(self, wanted: Mapping[str, Collection[str]], timeout_ms: int | None) -> RemoteKeys:
        return RemoteKeys(failures=failures(_servers(wanted), Unavailable("This server does not federate")))

    async def claim(self, wanted: Mapping[str, Mapping[str, str]], timeout_ms: int | None) -> RemoteClaims:
        return RemoteClaims(failures=failures(_servers(wanted), Unavailable("This server does not federate")))


def split_by_server(user_ids: Iterable[str], server_name: str) -> tuple[list[str], list[str]]:
    """Our own users, and those of others. Raises InvalidParam for what is no user id."""
    local: list[str] = []
    remote: list[str] = []
    for user_id in user_ids:
        (local if parse_user_id(user_id).server_name == server_name else remote).append(user_id)
    return local, remote


def failures(servers: Iterable[str], error: MatrixError) -> Failures:
    """ "If any remote homeservers could not be reached, they are recorded here." """
    return {server: {"status": error.status, **error.body} for server in sorted(servers)}


def _servers(user_ids: Iterable[str]) -> set[str]:
    return {parse_user_id(user_id).server_name for user_id in user_ids}
