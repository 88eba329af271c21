"""Connections: what each device has been sent on each, in memory.

A place (`pos`) is confirmed when the client sends it back. Until then its answer may be lost: the same request gets an
equivalent answer again, made from the place before. What an answer sent is therefore kept beside the connection and
becomes part of it with the confirmation. "Once a server has seen a request with a given `pos`, the server may clean up any
per-connection state from before": two places are known at any time, and all others are M_UNKNOWN_POS, those of before a
restart too.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from homeserver.protocol.errors import UnknownPos
from homeserver.services.sliding_sync.request import Extensions, Rules
from homeserver.services.sliding_sync.required_state import RoomConfig
from homeserver.services.sync.lazy_members import LazyMembers
from homeserver.services.sync.sources import KeyCounts
from homeserver.services.tokens import Place as PlaceToken
from homeserver.services.tokens import StreamToken

MAX_CONNECTIONS_OF_DEVICE = 8
MAX_CONNECTIONS = 50_000
# What all of them hold together, and those of one user: rooms that were sent, and what was asked for (`WEIGHT_BYTES`).
MAX_WEIGHT = 500_000
MAX_WEIGHT_OF_USER = 50_000

ConnectionKey = tuple[str, str, str]
"""User, device, conn_id."""


@dataclass(frozen=True, slots=True)
class SentRoom:
    """What a client knows of a room: everything up to a position, as far as the configuration goes."""

    up_to: int
    config: RoomConfig
    membership: str
    membership_nid: int
    is_dm: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Rooms that the rules select. `relevant`: with their combined configurations; `windows`: by list."""

    rules: Rules = field(default_factory=Rules)
    relevant: Mapping[str, RoomConfig] = field(default_factory=dict)
    windows: Mapping[str, Collection[str]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    dms: frozenset[str] = frozenset()
    """Relevant rooms that are direct chats."""

    @property
    def weight(self) -> int:
        """As `Rules.weight`. A room takes a hundred bytes among the relevant ones, and ten in each window."""
        return self.rules.weight + len(self.relevant) // 3 + sum(map(len, self.windows.values())) // 30


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client stands. `token` None: nowhere yet."""

    number: int = 0
    token: StreamToken | None = None
    selection: Selection = field(default_factory=Selection)
    extensions: Extensions = field(default_factory=Extensions)
    key_counts: KeyCounts | None = None

    @property
    def weight(self) -> int:
        """As `Rules.weight`."""
        return self.selection.weight + self.extensions.weight


@dataclass(slots=True)
class Delta:
    """What one answer changes of what its client knows, once it has arrived."""

    rooms: dict[str, SentRoom | None] = field(default_factory=dict)
    """None: the client has been told that it is out of the room, and hears no more of it."""
    members: dict[str, Collection[str]] = field(default_factory=dict)
    """Lazily loaded members, by room."""
    members_void: set[str] = field(default_factory=set)
    """Rooms whose members the client has to forget."""


@dataclass(slots=True, eq=False)
class Connection:
    """`base` is what the client has confirmed, `pending` the answer that may be on its way."""

    key: ConnectionKey
    generation: str
    base: Place = field(default_factory=Place)
    rooms: dict[str, SentRoom] = field(default_factory=dict)
    pending: tuple[Place, Delta] | None = None
    turn: int = 0
    """Counts requests: the answer to an older one than the last changes nothing."""

    def pos(self, place: Place) -> str:
        """The text by which the client names a place."""
        return PlaceToken(0 if place.token is None else place.token.events, self.generation, place.number).format()

    @property
    def members_key(self) -> tuple[str, str]:
        return self.key[0], self.generation

    @property
    def weight(self) -> int:
        """What it holds in memory, in units of WEIGHT_BYTES."""
        on_its_way = 0 if self.pending is None else self.pending[0].weight + len(self.pending[1].rooms)
        return 1 + len(self.rooms) + self.base.weight + on_its_way


@dataclass(slots=True)
class Share:
    """What one user has."""

    weight: int = 0
    devices: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """The one that was used least recently comes first."""


@dataclass(slots=True)
class Connections:
    """All connections. Those that were used least recently are forgotten first: their clients begin anew."""

    lazy: LazyMembers
    on_forgotten: list[Callable[[ConnectionKey], None]] = field(default_factory=list)
    """Called with the key of each that is not known any longer; synchronous."""
    _by_device: OrderedDict[tuple[str, str], OrderedDict[str, Connection]] = field(default_factory=OrderedDict)
    _of_user: dict[str, Share] = field(default_factory=dict)
    _weights: dict[ConnectionKey, int] = field(default_factory=dict)
    _weight: int = 0

    def open(self, key: ConnectionKey, pos: str | None) -> Connection:
        """The connection that a request belongs to; it becomes the last request of it.

        Raises UnknownPos where its place is not (or no longer) known.
        """
        connection = self._begin(key) if pos is None else self._resume(key, pos)
        connection.turn += 1
        return connection

    def _begin(self, key: ConnectionKey) -> Connection:
        self._forget(key)
        connection = Connection(key, secrets.token_hex(8))
        of_device = self._by_device.setdefault(key[:2], OrderedDict())
        of_device[key[2]] = connection
        self._touch(key)
        if len(of_device) > MAX_CONNECTIONS_OF_DEVICE:
            self._forget(next(iter(of_device.values())).key)
        self._reweigh(connection)
        return connection

    def _resume(self, key: ConnectionKey, pos: str) -> Connection:
        token = PlaceToken.parse(pos)
        connection = self._find(key)
        if token is None or connection is None or token.generation != connection.generation:
            raise UnknownPos
        if connection.pending is not None and token.number == connection.pending[0].number:
            self._confirm(connection, *connection.pending)
        elif token.number != connection.base.number or connection.base.token is None:
            raise UnknownPos
        self._touch(key)
        return connection

    def _touch(self, key: ConnectionKey) -> None:
        user_id, device_id, conn_id = key
        self._by_device.move_to_end((user_id, device_id))
        self._by_device[user_id, device_id].move_to_end(conn_id)
        devices = self._of_user.setdefault(user_id, Share()).devices
        devices[device_id] = None
        devices.move_to_end(device_id)

    def _confirm(self, connection: Connection, place: Place, delta: Delta) -> None:
        connection.base, connection.pending = place, None
        for room_id, sent in delta.rooms.items():
            if sent is None:
                connection.rooms.pop(room_id, None)
            else:
                connection.rooms[room_id] = sent
        for room_id in delta.members_void:
            self.lazy.begin_again(connection.members_key, room_id)
        for room_id, members in delta.members.items():
            self.lazy.sent(connection.members_key, room_id, members, 0)

    def answered(self, connection: Connection, turn: int, place: Place, delta: Delta) -> str:
        """An answer goes out; returns its `pos`. One that a newer request has overtaken leads back to where it began: its
        client "must not process" it.
        """
        if connection.turn != turn or not self._is_open(connection):
            return connection.pos(connection.base)
        connection.pending = (place, delta)
        self._reweigh(connection)
        return connection.pos(place)

    def _is_open(self, connection: Connection) -> bool:
        return self._find(connection.key) is connection

    def _find(self, key: ConnectionKey) -> Connection | None:
        of_device = self._by_device.get(key[:2])
        return None if of_device is None else of_device.get(key[2])

    def _reweigh(self, connection: Connection) -> None:
        self._count(connection.key, connection.weight)
        share = self._of_user[connection.key[0]]
        # First of all a user makes room for himself: he takes nothing from others.
        while share.weight > MAX_WEIGHT_OF_USER and (other := self._oldest_beside(connection, share)) is not None:
            self._forget(other)
        while len(self._weights) > 1 and (self._weight > MAX_WEIGHT or len(self._weights) > MAX_CONNECTIONS):
            oldest = next(iter(self._by_device.values()))
            self._forget(next(iter(oldest.values())).key)

    def _count(self, key: ConnectionKey, weight: int) -> None:
        change = weight - self._weights.get(key, 0)
        self._weights[key] = weight
        self._weight += change
        self._of_user[key[0]].weight += change

    def _oldest_beside(self, connection: Connection, share: Share) -> ConnectionKey | None:
        of_devices = (self._by_device[connection.key[0], device_id] for device_id in share.devices)
        return next((each.key for some in of_devices for each in some.values() if each is not connection), None)

    def _forget(self, key: ConnectionKey) -> None:
        of_device = self._by_device.get(key[:2], OrderedDict[str, Connection]())
        connection = of_device.pop(key[2], None)
        if connection is None:
            return
        self._count(key, 0)
        del self._weights[key]
        if not of_device:
            del self._by_device[key[:2]]
            share = self._of_user[key[0]]
            del share.devices[key[1]]
            if not share.devices:
                del self._of_user[key[0]]
        self.lazy.begin_again(connection.members_key)
        for listener in self.on_forgotten:
            listener(key)

    async def devices_deleted(self, user_id: str, device_ids: Collection[str]) -> None:
        """Hook of services/devices.py."""
        for device_id in device_ids:
            for connection in list(self._by_device.get((user_id, device_id), {}).values()):
                self._forget(connection.key)

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"connections": len(self._weights), "weight": self._weight}
