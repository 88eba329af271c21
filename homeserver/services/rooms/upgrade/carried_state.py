"""What of a room's state goes into its successor, as drafts of the successor's first events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.auth.creators import room_creators
from homeserver.protocol.auth.power_levels import read_level
from homeserver.protocol.builder import EventDraft
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.membership.content import MemberProfile, member_draft
from homeserver.services.rooms.creation.first_events import create_content
from homeserver.services.rooms.creation.power_levels import power_levels_of_new_room
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.rooms.upgrade.carried_levels import carried_power_levels, highest_needed

GUEST_ACCESS = "m.room.guest_access"
# Recommended by "Room upgrades", step 3; power levels are made anew.
CARRIED_TYPES = (
    "m.room.join_rules",
    "m.room.history_visibility",
    GUEST_ACCESS,
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
)
MAX_CHILDREN = 1000
# All of it is one commit.
MAX_BANS = 2000


@dataclass(frozen=True, slots=True)
class Succession:
    """Who upgrades which room to what."""

    room: LiveRoom
    version: RoomVersion
    user_id: str
    profile: MemberProfile
    additional_creators: Sequence[str]

    @property
    def new_creators(self) -> frozenset[str]:
        """Who will have infinite power in the new room; nobody before v12."""
        if not self.version.creators_have_infinite_power:
            return frozenset()
        return frozenset((self.user_id, *self.additional_creators))


def successor_events(succession: Succession, predecessor: dict[str, Any]) -> list[EventDraft]:
    """The first events of the new room."""
    user_id = succession.user_id
    levels = _levels(succession)
    temporary = _temporary_levels(succession, levels)
    return [
        EventDraft("m.room.create", user_id, _create_content(succession, predecessor), ""),
        member_draft(user_id, user_id, "join", succession.profile),
        EventDraft("m.room.power_levels", user_id, temporary or levels, ""),
        *_carried(succession),
        *_bans(succession, temporary or levels),
        *([EventDraft("m.room.power_levels", user_id, levels, "")] if temporary else []),
    ]


def _create_content(succession: Succession, predecessor: dict[str, Any]) -> dict[str, Any]:
    old = succession.room.fetch_auth_event("m.room.create", "")
    assert old is not None
    kept = {key: value for key, value in old.content.items() if key not in ("additional_creators", "predecessor")}
    if succession.version.additional_creators and succession.additional_creators:
        # "The full set of additional creators needs to be set": those of the old room are not copied.
        kept["additional_creators"] = list(succession.additional_creators)
    kept["predecessor"] = predecessor
    return create_content(kept, succession.version, succession.user_id, [])


def _levels(succession: Succession) -> dict[str, Any]:
    room, user_id = succession.room, succession.user_id
    create = room.fetch_auth_event("m.room.create", "")
    assert create is not None
    event = room.fetch_auth_event("m.room.power_levels", "")
    if event is None:
        return power_levels_of_new_room(succession.version, user_id, [], everybody_invites=True, override={})
    infinite = room.version.creators_have_infinite_power
    return carried_power_levels(
        event.content,
        room.version,
        succession.version,
        old_creators=room_creators(create, room.version) if infinite else frozenset(),
        new_creators=succession.new_creators or frozenset((user_id,)),
    )


def _temporary_levels(succession: Succession, levels: dict[str, Any]) -> dict[str, Any] | None:
    """Levels with which the upgrading user can set all state, where those he will have are too low."""
    user_id = succession.user_id
    if succession.new_creators:
        return None
    own = read_level(levels["users"].get(user_id, levels.get("users_default", 0)), succession.version) or 0
    needed = highest_needed(levels)
    return {**levels, "users": {**levels["users"], user_id: needed}} if own < needed else None


def _carried(succession: Succession) -> Iterator[EventDraft]:
    room = succession.room
    for event_type in CARRIED_TYPES:
        event = room.fetch_auth_event(event_type, "")
        if event is not None:
            yield EventDraft(event_type, succession.user_id, _fitting(event, succession.version), "")
        elif event_type == GUEST_ACCESS:
            # No event means the same, but other servers always send one, and clients look for it.
            yield EventDraft(GUEST_ACCESS, succession.user_id, {"guest_access": "forbidden"}, "")
    # A space keeps its rooms: children without `via` have been taken away.
    for child in list(room.state.of_type("m.space.child").values())[:MAX_CHILDREN]:
        if child.content.get("via"):
            yield EventDraft("m.space.child", succession.user_id, child.content, child.state_key)


def _fitting(event: Event, version: RoomVersion) -> dict[str, Any]:
    """The content, where the new version knows it; a join rule that it does not know becomes `invite`."""
    rule = event.content.get("join_rule") if event.type == "m.room.join_rules" else None
    unknown = (
        (rule == "knock" and not version.knock)
        or (rule == "restricted" and not version.restricted_joins)
        or (rule == "knock_restricted" and not version.knock_restricted)
    )
    return {"join_rule": "invite"} if unknown else event.content


def _bans(succession: Succession, levels: dict[str, Any]) -> Iterator[EventDraft]:
    """Who was banned stays banned, unless he has as much power in the new room as who upgrades it."""
    own = math.inf if succession.new_creators else levels["users"].get(succession.user_id, 0)
    members = succession.room.state.of_type("m.room.member").values()
    banned = [member for member in members if member.membership == "ban"][:MAX_BANS]
    for member in banned:
        target = str(member.state_key)
        if target not in succession.new_creators and levels["users"].get(target, levels.get("users_default", 0)) < own:
            reason = member.content.get("reason")
            extra = {"reason": reason} if isinstance(reason, str) else {}
            yield member_draft(succession.user_id, target, "ban", extra=extra)
