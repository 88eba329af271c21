"""The required state of parts: all of it, or what changed; members by who speaks. Memory first, then one statement a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.sliding_sync.parts import Kind, Part
from homeserver.services.sliding_sync.required_state import MEMBER
from homeserver.services.sync.lazy_members import LazyMembers
from homeserver.services.sync.state_delta import StateKey, StateOfWindow, read_missing
from homeserver.services.sync.summary import Summary
from homeserver.services.sync.window import Window
from homeserver.storage.sliding_rooms import SlidingRooms
from homeserver.storage.sync_rooms import Span, SyncRooms

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.storage.database import Queries

NAME, AVATAR = ("m.room.name", ""), ("m.room.avatar", "")


@dataclass(frozen=True, slots=True)
class RoomStates:
    """Two verbs: what changed, before the timelines are read; what is told, after that."""

    queries: Queries
    rooms: SyncRooms
    rows: SlidingRooms
    lazy: LazyMembers

    # -- changes -----------------------------------------------------------------------------------

    async def read_changes(self, parts: Iterable[Part]) -> None:
        """Changes and deletions of all parts that are no first ones."""
        cold, unsure = list[tuple[Part, Span]](), list[tuple[Part, Span]]()
        for part in parts:
            window, since = part.window, part.since
            if window is None or since is None or window.up_to <= since:
                continue
            span = Span(window.room_nid, since, window.up_to)
            recent = None if window.live is None else window.live.changes_since(since)
            if recent is None:
                cold.append((part, span))
                if window.live is None or window.live.emptied:
                    unsure.append((part, span))
            else:
                part.changes = {
                    (event.type, event.state_key or ""): event for event in recent if event.position <= window.up_to
                }
        if cold:
            await self._read_stored(cold)
        if unsure:
            await self._read_deletions(unsure)

    async def _read_stored(self, cold: Sequence[tuple[Part, Span]]) -> None:
        by_room = {span.room_nid: part for part, span in cold}
        for row in await self.rooms.states_changed(self.queries, [span for _, span in cold]):
            part = by_room[row[2]]
            event = to_timeline_event(row, part.room_id)
            part.changes[event.type, event.state_key or ""] = event

    async def _read_deletions(self, unsure: Sequence[tuple[Part, Span]]) -> None:
        by_room = {span.room_nid: part for part, span in unsure}
        for room_nid, event_type, state_key in await self.rows.deletions(self.queries, [span for _, span in unsure]):
            by_room[room_nid].deleted.add((event_type, state_key))
            by_room[room_nid].changes.pop((event_type, state_key), None)

    # -- what is told ------------------------------------------------------------------------------

    async def read_told(
        self, parts: Sequence[Part], summaries: Mapping[str, Summary], members_key: tuple[str, str]
    ) -> None:
        """State of all parts with a window whose timelines have been read."""
        states = []
        for part in parts:
            if part.window is not None and part.kind is not Kind.DECLINED:
                part.state = StateOfWindow(part.window, part.window.up_to)
                states.append(part.state)
        whole = [part for part in parts if part.state is not None and (part.initial or part.required_added)]
        await self._whole(whole)
        for part in parts:
            if part.state is not None:
                self._add_changes(part)
                self._add_members(part, members_key)
                _want_for_show(part, summaries.get(part.room_id))
        await read_missing(self.queries, self.rooms, states)

    async def _whole(self, parts: Sequence[Part]) -> None:
        """All required state of rooms that are told anew, or of which more is wanted than before."""
        scanned: dict[bool, list[Part]] = {False: [], True: []}
        named: dict[int, set[StateKey]] = {}
        for part in parts:
            assert part.state is not None
            assert part.window is not None
            if part.window.live is not None:
                _take_wanted(part, part.state, part.window.live)
                part.told |= {key for key in (*part.state.found, *part.state.missing) if _is_told(part, *key)}
                continue
            if part.config.scans:
                scanned[part.config.scans_members].append(part)
            if id(part.config) not in named:
                named[id(part.config)] = part.config.named
            # What scanning finds is not asked for again.
            keys = {
                key for key in named[id(part.config)]
                if (key[0] == MEMBER or not part.config.scans) and _is_new(part, *key)
            }  # fmt: skip
            part.state.missing |= keys
            part.told |= keys | {key for key in part.state.found if _is_told(part, *key)}
        for members, group in scanned.items():
            if group:
                places = [(part.state.window.room_nid, part.state.position) for part in group if part.state is not None]
                _hand_out(group, await self.rooms.states_at(self.queries, places, members=members))

    def _add_changes(self, part: Part) -> None:
        assert part.state is not None
        assert part.window is not None
        follows_members = part.config.lazy_members and not part.window.limited
        for key, event in part.changes.items():
            part.state.put([event])
            if part.config.matches(*key):
                part.told.add(key)
            elif follows_members and key[0] == MEMBER:
                # "All membership updates since the last sync when `limited` is false"
                part.told.add(key)
                part.members.append(key[1])

    def _add_members(self, part: Part, members_key: tuple[str, str]) -> None:
        """ "All the `senders` of events in `timeline_events`", and whom membership events there are about."""
        window, state = part.window, part.state
        if window is None or state is None or not part.config.lazy_members:
            return
        users = {event.sender for event in window.events}
        users.update(event.state_key for event in window.events if event.type == MEMBER and event.state_key is not None)
        if not (part.initial or window.limited):
            users = self.lazy.unknown(members_key, part.room_id, users, 0)
        for user_id in users:
            key = (MEMBER, user_id)
            if key in part.told or (not part.initial and part.config.matches(*key)):
                continue
            state.want(*key)
            part.told.add(key)
            part.members.append(user_id)


def _take_wanted(part: Part, state: StateOfWindow, live: LiveRoom) -> None:
    for event in part.config.pick(live.state):
        state.take(event, live)
    if state.position < live.resolved_at:
        state.missing.update(key for key in live.emptied if part.config.matches(*key) and live.state.get(*key) is None)


def _is_told(part: Part, event_type: str, state_key: str) -> bool:
    """Whether a wanted entry is told: all of them at first, and afterwards those that were not wanted before."""
    return part.config.matches(event_type, state_key) and _is_new(part, event_type, state_key)


def _is_new(part: Part, event_type: str, state_key: str) -> bool:
    return part.initial or part.sent is None or not part.sent.config.matches(event_type, state_key)


def _hand_out(parts: Sequence[Part], rows: Iterable[Record]) -> None:
    by_room: dict[int, Part] = {}
    for part in parts:
        assert part.state is not None
        by_room[part.state.window.room_nid] = part
    for row in rows:
        part = by_room[row[2]]
        event = to_timeline_event(row, part.room_id)
        key = (event.type, event.state_key or "")
        if part.state is not None and (key in (NAME, AVATAR) or part.config.matches(*key)):
            part.state.put([event])
            if _is_told(part, *key):
                part.told.add(key)


def _want_for_show(part: Part, summary: Summary | None) -> None:
    """Name, picture, and members by whom a room without a name is known."""
    assert part.state is not None
    if part.initial:
        part.state.want(*NAME)
        part.state.want(*AVATAR)
    if summary is not None:
        for user_id in summary.heroes or ():
            part.state.want(MEMBER, user_id)


def note_members(parts: Iterable[Part]) -> None:
    """Member changes that no event of the timeline shows change the summary, too."""
    for part in parts:
        window: Window | None = part.window
        if window is not None and any(key[0] == MEMBER for key in (*part.changes, *part.deleted)):
            window.saw_members = True
