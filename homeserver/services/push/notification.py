"""The body of POST /notify. Push gateway API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from homeserver.protocol.push_rules import Action
from homeserver.services.push.checks import EVENT_ID_ONLY
from homeserver.services.push.waiting import Entry
from homeserver.storage.pushers import Pusher

HIGH: Final = "high"
LOW: Final = "low"
NO_BADGE: Final = "org.matrix.msc4076.disable_badge_count"


@dataclass(frozen=True, slots=True)
class Told:
    """What every gateway is told of one event; made once for all its readers. `thread_id`: "main", or the thread's root."""

    position: int
    event_id: str
    room_id: str
    room_nid: int
    thread_id: str
    type: str
    sender: str
    state_key: str | None
    content: Mapping[str, Any]
    sent_ms: int
    sender_name: str
    room_alias: str | None
    room_name: str | None
    names: Mapping[str, str]
    """Names of the room by reader, for those who know it by another: it has none of its own, and they are in it."""


def wants_badge(pusher: Pusher) -> bool:
    """MSC4076: clients that count themselves ask not to be told how much is unread."""
    return pusher.data.get(NO_BADGE) is not True


def event_body(pusher: Pusher, entry: Entry, unread: int) -> bytes:
    """A notification of an event. `unread`: how much there is for the user now."""
    told, id_only = entry.told, pusher.data.get("format") == EVENT_ID_ONLY
    notification: dict[str, Any] = {
        "event_id": told.event_id,
        "room_id": told.room_id,
        "prio": _priority(told, entry.action),
        "devices": [_device(pusher, None if id_only else tweaks_of(entry.action))],
    }
    if wants_badge(pusher):
        # "Counts whose value is zero should be omitted."
        notification["counts"] = {"unread": unread} if unread else {}
    if not id_only:
        notification |= _event_fields(told, pusher.user_id)
    return orjson.dumps({"notification": notification})


def badge_body(pusher: Pusher, unread: int) -> bytes:
    """How much is unread, and nothing else. Zero is said here: there is no other way to say that all has been read."""
    return orjson.dumps(
        {"notification": {"prio": LOW, "counts": {"unread": unread}, "devices": [_device(pusher, None)]}}
    )


def tweaks_of(action: Action) -> dict[str, Any]:
    """ "If a `highlight` tweak is given with no value, its value is defined to be `true`." """
    tweaks: dict[str, Any] = {}
    for each in action.actions:
        if isinstance(each, dict) and "set_tweak" in each:
            if "value" in each:
                tweaks[each["set_tweak"]] = each["value"]
            elif each["set_tweak"] == "highlight":
                tweaks["highlight"] = True
    return tweaks


def _event_fields(told: Told, user_id: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        # Not in the specification any more, and still looked for.
        "id": told.event_id,
        "type": told.type,
        "sender": told.sender,
        "sender_display_name": told.sender_name,
        "content": told.content,
    }
    room_name = told.names.get(user_id, told.room_name)
    if room_name:
        fields["room_name"] = room_name
    if told.room_alias is not None:
        fields["room_alias"] = told.room_alias
    if told.type == "m.room.member":
        fields["user_is_target"] = told.state_key == user_id
        fields["membership"] = told.content.get("membership")
    return fields


def _priority(told: Told, action: Action) -> str:
    """What makes a sound or is about the user is not to wait; whether an encrypted event is, only his device can say."""
    return HIGH if told.type == "m.room.encrypted" or action.highlight or action.sound else LOW


def _device(pusher: Pusher, tweaks: Mapping[str, Any] | None) -> dict[str, Any]:
    device: dict[str, Any] = {
        "app_id": pusher.app_id,
        "pushkey": pusher.pushkey,
        # "The unix timestamp (in seconds)".
        "pushkey_ts": pusher.set_ms // 1000,
        # "Servers MUST forward the entire content including `format` and any custom keys but excluding `url`".
        "data": {key: value for key, value in pusher.data.items() if key != "url"},
    }
    if tweaks is not None:
        device["tweaks"] = tweaks
    return device
