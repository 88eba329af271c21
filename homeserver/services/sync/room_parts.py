"""Fills windows with timelines and state: the steps in their order, each for all rooms at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeserver.services.sync.history import HiddenHistory
from homeserver.services.sync.lazy_members import DeviceKey, LazyMembers
from homeserver.services.sync.request import SyncRequest
from homeserver.services.sync.state_delta import MEMBER, StateDelta, StateOfWindow
from homeserver.services.sync.sticky import StickyParts
from homeserver.services.sync.summary import Summaries, Summary
from homeserver.services.sync.timelines import Timelines
from homeserver.services.sync.window import Window


@dataclass(frozen=True, slots=True)
class RoomParts:
    """One verb."""

    timelines: Timelines
    history: HiddenHistory
    delta: StateDelta
    summaries: Summaries
    lazy: LazyMembers
    sticky: StickyParts

    async def fill(
        self, request: SyncRequest, windows: Sequence[Window], to: int, ignored: frozenset[str]
    ) -> Mapping[str, Summary]:
        """Timeline and state of every window; returns the summaries that are to be told, by room id."""
        user_id, wanted = request.user_id, request.filter.room
        await self.timelines.read(windows, wanted.timeline, request.timeline_limit, ignored)
        hiding = await self.history.look(user_id, windows)
        if hiding:
            await self.timelines.read(hiding, wanted.timeline, request.timeline_limit, ignored)
        await self.history.hide_erased(windows)
        await self.sticky.read(windows, wanted.timeline, ignored)
        for window in windows:
            # The client's memory of a room it joins again ends before this window.
            window.limited = window.limited or (window.newly_joined and request.since is not None)
        lazily = wanted.state.lazy_load_members
        states = await self.delta.base(windows, at_end=bool(request.state_after), members=not lazily)
        joined = [window for window in windows if window.membership.membership == "join"]
        summaries = await self.summaries.read(user_id, joined)
        if lazily:
            for state in states:
                self._want_members(request, state, summaries.get(state.window.room_id))
        await self.delta.complete(states)
        for window in windows:
            if not wanted.state.is_open:
                window.state = [event for event in window.state if wanted.state.matches_event(event)]
            if lazily:
                self._note_sent(request, window, to)
        return summaries

    def _want_members(self, request: SyncRequest, state: StateOfWindow, summary: Summary | None) -> None:
        """ "only include membership events for the sender of events being included in the response", and for heroes."""
        window = state.window
        users = {event.sender for event in window.events}
        if window.full:
            users.add(request.user_id)
            self.lazy.begin_again(_device(request), window.room_id)
        if summary is not None and summary.heroes:
            users.update(summary.heroes)
        if request.since is not None and not window.full and not request.filter.room.state.include_redundant_members:
            users = self.lazy.unknown(_device(request), window.room_id, users, request.since.events)
        for user_id in users:
            state.want(MEMBER, user_id)

    def _note_sent(self, request: SyncRequest, window: Window, to: int) -> None:
        members = [
            event.state_key
            for events in (window.state, window.events)
            for event in events
            if event.type == MEMBER and event.state_key is not None
        ]
        self.lazy.sent(_device(request), window.room_id, members, to)


def _device(request: SyncRequest) -> DeviceKey:
    return request.user_id, request.requester.device_id or ""
