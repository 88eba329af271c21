"""The first events of a room, in the order the specification demands (POST /createRoom, 1 to 8)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from homeserver.protocol.builder import EventDraft
from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.identifiers import is_user_id
from homeserver.protocol.room_versions import RoomVersion
from homeserver.services.membership.content import MemberProfile, member_draft
from homeserver.services.rooms.creation.power_levels import power_levels_of_new_room
from homeserver.services.rooms.creation.wishes import RoomWishes


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset decides."""

    join_rule: str
    history_visibility: str
    guest_access: str | None
    """None: guests may not join, which needs no event."""
    everybody_invites: bool
    trusts_invited: bool


PRESETS: Mapping[str, Preset] = {
    "private_chat": Preset("invite", "shared", "can_join", everybody_invites=True, trusts_invited=False),
    "trusted_private_chat": Preset("invite", "shared", "can_join", everybody_invites=True, trusts_invited=True),
    "public_chat": Preset("public", "shared", None, everybody_invites=False, trusts_invited=False),
}


def first_events(
    wishes: RoomWishes,
    version: RoomVersion,
    creator: str,
    profiles: Mapping[str, MemberProfile],
    *,
    invited_later: Collection[str] = (),
) -> list[EventDraft]:
    """Drafts of all events of the new room. `profiles`: of the creator and of those who are invited.

    `invited_later`: those of `wishes.invite` whose invitations are no part of the first events.
    """
    preset = PRESETS[wishes.preset]
    trusted = [user_id for user_id in wishes.invite if user_id != creator] if preset.trusts_invited else []
    levels = power_levels_of_new_room(
        version,
        creator,
        trusted,
        everybody_invites=preset.everybody_invites,
        override=wishes.power_level_override,
    )
    return [
        _state(creator, "m.room.create", create_content(wishes.creation_content, version, creator, trusted)),
        member_draft(creator, creator, "join", profiles.get(creator)),
        _state(creator, "m.room.power_levels", levels),
        *_alias(wishes, creator),
        *_preset_state(wishes, preset, creator),
        *(EventDraft(each.type, creator, each.content, each.state_key) for each in wishes.initial_state),
        *_name_and_topic(wishes, creator),
        *_invitations(wishes, creator, profiles, invited_later),
    ]


def create_content(wished: dict[str, Any], version: RoomVersion, creator: str, trusted: list[str]) -> dict[str, Any]:
    """The content of m.room.create: `creator` and `room_version` are the server's. Raises InvalidParam."""
    content = {key: value for key, value in wished.items() if key not in ("creator", "room_version")}
    content["room_version"] = version.version
    if version.create_needs_creator:
        content["creator"] = creator
    if version.additional_creators:
        additional = content.pop("additional_creators", [])
        if not isinstance(additional, list) or not all(map(is_user_id, additional)):
            raise InvalidParam("'additional_creators' must be a list of user ids")
        # "combine additional_creators and the invite array, deduplicating between the two"
        creators = [user_id for user_id in dict.fromkeys([*additional, *trusted]) if user_id != creator]
        if creators:
            content["additional_creators"] = creators
    return content


def _alias(wishes: RoomWishes, creator: str) -> Iterator[EventDraft]:
    if wishes.alias is not None:
        yield _state(creator, "m.room.canonical_alias", {"alias": wishes.alias})


def _preset_state(wishes: RoomWishes, preset: Preset, creator: str) -> Iterator[EventDraft]:
    """State of the preset, but what `initial_state` sets itself ("takes precedence over events set by preset")."""
    given = {state.type for state in wishes.initial_state if state.state_key == ""}
    for name in ("join_rule", "history_visibility", "guest_access"):
        event_type = "m.room.join_rules" if name == "join_rule" else f"m.room.{name}"
        value = getattr(preset, name)
        if value is not None and event_type not in given:
            yield _state(creator, event_type, {name: value})


def _name_and_topic(wishes: RoomWishes, creator: str) -> Iterator[EventDraft]:
    if wishes.name is not None:
        yield _state(creator, "m.room.name", {"name": wishes.name})
    if wishes.topic is not None:
        yield _state(creator, "m.room.topic", topic_content(wishes.topic))


def topic_content(topic: str) -> dict[str, Any]:
    """A plain text topic in its old and its new form."""
    return {"topic": topic, "m.topic": {"m.text": [{"body": topic}]}}


def _invitations(
    wishes: RoomWishes, creator: str, profiles: Mapping[str, MemberProfile], later: Collection[str]
) -> Iterator[EventDraft]:
    for user_id in dict.fromkeys(wishes.invite):
        if user_id not in later:
            yield invitation_draft(creator, user_id, wishes.is_direct, profiles.get(user_id))


def invitation_draft(
    creator: str, user_id: str, is_direct: bool, profile: MemberProfile | None = None
) -> EventDraft:  # fmt: skip
    """An invitation that is sent because the room is new."""
    return member_draft(creator, user_id, "invite", profile, extra={"is_direct": True} if is_direct else {})


def _state(sender: str, event_type: str, content: dict[str, Any]) -> EventDraft:
    return EventDraft(event_type, sender, content, "")
