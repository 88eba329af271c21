"""What a client wishes of a new room, and how much of it one may wish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from homeserver.protocol.errors import BadJson, InvalidParam
from homeserver.protocol.identifiers import is_user_id

MAX_INITIAL_STATE = 500
MAX_INVITES = 250
ENCRYPTION = "m.room.encryption"
MEGOLM = "m.megolm.v1.aes-sha2"


@dataclass(frozen=True, slots=True)
class InitialState:
    """One entry of `initial_state`."""

    type: str
    content: dict[str, Any]
    state_key: str = ""


@dataclass(frozen=True, slots=True)
class RoomWishes:
    """The body of POST /createRoom, decoded. `alias` is the whole alias."""

    preset: str = "private_chat"
    room_version: str | None = None
    is_public: bool = False
    name: str | None = None
    topic: str | None = None
    alias: str | None = None
    creation_content: dict[str, Any] = field(default_factory=dict)
    power_level_override: dict[str, Any] = field(default_factory=dict)
    initial_state: Sequence[InitialState] = ()
    invite: Sequence[str] = ()
    is_direct: bool = False


def with_encryption(wished: Sequence[InitialState]) -> list[InitialState]:
    """The same state, and encryption where it says nothing of that: Element's `e2ee_forced`."""
    if any((each.type, each.state_key) == (ENCRYPTION, "") for each in wished):
        return list(wished)
    return [InitialState(ENCRYPTION, {"algorithm": MEGOLM}), *wished]


def check_wishes(wishes: RoomWishes) -> None:
    """Raises InvalidParam or BadJson for what no room could be made of."""
    if len(wishes.initial_state) > MAX_INITIAL_STATE:
        raise InvalidParam(f"'initial_state' has at most {MAX_INITIAL_STATE} events")
    if len(wishes.invite) > MAX_INVITES:
        raise InvalidParam(f"'invite' has at most {MAX_INVITES} users")
    for user_id in wishes.invite:
        if not is_user_id(user_id):
            raise InvalidParam("'invite' must be a list of user ids")
    for state in wishes.initial_state:
        if state.type == "m.room.create":
            raise BadJson("'initial_state' cannot have an m.room.create event: use 'creation_content'")
        if state.type == "m.room.member":
            raise BadJson("'initial_state' cannot have memberships: use 'invite'")
