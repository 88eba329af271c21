"""Rooms, read: events, timelines, members, state, with who may see what."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from homeserver.composition.foundation import Foundation
from homeserver.composition.kernel import Kernel
from homeserver.composition.readers import ReaderServices
from homeserver.http.client.room_context import RoomContextEndpoints
from homeserver.http.client.room_event import RoomEventReadEndpoints
from homeserver.http.client.room_initial_sync import RoomInitialSyncEndpoints
from homeserver.http.client.room_members import RoomMembersEndpoints
from homeserver.http.client.room_messages import RoomMessagesEndpoints
from homeserver.http.client.room_state import RoomStateReadEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.administration.all_seeing import AllSeeing
from homeserver.services.administration.room_reading import AllSeeingReaders
from homeserver.services.members import ReadMembers
from homeserver.services.relations.aggregations import BundledAggregations
from homeserver.services.timeline.context import ReadContext
from homeserver.services.timeline.event_anywhere import ReadEventAnywhere
from homeserver.services.timeline.event_at_time import FindEventAtTime, HistoryElsewhere
from homeserver.services.timeline.gaps import FillHistory, Pages
from homeserver.services.timeline.initial_sync import ReadFirstLook
from homeserver.services.timeline.messages import ReadMessages
from homeserver.services.timeline.open_room import RoomOpener
from homeserver.services.timeline.pages import PageReader
from homeserver.services.timeline.past_state import PastState
from homeserver.services.timeline.presentation import Presenter
from homeserver.services.timeline.redacted_content import RedactedContent
from homeserver.services.timeline.room_state import ReadState
from homeserver.services.timeline.single_event import EventFinder, ReadEvent
from homeserver.services.visibility import Visibility
from homeserver.storage.aggregations import Aggregations
from homeserver.storage.event_transactions import EventTransactions
from homeserver.storage.positions import StreamPosition
from homeserver.storage.redacted_bodies import RedactedBodies
from homeserver.storage.room_directory import RoomDirectoryRows
from homeserver.storage.room_history import RoomHistory
from homeserver.storage.users import Users

TIDY_REDACTED_MS = 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class ReadingServices:
    """Verbs that read rooms, and what sync needs to show them."""

    visibility: Visibility
    presenter: Presenter
    past: PastState
    messages: ReadMessages
    for_administrators: AllSeeingReaders
    redacted: RedactedContent
    endpoints: list[Endpoint] = field(default_factory=list)


def build_reading(
    base: Foundation,
    kernel: Kernel,
    readers: ReaderServices,
    fill: FillHistory,
    elsewhere: HistoryElsewhere,
    keep_redacted_ms: int,
) -> ReadingServices:
    """Reads up to where the kernel's writer has announced events. `fill`: brings history into holes of timelines;
    `elsewhere`: the same, for those who look for a moment.
    """
    database, stream = base.database, kernel.writer.position
    history, ignored = RoomHistory(), readers.account_data.ignored_users
    visibility = Visibility(database, history, Users(), base.awake, base.server_name)
    opener = RoomOpener(base.cache, visibility)
    pages = Pages(opener, PageReader(database, base.events, history), fill)
    past = PastState(database, base.rooms, history)
    bundled = BundledAggregations(database, Aggregations(), base.clock)
    presenter = Presenter(database, EventTransactions(), base.clock, bundled, ignored)
    finder = EventFinder(database, base.events)
    redacted = RedactedContent(database, RedactedBodies(), base.audit, base.clock, keep_redacted_ms)
    base.life.every(TIDY_REDACTED_MS, redacted.tidy, "forget-redacted-content")
    messages = ReadMessages(opener, visibility, pages, past, presenter, ignored, stream)
    context = ReadContext(opener, visibility, finder, pages, past, presenter, ignored, stream)
    look = ReadFirstLook(
        database,
        opener,
        messages,
        past,
        presenter,
        RoomDirectoryRows(),
        readers.account_data,
        readers.presence,
        readers.receipts,
    )
    read = ReadEvent(opener, visibility, finder, presenter, redacted)
    endpoints = endpoints_of(
        RoomInitialSyncEndpoints(look),
        RoomMessagesEndpoints(messages),
        RoomContextEndpoints(context),
        RoomEventReadEndpoints(
            read,
            ReadEventAnywhere(database, base.events, read),
            FindEventAtTime(database, opener, history, stream, elsewhere),
        ),
        RoomStateReadEndpoints(ReadState(opener, past, presenter)),
        RoomMembersEndpoints(ReadMembers(opener, past, presenter)),
    )
    for_administrators = _build_all_seeing(base, pages, past, presenter, finder, stream, elsewhere)
    return ReadingServices(visibility, presenter, past, messages, for_administrators, redacted, list(endpoints))


def _build_all_seeing(
    base: Foundation,
    pages: Pages,
    past: PastState,
    presenter: Presenter,
    finder: EventFinder,
    stream: StreamPosition,
    elsewhere: HistoryElsewhere,
) -> AllSeeingReaders:
    """The same for administrators, from whom nothing is hidden."""
    sight = AllSeeing()
    opener = RoomOpener(base.cache, sight)
    pages = Pages(opener, pages.reader, pages.fill)
    return AllSeeingReaders(
        ReadMessages(opener, sight, pages, past, presenter, _nobody_ignored, stream),
        ReadContext(opener, sight, finder, pages, past, presenter, _nobody_ignored, stream),
        FindEventAtTime(base.database, opener, pages.reader.history, stream, elsewhere),
        presenter,
    )


async def _nobody_ignored(user_id: str) -> Collection[str]:
    return ()
