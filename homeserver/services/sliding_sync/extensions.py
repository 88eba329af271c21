"""Extensions: what a client hears beside rooms, each in its own part of the answer.

Add one: an object with `name` and `answer` in `Extensions.others` (composition/sliding_sync.py), its configuration in the
bodies of both codecs (http/client/sliding_sync_bodies.py), and its stream in services/tokens.py where it has one of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from homeserver.services.rooms.stored import to_timeline_event
from homeserver.services.sight import Sight
from homeserver.services.sliding_sync.connections import Selection
from homeserver.services.sliding_sync.request import Extensions, PagedExtension, RoomExtension, SlidingRequest
from homeserver.services.sync.answer import Snapshot
from homeserver.services.sync.changes import RoomChanges
from homeserver.services.sync.device_list_changes import DeviceListChanges
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.sources import AccountDataEvents, KeyCounts
from homeserver.services.sync.sticky import MAX_OF_ROOM, StickyRooms
from homeserver.services.sync.streams import Streams
from homeserver.services.tokens import StreamToken
from homeserver.storage.memberships import Membership
from homeserver.storage.sticky_events import StickyEventRows, StickySpan

if TYPE_CHECKING:
    from asyncpg import Record

    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

TO_DEVICE, E2EE, ACCOUNT_DATA, RECEIPTS, TYPING = "to_device", "e2ee", "account_data", "receipts", "typing"
STICKY = "org.matrix.msc4354.sticky_events"
VOICE = "org.voicechat.voice"
MAX_LETTERS = 100
MAX_STICKY = 1_000


@dataclass(slots=True)
class Scene:
    """What extensions are answered from."""

    request: SlidingRequest
    before: Extensions
    """Those that were enabled at the client's place."""
    since: StreamToken | None
    snapshot: Snapshot
    selection: Selection
    previous: Selection
    changes: RoomChanges
    account_data: AccountDataEvents
    told_counts: KeyCounts | None
    anew: Collection[str] = ()
    """Rooms whose timelines are told anew."""
    shown: Collection[int] = ()
    """Numbers of events in the timelines of the answer."""
    _rooms: dict[tuple[RoomExtension, RoomExtension | None], tuple[set[str], set[str]]] = field(default_factory=dict)

    @property
    def user_id(self) -> str:
        return self.request.user_id

    def rooms(self, wanted: RoomExtension, before: RoomExtension | None) -> tuple[set[str], set[str]]:
        """Joined rooms that an extension tells of: those that are new to it, and the others."""
        # Most clients want the same of all extensions.
        found = self._rooms.get((wanted, before))
        if found is None:
            found = self._rooms[wanted, before] = self._joined_rooms(wanted, before)
        return found

    def _joined_rooms(self, wanted: RoomExtension, before: RoomExtension | None) -> tuple[set[str], set[str]]:
        now = _rooms_of(wanted, self.selection)
        joined = {each for each in now if _is_joined(self.snapshot.rooms.get(each))}
        known = set[str]()
        if before is not None and self.since is not None:
            known = _rooms_of(before, self.previous) - set(self.anew)
        return joined - known, joined & known


class Extension(Protocol):
    """An extension of another service. Its answer is None where there is no news."""

    @property
    def name(self) -> str: ...

    async def answer(self, scene: Scene, config: Any) -> Mapping[str, Any] | None: ...


@dataclass(slots=True)
class ExtensionNews:
    """By name. Some are always there: a client keeps their `next_batch`, or counts its keys."""

    answers: dict[str, Any] = field(default_factory=dict)
    is_worth_telling: bool = False

    def add(self, name: str, answer: Any, *, news: bool = True) -> None:
        self.answers[name] = answer
        self.is_worth_telling = self.is_worth_telling or news


def _rooms_of(wanted: RoomExtension, selection: Selection) -> set[str]:
    """ "lists" and "rooms" of an extension: those of the windows, and those that are subscribed to."""
    rooms = set[str]()
    names = selection.windows if "*" in wanted.lists else wanted.lists
    for name in names:
        rooms.update(selection.windows.get(name, ()))
    subscribed = selection.rules.subscriptions.keys() & selection.relevant.keys()
    return rooms | (subscribed if "*" in wanted.rooms else subscribed & set(wanted.rooms))


def _is_joined(entry: Membership | None) -> bool:
    return entry is not None and entry.membership == "join"


