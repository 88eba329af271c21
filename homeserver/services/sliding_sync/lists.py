"""Which rooms the rules of a request select: the user's rooms in order, filters, ranges, subscriptions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import orjson

from homeserver.services.fair_turns import Breath, FairTurns
from homeserver.services.rooms.room_cache import RoomCache
from homeserver.services.sliding_sync.connections import Selection, SentRoom
from homeserver.services.sliding_sync.departures import DepartureFacts
from homeserver.services.sliding_sync.request import ListConfig, Range, RoomFilter, Rules
from homeserver.services.sliding_sync.required_state import RoomConfig
from homeserver.services.sliding_sync.room_facts import Facts, RoomFacts, short_text_of
from homeserver.services.sliding_sync.user_marks import Marks
from homeserver.services.sync.sources import AccountDataSource
from homeserver.services.visibility import Visibility
from homeserver.storage.memberships import Membership
from homeserver.storage.sliding_rooms import SlidingRooms
from homeserver.storage.spaces import is_link
from homeserver.storage.stripped_states import StrippedStates

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_PAST_STAYS = 50_000
LOOKS_BETWEEN_BREATHS = 2_000
"""At a room for a list: some milliseconds. Whoever needs more of them lets others run in between, and is one at a time."""
UNKNOWN = Facts()
GONE = ("leave", "ban")


def was_sent_away(entry: Membership, user_id: str) -> bool:
    """ "Rooms the user has been kicked or banned from will always be included", unless he has forgotten them."""
    return not entry.forgotten and (entry.membership == "ban" or entry.sender != user_id)


@dataclass(slots=True)
class PastStays:
    """Whether users were in rooms that they are out of now: "banned from, but never joined, should not be part"."""

    visibility: Visibility
    _known: OrderedDict[tuple[str, int, int], bool] = field(default_factory=OrderedDict)

    async def among(self, user_id: str, entries: Sequence[Membership]) -> set[str]:
        """Ids of those of the rooms that the user was in; at most one statement."""
        keys = {(user_id, entry.room_nid, entry.event_nid): entry for entry in entries}
        unknown = {key: entry for key, entry in keys.items() if key not in self._known}
        if unknown:
            views = await self.visibility.read_perspectives(user_id, list(unknown.values()))
            self._known.update((key, views[entry.room_id].left_at is not None) for key, entry in unknown.items())
        found = {entry.room_id for key, entry in keys.items() if self._known[key]}
        while len(self._known) > MAX_PAST_STAYS:
            self._known.popitem(last=False)
        return found


@dataclass(slots=True)
class Candidates:
    """The server's list of a user's rooms, last activity first, and what filters ask of them."""

    order: list[Membership]
    facts: Mapping[str, Facts]
    marks: Marks
    parents: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By room: the spaces it is in, of those that filters name and the user has joined."""


