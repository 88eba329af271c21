"""One answer: everything that is new for a device between two places in all streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from homeserver.protocol.filters import EventFilter
from homeserver.services.clock import Clock
from homeserver.services.profiles.updates import ProfileUpdates
from homeserver.services.relations.aggregations import Shown
from homeserver.services.sync.all_windows import AllWindows, GatherWindows
from homeserver.services.sync.device_list_changes import DeviceListChanges, Sharing
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.request import SyncRequest
from homeserver.services.sync.room_parts import RoomParts
from homeserver.services.sync.rooms_answer import NOTHING_UNREAD, RoomsAnswer, RoomsEncoder, wanted_account_data
from homeserver.services.sync.rooms_invited import StrippedRooms, invite_json, knock_json, waiting_outside
from homeserver.services.sync.snapshot import Snapshot
from homeserver.services.sync.sources import AccountDataEvents, KeyCounts
from homeserver.services.sync.streams import Streams
from homeserver.services.sync.summary import Summary
from homeserver.services.sync.window import Window
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.tokens import StreamToken
from homeserver.storage.sync_rooms import SyncRooms

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

MAX_LETTERS = 100
USERS = "org.matrix.msc4429.users"


class Answer(NamedTuple):
    """The body, where the next sync begins, and whether it is worth ending a long poll for."""

    body: dict[str, Any]
    next_batch: StreamToken
    has_news: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """Makes answers. Asks the database nothing where the news are recent and the rooms in memory."""

    queries: Queries
    storage: SyncRooms
    streams: Streams
    windows: GatherWindows
    presenter: Presenter
    parts: RoomParts
    stripped: StrippedRooms
    device_lists: DeviceListChanges
    clock: Clock
    profiles: ProfileUpdates

    async def make(self, request: SyncRequest, since: StreamToken | None, snapshot: Snapshot) -> Answer:
        """The answer to a sync from ``since`` up to the snapshot."""
        now = snapshot.now
        account_data = await self._account_data(request, since, now)
        windows = await self.windows(request, since, snapshot, account_data.by_room)
        body: dict[str, Any] = {}
        of_rooms = {**account_data.by_room, **await self._account_data_of_new_rooms(request, since, windows)}
        rooms = await self._rooms(request, since, snapshot, windows, of_rooms)
        if rooms:
            body["rooms"] = rooms
        everywhere = _filtered_account_data(account_data.everywhere, request.filter.account_data)
        if everywhere or since is None:
            body["account_data"] = {"events": [orjson.Fragment(event) for event in everywhere]}
        presence = await self._presence(request, since, now, windows.sharing)
        if presence or since is None:
            body["presence"] = {"events": presence}
        users = await self._profiles(request, since, snapshot, windows.sharing)
        if users:
            body[USERS] = users
        now = await self._letters(request, since, now, body)
        if since is not None:
            news = await self.device_lists.news(
                request.user_id, windows.sharing, since.device_lists, now.device_lists
            )  # fmt: skip
            if news.changed or news.left:
                lists = {"changed": sorted(news.changed), "left": sorted(news.left)}
                body["device_lists"] = {name: users for name, users in lists.items() if users}
        has_news = bool(body)
        _add_key_counts(body, snapshot.key_counts)
        body["next_batch"] = now.format()
        return Answer(body, now, has_news)

    # -- rooms -------------------------------------------------------------------------------------

    async def _rooms(
        self,
        request: SyncRequest,
        since: StreamToken | None,
        snapshot: Snapshot,
        windows: AllWindows,
        account_data: Mapping[str, Sequence[bytes]],
    ) -> dict[str, Any]:
        filled = [*windows.joined, *windows.left.windows]
        summaries: Mapping[str, Summary] = {}
        if filled:
            summaries = await self.parts.fill(request, filled, snapshot.now.events, snapshot.ignored)
        for window in windows.left.never_in:
            _finish_never_in(request, window)
        events = await self._encoder(request, [*filled, *windows.left.never_in])
        events.relations = await self.presenter.bundled.of(
            request.requester, told_with_relations(filled), snapshot.ignored, with_room_ids=False
        )
        encoder = RoomsEncoder(
            request,
            events,
            summaries,
            windows.ephemeral,
            wanted_account_data(account_data, request.filter.room.account_data),
        )
        answer = RoomsAnswer()
        await self._add_joined(request, encoder, windows.joined, answer)
        for window in (*windows.left.windows, *windows.left.never_in):
            answer.leave[window.room_id] = encoder.left(window)
        await self._add_outside(request, since, snapshot, answer)
        return answer.as_json()

    async def _add_joined(
        self, request: SyncRequest, encoder: RoomsEncoder, windows: Sequence[Window], answer: RoomsAnswer
    ) -> None:
        told = [window for window in windows if encoder.is_worth_telling(window)]
        if not told:
            return
        unread = await self.streams.unread.counts(request.user_id, [window.room_id for window in told])
        for window in told:
            answer.join[window.room_id] = encoder.joined(window, unread.get(window.room_id, NOTHING_UNREAD))

    async def _add_outside(
        self, request: SyncRequest, since: StreamToken | None, snapshot: Snapshot, answer: RoomsAnswer
    ) -> None:
        """Invites and knocks, all or those of since the last sync."""
        after = None if since is None or request.full_state else since.events
        if after is not None and after >= snapshot.now.events:
            return
        wanted = request.filter.room
        for membership, rooms, as_json in (
            ("invite", answer.invite, invite_json),
            ("knock", answer.knock, knock_json),
        ):
            entries = waiting_outside(snapshot.rooms.values(), membership, after, snapshot.ignored)
            entries = [entry for entry in entries if wanted.includes(entry.room_id)]
            if membership == "invite":
                inviters = {entry.sender for entry in entries}
                hidden = await self.streams.account_data.hidden_inviters(request.user_id, inviters)
                entries = [entry for entry in entries if entry.sender not in hidden]
            if entries:
                state = await self.stripped.read(request.user_id, entries)
                rooms.update((room_id, as_json(events)) for room_id, events in state.items())

    async def _encoder(self, request: SyncRequest, windows: Sequence[Window]) -> Encoder:
        encoder = Encoder(request.requester, self.clock.now_ms(), request.filter.event_fields)
        if request.filter.event_format == "federation":
            encoder.federation = True
            event_ids = [event.event_id for window in windows for event in (*window.events, *window.state)]
            if event_ids:
                encoder.pdu_parts = await self.storage.pdu_parts(self.queries, event_ids)
        await self.presenter.recall_transactions(
            request.requester, [event for window in windows for event in window.events]
        )  # fmt: skip
        return encoder

    async def _profiles(
        self, request: SyncRequest, since: StreamToken | None, snapshot: Snapshot, sharing: Sharing
    ) -> dict[str, Any]:
        """What changed in profiles, and those of people who are new to the reader (MSC4429)."""
        wanted = request.filter.profile_fields
        if not wanted:
            return {}
        if since is None:
            joined = [entry.room_nid for entry in snapshot.rooms.values() if entry.membership == "join"]
            news = await self.profiles.of_rooms(joined, wanted)
        else:
            news = await self.profiles.of_users(sharing.came, wanted)
            to = snapshot.now.account_data
            news |= await self.profiles.changed(request.user_id, wanted, since.account_data, to)
        return {user_id: {"profile_updates": each.flat} for user_id, each in news.items()}

    # -- everything else ---------------------------------------------------------------------------

    async def _account_data(
        self, request: SyncRequest, since: StreamToken | None, now: StreamToken
    ) -> AccountDataEvents:
        if since is None:
            return await self.streams.account_data.everything(request.user_id)
        if since.account_data >= now.account_data:
            return AccountDataEvents()
        return await self.streams.account_data.changed(request.user_id, since.account_data, now.account_data)

    async def _account_data_of_new_rooms(
        self, request: SyncRequest, since: StreamToken | None, windows: AllWindows
    ) -> Mapping[str, Sequence[bytes]]:
        """What was set for a room before the reader was in it: then, no answer had a place for it."""
        new = [window.room_id for window in windows.joined if window.newly_joined]
        return await self.streams.account_data.of_rooms(request.user_id, new) if since is not None and new else {}

    async def _presence(
        self, request: SyncRequest, since: StreamToken | None, now: StreamToken, sharing: Sharing
    ) -> list[Mapping[str, Any]]:
        presence, wanted = self.streams.presence, request.filter.presence
        if not wanted.types.includes("m.presence"):
            return []
        if since is None:
            events = list(await presence.everything(request.user_id))
        else:
            events = []
            if since.presence < now.presence:
                events += await presence.changed(request.user_id, since.presence, now.presence)
            if sharing.came:
                # Whoever newly shares a room has not changed, but the reader never heard of him.
                told = {event["sender"] for event in events}
                events += [e for e in await presence.of_users(sharing.came) if e["sender"] not in told]
        events = [event for event in events if wanted.senders.includes(event["sender"])]
        return events if wanted.limit is None else events[: wanted.limit]

    async def _letters(
        self, request: SyncRequest, since: StreamToken | None, now: StreamToken, body: dict[str, Any]
    ) -> StreamToken:
        """To-device messages. Where there are more than one answer takes, the next sync begins in their midst."""
        device_id = request.requester.device_id
        after = 0 if since is None else since.to_device
        if device_id is None or after >= now.to_device:
            return now
        letters = await self.streams.to_device.pending(
            request.user_id, device_id, after, now.to_device, limit=MAX_LETTERS
        )
        if letters.events:
            body["to_device"] = {"events": [orjson.Fragment(event) for event in letters.events]}
        return replace(now, to_device=letters.up_to)


def told_with_relations(windows: Iterable[Window]) -> list[Shown]:
    """ "`GET /sync` when the relevant section has a `limited` value of `true`", and where it is all news to the client."""
    return [window.shown for window in windows if window.is_cut]


def _finish_never_in(request: SyncRequest, window: Window) -> None:
    """The one event of a room the reader never was in; with `state_after` its state is that very event."""
    room = request.filter.room
    if request.state_after:
        window.state = [event for event in window.events if room.state.matches_event(event)]
    window.events = [event for event in window.events if room.timeline.matches_event(event)]


def _filtered_account_data(events: Sequence[bytes], wanted: EventFilter) -> Sequence[bytes]:
    if not wanted.types.is_open:
        events = [event for event in events if wanted.types.includes(orjson.loads(event)["type"])]
    return events if wanted.limit is None else events[: wanted.limit]


def _add_key_counts(body: dict[str, Any], counts: KeyCounts | None) -> None:
    if counts is not None:
        body["device_one_time_keys_count"] = counts.one_time_keys
        body["device_unused_fallback_key_types"] = counts.unused_fallback_types
