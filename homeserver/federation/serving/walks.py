"""Walks over `prev_events`, from some events into their past. Pure: over the part of the graph that has been read.

A walk says which events it would have needed (`lacking`); whoever reads gets them and walks anew.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """An event of the graph.

    `place` orders events of the same depth. `sent`: it is part of an answer; rejected events are only stepped over.
    """

    event_id: str
    depth: int
    place: int
    prev_event_ids: tuple[str, ...]
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Walk:
    """`found` in the order of the walk; `lacking`: ids that the walk met and could not follow."""

    found: list[Node]
    lacking: list[str]


def newest_first(starts: Sequence[str], nodes: Mapping[str, Node], limit: int) -> Walk:
    """The starts and what was before them, always the deepest next: a window of history without holes."""
    walk = Walk([], [])
    seen: set[str] = set()
    heap: list[tuple[int, int, str]] = []
    _meet(starts, nodes, seen, heap, walk.lacking)
    while heap and len(walk.found) < limit:
        node = nodes[heapq.heappop(heap)[2]]
        if node.sent:
            walk.found.append(node)
        _meet(node.prev_event_ids, nodes, seen, heap, walk.lacking)
    return walk


def breadth_first(
    latest: Sequence[str], earliest: Collection[str], nodes: Mapping[str, Node], *, min_depth: int, limit: int
) -> Walk:
    """ "A breadth-first walk of the `prev_events` for the `latest_events`, ignoring any events in `earliest_events` and
    stopping at the `limit`." The latest themselves are not part of it.
    """
    walk = Walk([], [])
    seen = {*earliest, *latest}
    front = [nodes[event_id] for event_id in dict.fromkeys(latest) if event_id in nodes]
    walk.lacking.extend(event_id for event_id in dict.fromkeys(latest) if event_id not in nodes)
    while front and len(walk.found) < limit:
        front = _step(front, nodes, seen, walk.lacking, min_depth)
        walk.found.extend([node for node in front if node.sent][: limit - len(walk.found)])
    return walk


def _step(
    front: Sequence[Node], nodes: Mapping[str, Node], seen: set[str], lacking: list[str], min_depth: int
) -> list[Node]:
    ids = [each for node in front for each in node.prev_event_ids]
    new = [event_id for event_id in dict.fromkeys(ids) if event_id not in seen]
    seen.update(new)
    lacking.extend(event_id for event_id in new if event_id not in nodes)
    return [nodes[each] for each in new if each in nodes and nodes[each].depth >= min_depth]


def _meet(
    event_ids: Sequence[str],
    nodes: Mapping[str, Node],
    seen: set[str],
    heap: list[tuple[int, int, str]],
    lacking: list[str],
) -> None:
    for event_id in event_ids:
        if event_id in seen:
            continue
        seen.add(event_id)
        node = nodes.get(event_id)
        if node is None:
            lacking.append(event_id)
        else:
            heapq.heappush(heap, (-node.depth, -node.place, event_id))