@dataclass(frozen=True, slots=True)
class RoomLists:
    """One verb."""

    queries: Queries
    rows: SlidingRooms
    facts: RoomFacts
    past: PastStays
    departures: DepartureFacts
    cache: RoomCache
    outside: StrippedStates
    account_data: AccountDataSource
    turns: FairTurns = field(default_factory=lambda: FairTurns(1))

    async def select(
        self,
        user_id: str,
        rules: Rules,
        rooms: Mapping[str, Membership],
        sent: Mapping[str, SentRoom],
        ignored: Collection[str],
        marks: Marks,
    ) -> tuple[Selection, Mapping[str, Facts]]:
        """What the rules select, and facts of the rooms; no statement where memory knows the rooms."""
        listed = await self._listed(user_id, rooms.values(), sent, ignored)
        facts = await self.facts.of_rooms([entry for entry in listed if not entry.outside])
        listed.sort(key=lambda entry: _activity(entry, facts), reverse=True)
        candidates = Candidates(listed, facts, marks)
        await self._prepare_filters(user_id, rules.lists.values(), rooms, candidates)
        if len(rules.lists) * len(listed) <= LOOKS_BETWEEN_BREATHS:
            windows, counts, relevant = await chosen(rules, candidates)
        else:
            async with self.turns.of(user_id):
                windows, counts, relevant = await chosen(rules, candidates)
        # Rooms that resolution took the user out of, without a membership left: there is nothing to sort or filter.
        relevant.update((room_id, known.config) for room_id, known in sent.items() if room_id not in rooms)
        dms = marks.direct & relevant.keys()
        return Selection(rules, relevant, windows, counts, dms), candidates.facts

    async def _listed(
        self, user_id: str, entries: Iterable[Membership], sent: Mapping[str, SentRoom], ignored: Collection[str]
    ) -> list[Membership]:
        listed, invited, away = list[Membership](), list[Membership](), list[Membership]()
        for entry in entries:
            if entry.membership == "join" or entry.membership == "knock":
                listed.append(entry)
            elif entry.membership == "invite":
                if entry.sender not in ignored:
                    invited.append(entry)
            elif entry.room_id in sent:
                listed.append(entry)
            elif was_sent_away(entry, user_id):
                away.append(entry)
        if invited:
            hidden = await self.account_data.hidden_inviters(user_id, {entry.sender for entry in invited})
            listed += [entry for entry in invited if entry.sender not in hidden]
        if away:
            been_in = await self.past.among(user_id, away)
            listed += [entry for entry in away if entry.room_id in been_in]
        return listed

    async def _prepare_filters(
        self, user_id: str, lists: Iterable[ListConfig], rooms: Mapping[str, Membership], candidates: Candidates
    ) -> None:
        filters = [each.filter for each in lists if each.filter is not None]
        if any(each.asks_what_rooms_are for each in filters):
            outside = [entry for entry in candidates.order if entry.outside]
            if outside:
                candidates.facts = {**candidates.facts, **await self._facts_outside(user_id, outside)}
            gone = [entry for entry in candidates.order if entry.membership in GONE]
            if gone:
                candidates.facts = {**candidates.facts, **await self.departures.of_rooms(user_id, gone)}
        spaces = {space for each in filters for space in each.spaces or ()}
        joined = [rooms[space] for space in spaces if space in rooms and rooms[space].membership == "join"]
        if joined:
            candidates.parents = await self._parents(joined)

    async def _facts_outside(self, user_id: str, entries: Sequence[Membership]) -> dict[str, Facts]:
        """Of rooms that this server is not in we know what the invitation shows."""
        states = await self.outside.of_user(self.queries, user_id, [entry.room_nid for entry in entries])
        return {entry.room_id: _facts_in(states.get(entry.room_nid, b"[]")) for entry in entries}

    async def _parents(self, spaces: Sequence[Membership]) -> dict[str, set[str]]:
        """ "Only rooms directly mentioned as `m.space.child` events in these spaces"; at most one statement."""
        found: dict[str, set[str]] = {}
        cold = {}
        for space in spaces:
            live = self.cache.peek(space.room_id)
            if live is None:
                cold[space.room_nid] = space.room_id
                continue
            for child, event in live.state.of_type("m.space.child").items():
                if is_link(event.content):
                    found.setdefault(child, set()).add(space.room_id)
        if cold:
            for room_nid, child in await self.rows.children(self.queries, list(cold)):
                found.setdefault(child, set()).add(cold[room_nid])
        return found


def _activity(entry: Membership, facts: Mapping[str, Facts]) -> int:
    """When something last happened in a room that the user may know of."""
    if entry.membership != "join":
        return entry.position
    known = facts.get(entry.room_id)
    return entry.position if known is None else known.latest


