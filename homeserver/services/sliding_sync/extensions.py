"""Extensions: what a client hears beside rooms, each in its own part of the answer.

Add one: an object with `name` and `answer` in `Extensions.others` (composition/sliding_sync.py), its configuration in the
bodies of both codecs (http/client/sliding_sync_bodies.py), and its stream in services/tokens.py where it has one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from homeserver.services.sliding_sync.request import PagedExtension, RoomExtension
from homeserver.services.sliding_sync.scene import Scene
from homeserver.services.sliding_sync.sticky_pages import StickyPages
from homeserver.services.sync.device_list_changes import DeviceListChanges
from homeserver.services.sync.streams import Streams

TO_DEVICE, E2EE, ACCOUNT_DATA, RECEIPTS, TYPING = "to_device", "e2ee", "account_data", "receipts", "typing"
STICKY = "org.matrix.msc4354.sticky_events"
VOICE = "org.voicechat.voice"
MAX_LETTERS = 100


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


@dataclass(frozen=True, slots=True)
class ExtensionAnswers:
    """One verb."""

    streams: Streams
    device_lists: DeviceListChanges
    sticky: StickyPages
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
            answer, is_news = await self.sticky(scene, wanted.sticky)
            news.add(STICKY, answer, news=is_news)
        for each in self.others:
            if each.name in wanted.others:
                told = await each.answer(scene, wanted.others[each.name])
                if told is not None:
                    news.add(each.name, told)
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
        if not new and since is not None and since.voice >= now.voice:
            return
        sight = scene.snapshot.sight
        rooms: dict[str, list[dict[str, Any]]] = {}
        for room_id in new:
            _add_voice(rooms, room_id, VOICE, source.roster(room_id))
            _add_voice(rooms, room_id, "org.voicechat.voice_channels", source.channels(room_id, sight))
        if known and since is not None and since.voice < now.voice:
            for room_id, content in source.changed_rosters(known, since.voice, now.voice).items():
                _add_voice(rooms, room_id, VOICE, content)
            channels = source.changed_channels(sight, since.voice, now.voice)
            for room_id, content in channels.items():
                if room_id in known:
                    _add_voice(rooms, room_id, "org.voicechat.voice_channels", content)
        if rooms:
            news.add(VOICE, {"rooms": rooms})


def _add_voice(rooms: dict[str, list[dict[str, Any]]], room_id: str, event_type: str, content: bytes | None) -> None:
    if content is not None:
        rooms.setdefault(room_id, []).append({"type": event_type, "content": orjson.Fragment(content)})


def _fragments(events: Iterable[bytes]) -> list[orjson.Fragment]:
    return [orjson.Fragment(event) for event in events]
