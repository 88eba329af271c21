"""GET /sync: everything the other groups have, put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.encryption import EncryptionServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.composition.reading import ReadingServices
from homeserver.http.client.legacy_sync import LegacySyncEndpoints
from homeserver.http.client.sync import SyncEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.profiles.updates import ProfileUpdates
from homeserver.services.sync.all_windows import GatherWindows
from homeserver.services.sync.answer import Answers
from homeserver.services.sync.changes import ChangesOfRooms
from homeserver.services.sync.device_list_changes import DeviceListChanges
from homeserver.services.sync.engine import Sync
from homeserver.services.sync.ephemeral import Ephemeral
from homeserver.services.sync.history import HiddenHistory
from homeserver.services.sync.lazy_members import LazyMembers
from homeserver.services.sync.legacy_events import EventStream
from homeserver.services.sync.legacy_initial_sync import FirstAnswer
from homeserver.services.sync.polls import Polls
from homeserver.services.sync.quick import QuickAnswers
from homeserver.services.sync.room_parts import RoomParts
from homeserver.services.sync.room_previews import RoomPreview, RoomWaiters
from homeserver.services.sync.rooms_invited import StrippedRooms
from homeserver.services.sync.sources import VoiceSource
from homeserver.services.sync.state_delta import StateDelta
from homeserver.services.sync.sticky import StickyParts, StickyRooms
from homeserver.services.sync.streams import Streams
from homeserver.services.sync.summary import Summaries
from homeserver.services.sync.timelines import Timelines
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.storage.room_directory import RoomDirectoryRows
from homeserver.storage.sticky_events import StickyEventRows
from homeserver.storage.stripped_states import StrippedStates
from homeserver.storage.sync_rooms import SyncRooms
from homeserver.storage.users import Users

TIDY_STICKY_MS = 5 * 60 * 1000


@dataclass(frozen=True, slots=True)
class SyncServices:
    """The engine."""

    sync: Sync
    endpoints: list[Endpoint] = field(default_factory=list)


def build_sync(
    base: Foundation,
    accounts: AccountServices,
    readers: ReaderServices,
    kernel: Kernel,
    reading: ReadingServices,
    encryption: EncryptionServices,
    voice: VoiceSource,
) -> SyncServices:
    """The last of all groups: it reads what the others write."""
    streams = Streams(
        events=kernel.writer.position,
        receipts=readers.receipts,
        typing=readers.typing,
        presence=readers.presence,
        account_data=readers.account_data,
        to_device=encryption.to_device,
        device_lists=encryption.device_lists,
        unread=readers.unread,
        key_counts=encryption.key_counts,
        voice=voice,
    )
    sync = build_engine(base, kernel, reading, streams, accounts.profiles.updates)
    accounts.standings.on_locked.append(sync.polls.end_user)
    legacy = _build_legacy(base, reading, sync)
    return SyncServices(sync, list(endpoints_of(SyncEndpoints(sync, accounts.filters), legacy)))


def build_engine(
    base: Foundation, kernel: Kernel, reading: ReadingServices, streams: Streams, profiles: ProfileUpdates
) -> Sync:
    """Snapshot, answer, long poll."""
    storage, lazy, polls = SyncRooms(), LazyMembers(), Polls(base.clock)
    changes = ChangesOfRooms(base.database, storage, kernel.writer.recent)
    sticky = StickyEventRows()
    parts = RoomParts(
        Timelines(base.database, storage),
        HiddenHistory(base.database, storage, Users(), reading.visibility, base.server_name),
        StateDelta(base.database, storage),
        Summaries(base.database, storage),
        lazy,
        StickyParts(base.database, sticky, _build_sticky_rooms(base, sticky), base.clock),
    )
    ephemeral = Ephemeral(streams.receipts, streams.typing, streams.voice)
    device_lists = DeviceListChanges(base.database, storage, base.awake, streams.device_lists, changes)
    answers = Answers(
        queries=base.database,
        storage=storage,
        streams=streams,
        windows=GatherWindows(base.cache, reading.visibility, changes, ephemeral, device_lists),
        presenter=reading.presenter,
        parts=parts,
        stripped=StrippedRooms(base.database, storage, StrippedStates(), base.cache),
        device_lists=device_lists,
        clock=base.clock,
        profiles=profiles,
    )
    quick = QuickAnswers(
        kernel.writer.recent, streams.unread, streams.voice, streams.typing, lazy, base.clock
    )  # fmt: skip
    sync = Sync(streams, base.awake, base.announcer, answers, quick, polls)
    base.life.reports_memory("lazy_members", lazy.memory_usage)
    base.life.reports_memory("sync", sync.memory_usage)
    return sync


def _build_sticky_rooms(base: Foundation, rows: StickyEventRows) -> StickyRooms:
    rooms = StickyRooms(base.database, rows, base.clock)
    base.announcer.on_events(rooms.apply_events)
    base.life.on_start(rooms.load)
    base.life.every(TIDY_STICKY_MS, rooms.tidy, "forget-expired-sticky-events")
    base.life.reports_memory("sticky_events", rooms.memory_usage)
    return rooms


def _build_legacy(base: Foundation, reading: ReadingServices, sync: Sync) -> LegacySyncEndpoints:
    waiters = RoomWaiters()
    base.announcer.on_events(waiters.apply_events)
    base.announcer.on_wake_of_room(waiters.wake)
    base.life.reports_memory("peeking", waiters.memory_usage)
    preview = RoomPreview(
        queries=base.database,
        streams=sync.streams,
        polls=sync.polls,
        events=base.events,
        opener=RoomOpener(base.cache, reading.visibility),
        visibility=reading.visibility,
        presenter=reading.presenter,
        ephemeral=sync.answers.windows.ephemeral,
        waiters=waiters,
    )
    stream = EventStream(base.database, sync, base.events, reading.presenter)
    return LegacySyncEndpoints(stream, preview, FirstAnswer(base.database, RoomDirectoryRows(), sync))