async def chosen(
    rules: Rules, candidates: Candidates
) -> tuple[dict[str, Collection[str]], dict[str, int], dict[str, RoomConfig]]:
    """Windows and counts by list, and all rooms of them and of the subscriptions."""
    windows, counts, breath = dict[str, Collection[str]](), dict[str, int](), Breath(LOOKS_BETWEEN_BREATHS)
    for name, each in rules.lists.items():
        matching = _filtered(each.filter, candidates)
        counts[name] = len(matching)
        windows[name] = matching if each.ranges is None else _within(each.ranges, matching)
        await breath.after(len(candidates.order))
    return windows, counts, await _relevant(rules, windows, {entry.room_id for entry in candidates.order}, breath)


def _filtered(wanted: RoomFilter | None, candidates: Candidates) -> list[str]:
    if wanted is None:
        return [entry.room_id for entry in candidates.order]
    return [entry.room_id for entry in candidates.order if _passes(wanted, entry, candidates)]


def _passes(wanted: RoomFilter, entry: Membership, candidates: Candidates) -> bool:
    room_id = entry.room_id
    if wanted.is_invited is not None and wanted.is_invited != (entry.membership == "invite"):
        return False
    if wanted.is_dm is not None and wanted.is_dm != (room_id in candidates.marks.direct):
        return False
    if wanted.spaces is not None and wanted.spaces.isdisjoint(candidates.parents.get(room_id, ())):
        return False
    if wanted.asks_for_tags and not _tags_pass(wanted, candidates.marks.tags_of(room_id)):
        return False
    return not wanted.asks_what_rooms_are or _is_such_a_room(wanted, candidates.facts.get(room_id, UNKNOWN))


def _tags_pass(wanted: RoomFilter, tags: frozenset[str]) -> bool:
    if wanted.not_tags is not None and not wanted.not_tags.isdisjoint(tags):
        return False
    return wanted.tags is None or not wanted.tags.isdisjoint(tags)


def _is_such_a_room(wanted: RoomFilter, facts: Facts) -> bool:
    if wanted.is_encrypted is not None and wanted.is_encrypted != facts.encrypted:
        return False
    if wanted.not_room_types is not None and facts.room_type in wanted.not_room_types:
        return False
    if wanted.room_types is not None and facts.room_type not in wanted.room_types:
        return False
    return wanted.name_like is None or wanted.name_like in (facts.name or "").casefold()


def _within(ranges: Iterable[Range], matching: Sequence[str]) -> list[str]:
    chosen: dict[str, None] = {}
    for first, last in ranges:
        chosen.update(dict.fromkeys(matching[first : last + 1]))
    return list(chosen)


async def _relevant(
    rules: Rules, windows: Mapping[str, Collection[str]], listed: Collection[str], breath: Breath
) -> dict[str, RoomConfig]:
    asked: list[tuple[Collection[str], RoomConfig]] = [
        (windows[name], each.config) for name, each in rules.lists.items()
    ]
    # "Rooms that a user subscribes to that they do not have permission to see [...] should be ignored"
    asked += [((room_id,), config) for room_id, config in rules.subscriptions.items() if room_id in listed]
    relevant: dict[str, RoomConfig] = {}
    several: dict[str, list[RoomConfig]] = {}
    for room_ids, config in asked:
        await breath.after(len(room_ids))
        for room_id in room_ids:
            first = relevant.setdefault(room_id, config)
            if first is not config:
                several.setdefault(room_id, [first]).append(config)
    # Many rooms are in the same lists: what these want is combined once.
    made: dict[tuple[int, ...], RoomConfig] = {}
    for room_id, configs in several.items():
        key = tuple(map(id, configs))
        if key not in made:
            await breath.after(len(configs))
            made[key] = reduce(RoomConfig.combined, configs)
        relevant[room_id] = made[key]
    return relevant


def _facts_in(stripped: bytes) -> Facts:
    facts = Facts()
    for event in orjson.loads(stripped):
        content = event.get("content")
        if event.get("state_key") != "":
            continue
        if event.get("type") == "m.room.encryption":
            facts.encrypted = True
        elif event.get("type") == "m.room.name":
            facts.name = short_text_of(content, "name")
        elif event.get("type") == "m.room.create":
            facts.room_type = short_text_of(content, "type")
    return facts
