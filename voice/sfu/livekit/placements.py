"""Which cluster has which room."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from voice.sfu.backend import RoomOptions
from voice.sfu.livekit.cluster import Cluster


@dataclass(frozen=True, slots=True)
class Placed:
    """`options` None: found at the cluster, made before we started."""

    cluster: Cluster
    options: RoomOptions | None = None


@dataclass(slots=True)
class Placements:
    """`clusters` is not empty; the first one has rooms without a region, and those of regions that do not exist."""

    clusters: Sequence[Cluster]
    _rooms: dict[str, Placed] = field(default_factory=dict)

    def of_region(self, region: str | None) -> Cluster:
        return next((each for each in self.clusters if each.address.region == region), self.clusters[0])

    def find(self, room: str) -> Placed | None:
        return self._rooms.get(room)

    def of_room(self, room: str) -> Cluster:
        """Where it is, or would be."""
        placed = self._rooms.get(room)
        return placed.cluster if placed else self.clusters[0]

    def asked_for(self, room: str) -> Sequence[Cluster]:
        """Where it is; all clusters where that is not known yet (soon after our start)."""
        placed = self._rooms.get(room)
        return [placed.cluster] if placed else self.clusters

    def at(self, cluster: Cluster) -> list[str]:
        return [room for room, placed in self._rooms.items() if placed.cluster is cluster]

    def put(self, room: str, cluster: Cluster, options: RoomOptions) -> None:
        self._rooms[room] = Placed(cluster, options)

    def found(self, room: str, cluster: Cluster) -> bool:
        """Told of a room that is there; False where another cluster has it."""
        return self._rooms.setdefault(room, Placed(cluster)).cluster is cluster

    def forget(self, rooms: Collection[str]) -> None:
        for room in rooms:
            self._rooms.pop(room, None)

    def __len__(self) -> int:
        return len(self._rooms)
