"""One room of an answer, in the words of the accepted shape; codecs put it into theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import orjson

from homeserver.protocol.content import text_of
from homeserver.services.sliding_sync.parts import Kind, Part
from homeserver.services.sliding_sync.required_state import MEMBER
from homeserver.services.sliding_sync.room_facts import BUMP_TYPES
from homeserver.services.sliding_sync.room_state import AVATAR, NAME
from homeserver.services.sync.encode import Encoder
from homeserver.services.sync.sources import UnreadCounts
from homeserver.services.sync.summary import Summary
from homeserver.services.tokens import format_timeline_token

if TYPE_CHECKING:
    from homeserver.services.sync.state_delta import StateKey


class RoomResult(TypedDict, total=False):
    """MSC4186, "RoomResult": what is left out has not changed, or with `initial` is not set."""

    bump_stamp: int
    membership: str
    lists: list[str]
    name: str | None
    avatar: str | None
    heroes: list[dict[str, str]]
    is_dm: bool
    initial: bool
    expanded_timeline: bool
    required_state: list[orjson.Fragment]
    deleted_state: list[StateKey]
    timeline_events: list[orjson.Fragment]
    prev_batch: str
    limited: bool
    num_live: int
    joined_count: int
    invited_count: int
    notification_count: int
    highlight_count: int
    stripped_state: Sequence[orjson.Fragment]


@dataclass(frozen=True, slots=True)
class Results:
    """Makes the rooms of one answer."""

    encoder: Encoder
    summaries: Mapping[str, Summary]
    bumps: Mapping[str, int | None]
    unread: Mapping[str, UnreadCounts]
    stripped: Mapping[str, Sequence[orjson.Fragment]]
    dms: frozenset[str]
    told_up_to: int | None
    """Events after this are news to the client; None: its first sync."""

    def of(self, part: Part) -> RoomResult | None:
        """The room as it is told; None where there is nothing to tell after all."""
        if part.kind is Kind.OUTSIDE:
            return self._outside(part)
        if part.kind is Kind.GONE:
            return {"initial": True, "membership": "leave", "required_state": [], "timeline_events": []}
        result: RoomResult = {}
        self._add_timeline(part, result)
        self._add_state(part, result)
        if not result and part.kind is Kind.JOINED and not (part.initial or part.dm_changed or part.counts_changed):
            return None
        if part.initial:
            result["initial"] = True
        self._add_facts(part, result)
        return result

    def _outside(self, part: Part) -> RoomResult:
        assert part.entry is not None
        result: RoomResult = {
            "initial": True,
            "membership": part.entry.membership,
            "bump_stamp": part.entry.position,
            "stripped_state": self.stripped.get(part.room_id, ()),
        }
        if part.room_id in self.dms:
            result["is_dm"] = True
        return result

    def _add_timeline(self, part: Part, result: RoomResult) -> None:
        window = part.window
        if window is None or part.config.timeline_limit == 0:
            return
        if not (window.events or window.limited or part.initial):
            return
        result["timeline_events"] = self.encoder.events(window, window.events)
        result["prev_batch"] = format_timeline_token(window.prev_batch)
        result["limited"] = window.limited
        live = 0
        if self.told_up_to is not None:
            live = sum(event.position > self.told_up_to for event in window.events)
        result["num_live"] = live
        if part.expanded:
            result["expanded_timeline"] = True

    def _add_state(self, part: Part, result: RoomResult) -> None:
        window, state = part.window, part.state
        if window is None:
            return
        if state is None:
            events = [event for event in window.events if part.config.matches(event.type, event.state_key or "")]
        else:
            told = ((key, state.found[key]) for key in part.told if key in state.found)
            events = [event for _, event in sorted(told, key=lambda item: item[1].event_nid)]
        if events or part.initial:
            result["required_state"] = self.encoder.events(window, events)
        deleted = [key for key in part.deleted if part.config.matches(*key)]
        if deleted:
            result["deleted_state"] = sorted(deleted)

    def _add_facts(self, part: Part, result: RoomResult) -> None:
        entry = part.entry
        assert entry is not None
        result["membership"] = entry.membership
        bump = self._bump(part)
        if bump is not None:
            result["bump_stamp"] = max(0, bump)
        self._add_name(part, result)
        self._add_summary(part, result)
        if part.dm_changed or (part.initial and part.room_id in self.dms):
            result["is_dm"] = part.room_id in self.dms
        unread = self.unread.get(part.room_id)
        if unread is not None:
            # Threads have counts of their own, which are not in these.
            result["notification_count"] = unread.main.notifications
            result["highlight_count"] = unread.main.highlights

    def _bump(self, part: Part) -> int | None:
        """ "If omitted, the `bump_stamp` has not changed"; of rooms that one is out of: when that happened."""
        assert part.entry is not None
        if part.kind is not Kind.JOINED:
            return part.entry.position
        if part.room_id in self.bumps:
            bump = self.bumps[part.room_id]
            return part.entry.position if bump is None else bump
        events = part.window.events if part.window is not None else ()
        return next((event.position for event in reversed(events) if event.type in BUMP_TYPES), None)

    def _add_name(self, part: Part, result: RoomResult) -> None:
        if part.state is None:
            return
        for key, field_name, content_key in ((NAME, "name", "name"), (AVATAR, "avatar", "url")):
            event = part.state.found.get(key)
            value = None if event is None else text_of(event.content, content_key)
            if (part.initial and value is not None) or (
                not part.initial and (key in part.changes or key in part.deleted)
            ):
                result[field_name] = value  # type: ignore[literal-required]

    def _add_summary(self, part: Part, result: RoomResult) -> None:
        summary = self.summaries.get(part.room_id)
        if summary is None or part.kind is not Kind.JOINED:
            return
        result["joined_count"] = summary.joined
        result["invited_count"] = summary.invited
        if summary.heroes is not None and part.state is not None:
            members = [(user_id, part.state.found.get((MEMBER, user_id))) for user_id in summary.heroes]
            result["heroes"] = [_hero(user_id, event.content) for user_id, event in members if event is not None]


def _hero(user_id: str, content: Mapping[str, Any]) -> dict[str, str]:
    """ "StrippedHero": a name and a picture where they are set."""
    hero = {"user_id": user_id}
    for key in ("displayname", "avatar_url"):
        value = text_of(content, key)
        if value is not None:
            hero[key] = value
    return hero