@dataclass(frozen=True, slots=True)
class ExtensionAnswers:
    """One verb."""

    queries: Queries
    streams: Streams
    device_lists: DeviceListChanges
    sticky_rows: StickyEventRows
    sticky_rooms: StickyRooms
    clock: Clock
    others: Sequence[Extension] = ()

    async def make(self, scene: Scene) -> ExtensionNews:
        """The answers of all that are enabled. In-memory streams first; statements only where there is news."""
        news, wanted = ExtensionNews(), scene.request.extensions
        if wanted.to_device is not None:
            await self._letters(scene, wanted.to_device, news)
        if wanted.e2ee:
            await self._keys(scene, news)
        if wanted.account_data is not None:
            await self._account_data(scene, wanted.account_data, news)
        if wanted.receipts is not None:
            await self._receipts(scene, wanted.receipts, news)
        if wanted.typing is not None:
            self._typing(scene, wanted.typing, news)
        if wanted.voice is not None:
            self._voice(scene, wanted.voice, news)
        if wanted.sticky is not None:
            await self._sticky(scene, wanted.sticky, news)
        for each in self.others:
            if each.name in wanted.others:
                answer = await each.answer(scene, wanted.others[each.name])
                if answer is not None:
                    news.add(each.name, answer)
        return news

    async def _letters(self, scene: Scene, wanted: PagedExtension, news: ExtensionNews) -> None:
        """The client keeps its place itself: what it has not confirmed by `since` comes again."""
        to, device_id = scene.snapshot.now.to_device, scene.request.requester.device_id
        since = wanted.since or 0
        if since > to:
            # Not of this server, or of before its database was restored: everything may be news.
            since = 0
        if device_id is None or since == to:
            news.add(TO_DEVICE, {"next_batch": str(to), "events": []}, news=False)
            return
        limit = max(1, min(wanted.limit, MAX_LETTERS))
        letters = await self.streams.to_device.pending(scene.user_id, device_id, since, to, limit=limit)
        events = [orjson.Fragment(event) for event in letters.events]
        news.add(TO_DEVICE, {"next_batch": str(letters.up_to), "events": events}, news=bool(events))

    async def _keys(self, scene: Scene, news: ExtensionNews) -> None:
        counts, since, now = scene.snapshot.key_counts, scene.since, scene.snapshot.now
        answer: dict[str, Any] = {}
        if counts is not None:
            answer["device_one_time_keys_count"] = counts.one_time_keys
            answer["device_unused_fallback_key_types"] = counts.unused_fallback_types
        is_news = counts != scene.told_counts
        if since is not None:
            sharing = await self.device_lists.sharing(scene.user_id, scene.snapshot.rooms, scene.changes)
            lists = await self.device_lists.news(scene.user_id, sharing, since.device_lists, now.device_lists)
            if lists.changed or lists.left:
                answer["device_lists"] = {"changed": sorted(lists.changed), "left": sorted(lists.left)}
                is_news = True
        news.add(E2EE, answer, news=is_news)

    async def _account_data(self, scene: Scene, wanted: RoomExtension, news: ExtensionNews) -> None:
        before = scene.before.account_data
        new, known = scene.rooms(wanted, before)
        changed = scene.account_data
        everywhere, everything = changed.everywhere, changed
        if scene.since is not None and (new or before is None):
            everything = await self.streams.account_data.everything(scene.user_id)
            everywhere = everything.everywhere if before is None else everywhere
        rooms = {room_id: everything.by_room[room_id] for room_id in new if room_id in everything.by_room}
        if scene.since is not None:
            rooms.update((room_id, changed.by_room[room_id]) for room_id in known if room_id in changed.by_room)
        answer: dict[str, Any] = {}
        if everywhere:
            answer["global"] = _fragments(everywhere)
        if rooms:
            answer["rooms"] = {room_id: _fragments(events) for room_id, events in rooms.items()}
        if answer:
            news.add(ACCOUNT_DATA, answer)

    async def _receipts(self, scene: Scene, wanted: RoomExtension, news: ExtensionNews) -> None:
        new, known = scene.rooms(wanted, scene.before.receipts)
        source, since, now = self.streams.receipts, scene.since, scene.snapshot.now
        found: dict[str, Any] = {}
        if new:
            found.update(await source.everything(scene.user_id, new))
        if known and since is not None and since.receipts < now.receipts:
            found.update(await source.changed(scene.user_id, known, since.receipts, now.receipts))
        rooms = {room_id: {"type": "m.receipt", "content": content} for room_id, content in found.items() if content}
        if rooms:
            news.add(RECEIPTS, {"rooms": rooms})

    def _typing(self, scene: Scene, wanted: RoomExtension, news: ExtensionNews) -> None:
        new, known = scene.rooms(wanted, scene.before.typing)
        source, since, now = self.streams.typing, scene.since, scene.snapshot.now
        found = {room_id: users for room_id in new if (users := source.users(room_id))}
        if known and since is not None and since.typing < now.typing:
            changed = source.changed_rooms(since.typing, now.typing)
            found.update((room_id, source.users(room_id)) for room_id in changed if room_id in known)
        rooms = {
            room_id: {"type": "m.typing", "content": {"user_ids": list(users)}} for room_id, users in found.items()
        }
        if rooms:
            news.add(TYPING, {"rooms": rooms})

    def _voice(self, scene: Scene, wanted: RoomExtension, news: ExtensionNews) -> None:
        """Who is in voice channels: the events that /sync has in `ephemeral`, by room."""
        new, known = scene.rooms(wanted, scene.before.voice)
        source, since, now = self.streams.voice, scene.since, scene.snapshot.now
        sight = scene.snapshot.sight
        rooms: dict[str, list[dict[str, Any]]] = {}
        for room_id in new:
            _add_voice(rooms, room_id, VOICE, source.roster(room_id))
            _add_voice(rooms, room_id, "org.voicechat.voice_channels", source.channels(room_id, sight))
        if known and since is not None and since.voice < now.voice:
            for room_id, content in source.changed_rosters(known, since.voice, now.voice).items():
                _add_voice(rooms, room_id, VOICE, content)
            channels = source.changed_channels(Sight(sight.joined, sight.banned), since.voice, now.voice)
            for room_id, content in channels.items():
                if room_id in known:
                    _add_voice(rooms, room_id, "org.voicechat.voice_channels", content)
        if rooms:
            news.add(VOICE, {"rooms": rooms})

    async def _sticky(self, scene: Scene, wanted: PagedExtension, news: ExtensionNews) -> None:
        """MSC4480: events that stick, of all rooms of the reader, in pages that he asks for; of a room that he newly joined
        everything that sticks there, at once.
        """
        now = scene.snapshot.now.events
        since = wanted.since or 0
        if since > now:
            since = 0
        older, newer = self._sticky_spans(scene, since, now)
        limit = max(1, min(wanted.limit, MAX_STICKY))
        page = await self._sticky_rows(newer, limit + 1)
        next_batch = now if len(page) <= limit else page[limit - 1]["event_nid"]
        found = self._sticky_events(scene, [*await self._sticky_rows(older, None), *page[:limit]])
        answer: dict[str, Any] = {"next_batch": str(next_batch)}
        if found:
            answer["rooms"] = {room_id: {"events": events} for room_id, events in found.items()}
        # Nothing of a page may be for this reader: he asks for the next one.
        news.add(STICKY, answer, news=bool(found) or next_batch < now)

    def _sticky_spans(self, scene: Scene, since: int, now: int) -> tuple[list[StickySpan], list[StickySpan]]:
        """Of what has been told already, in rooms that the reader newly joined; and of what has not."""
        older, newer = list[StickySpan](), list[StickySpan]()
        for room_id, entry in scene.snapshot.rooms.items():
            if entry.membership != "join" or not self.sticky_rooms.sticks(entry.room_nid):
                continue
            own = scene.changes.own.get(room_id)
            if own is not None and own.left_between and since > 0:
                older.append(StickySpan(entry.room_nid, 0, since))
            # Whoever asks for what came since his last answer asks of the rooms in which something came.
            is_quiet = scene.since is not None and since >= scene.since.events and room_id not in scene.changes.rooms
            if since < now and not is_quiet:
                newer.append(StickySpan(entry.room_nid, since, now))
        return older, newer

    async def _sticky_rows(self, spans: Sequence[StickySpan], at_most: int | None) -> list[Record]:
        if not spans:
            return []
        return await self.sticky_rows.in_spans(self.queries, spans, self.clock.now_ms(), MAX_OF_ROOM, at_most)

    def _sticky_events(self, scene: Scene, rows: Sequence[Record]) -> dict[str, list[orjson.Fragment]]:
        """By room, oldest first."""
        encoder = Encoder(scene.request.requester, self.clock.now_ms())
        room_ids = {entry.room_nid: room_id for room_id, entry in scene.snapshot.rooms.items()} if rows else {}
        found: dict[str, list[orjson.Fragment]] = {}
        for row in rows:
            room_id = room_ids[row["room_nid"]]
            event = to_timeline_event(row, room_id)
            if event.event_nid not in scene.shown and event.sender not in scene.snapshot.ignored:
                found.setdefault(room_id, []).append(orjson.Fragment(encoder.event(event, "join")))
        return found


def _add_voice(rooms: dict[str, list[dict[str, Any]]], room_id: str, event_type: str, content: bytes | None) -> None:
    if content is not None:
        rooms.setdefault(room_id, []).append({"type": event_type, "content": orjson.Fragment(content)})


def _fragments(events: Iterable[bytes]) -> list[orjson.Fragment]:
    return [orjson.Fragment(event) for event in events]
