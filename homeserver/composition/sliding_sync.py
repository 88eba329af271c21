"""Sliding sync: the same streams and parts as GET /sync, windows on lists of rooms."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeserver.composition.accounts import AccountServices
from homeserver.composition.foundation import Foundation
from homeserver.composition.reading import ReadingServices
from homeserver.composition.sync import SyncServices
from homeserver.http.client.sliding_sync import SlidingSyncEndpoints
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.services.profiles.extension import ProfileExtension
from homeserver.services.sliding_sync.answer import SlidingAnswers
from homeserver.services.sliding_sync.connections import Connections
from homeserver.services.sliding_sync.departures import DepartureFacts
from homeserver.services.sliding_sync.engine import SlidingSync
from homeserver.services.sliding_sync.extensions import Extension, ExtensionAnswers
from homeserver.services.sliding_sync.lists import PastStays, RoomLists
from homeserver.services.sliding_sync.room_facts import RoomFacts
from homeserver.services.sliding_sync.room_state import RoomStates
from homeserver.services.sliding_sync.rooms import SlidingRoomParts
from homeserver.services.sliding_sync.sticky_pages import StickyPages
from homeserver.services.sliding_sync.user_marks import UserMarks
from homeserver.services.sync.lazy_members import LazyMembers
from homeserver.services.sync.polls import Polls
from homeserver.services.sync.summary import Summaries
from homeserver.storage.sliding_rooms import SlidingRooms
from homeserver.storage.stripped_states import StrippedStates


@dataclass(frozen=True, slots=True)
class SlidingSyncServices:
    """The engine."""

    sync: SlidingSync
    endpoints: list[Endpoint] = field(default_factory=list)


def build_sliding_sync(
    base: Foundation,
    accounts: AccountServices,
    reading: ReadingServices,
    sync: SyncServices,
    others: tuple[Extension, ...] = (),
) -> SlidingSyncServices:
    """After `build_sync`. `others`: extensions of other services."""
    rows, lazy, facts = SlidingRooms(), LazyMembers(), _build_facts(base)
    engine = sync.sync
    answers, streams = engine.answers, engine.streams
    marks = UserMarks(streams.account_data)
    parts = SlidingRoomParts(
        queries=base.database,
        rows=rows,
        facts=facts,
        timelines=answers.parts.timelines,
        history=answers.parts.history,
        states=RoomStates(base.database, answers.storage, rows, lazy),
        summaries=Summaries(base.database, answers.storage),
        stripped=answers.stripped,
        visibility=reading.visibility,
        presenter=reading.presenter,
        unread=streams.unread,
        clock=base.clock,
    )
    sticky = answers.parts.sticky
    pages = StickyPages(base.database, sticky.rows, sticky.rooms, base.clock)
    others = (*others, ProfileExtension(accounts.profiles.updates))
    extensions = ExtensionAnswers(streams, answers.device_lists, pages, others)
    departures = DepartureFacts(base.database, answers.storage, reading.visibility)
    lists = RoomLists(
        base.database,
        rows,
        facts,
        PastStays(reading.visibility),
        departures,
        base.cache,
        StrippedStates(),
        streams.account_data,
    )
    connections = Connections(lazy)
    accounts.devices.hooks.deleted.append(connections.devices_deleted)
    made = SlidingAnswers(streams, answers.windows.changes, marks, lists, parts, extensions)
    sliding = SlidingSync(streams, base.awake, base.announcer, connections, made, Polls(base.clock, most=1))
    connections.on_forgotten.append(sliding.end_wait)
    accounts.standings.on_locked.append(sliding.polls.end_user)
    base.life.reports_memory("sliding_sync", sliding.memory_usage)
    base.life.reports_memory("sliding_sync_members", lazy.memory_usage)
    base.life.reports_memory("sliding_sync_marks", marks.memory_usage)
    base.life.reports_memory("sliding_sync_departures", departures.memory_usage)
    return SlidingSyncServices(sliding, list(endpoints_of(SlidingSyncEndpoints(sliding))))


def _build_facts(base: Foundation) -> RoomFacts:
    facts = RoomFacts(base.database, SlidingRooms(), base.cache)
    base.announcer.on_events(facts.apply_events)
    base.announcer.on_resolved(facts.apply_resolved)
    base.life.reports_memory("sliding_sync_rooms", facts.memory_usage)
    return facts
