"""The template of a member event, as the server of the room suggests it: taken from it is the place in the graph only.

Source: server-server API, "Joining Rooms", `make_join`, `make_leave`, `make_knock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from homeserver.federation.errors import BadAnswer
from homeserver.protocol.errors import IncompatibleRoomVersion, InvalidParam
from homeserver.protocol.event_format import max_depth
from homeserver.protocol.identifiers import is_event_id, parse_user_id
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion

VOUCHER: Final = "join_authorised_via_users_server"
MEMBER: Final = "m.room.member"


@dataclass(frozen=True, slots=True)
class MemberWish:
    """The event that we want: whose, where, and what it shall say. `content` has the membership.

    `version`: that of the room, where we know it.
    """

    room_id: str
    user_id: str
    content: Mapping[str, Any]
    version: RoomVersion | None = None

    @property
    def membership(self) -> str:
        membership: str = self.content["membership"]
        return membership


@dataclass(frozen=True, slots=True)
class Template:
    """An event without hash and signature, and the rules of its room."""

    version: RoomVersion
    pdu: dict[str, Any]


def read_template(answer: Mapping[str, Any], wish: MemberWish, server_name: str, now_ms: int) -> Template:
    """Make our event with what `server_name` says of its place. Raises BadAnswer, IncompatibleRoomVersion."""
    event = answer.get("event")
    if not isinstance(event, dict):
        raise BadAnswer("The other server's template is no event")
    _check_expected(event, wish)
    version = _version(answer, wish)
    pdu = {
        "type": MEMBER,
        "room_id": wish.room_id,
        "sender": wish.user_id,
        "state_key": wish.user_id,
        "content": {**wish.content, **_voucher(event["content"], wish, version, server_name)},
        "origin_server_ts": now_ms,
        "depth": _depth(event.get("depth"), version),
        "prev_events": _references(event.get("prev_events"), version),
        "auth_events": _references(event.get("auth_events"), version),
    }
    return Template(version, pdu)


def _check_expected(event: Mapping[str, Any], wish: MemberWish) -> None:
    """ "MUST verify that the `type`, `room_id`, `sender`, `state_key` and `content.membership` fields have the expected
    values."
    """
    content = event.get("content")
    expected = {"type": MEMBER, "room_id": wish.room_id, "sender": wish.user_id, "state_key": wish.user_id}
    for key, value in expected.items():
        if event.get(key) != value:
            raise BadAnswer(f"The other server's template has an unexpected {key}")
    if not isinstance(content, dict) or content.get("membership") != wish.membership:
        raise BadAnswer("The other server's template is of another membership")


def _version(answer: Mapping[str, Any], wish: MemberWish) -> RoomVersion:
    # "If not provided, the room version is assumed to be either "1" or "2"", but not where we know better.
    name = answer.get("room_version", "1" if wish.version is None else wish.version.version)
    version = ROOM_VERSIONS.get(name) if isinstance(name, str) else None
    if version is None:
        told = name if isinstance(name, str) else "unknown"
        raise IncompatibleRoomVersion("This server does not support the version of that room", room_version=told)
    if wish.version not in (None, version):
        raise BadAnswer("The other server's template is of another room version")
    return version


def _voucher(
    content: Mapping[str, Any], wish: MemberWish, version: RoomVersion, server_name: str
) -> dict[str, str]:  # fmt: skip
    """Who of that server vouches for a restricted join: "an arbitrary user ID belonging to the resident server"."""
    voucher = content.get(VOUCHER)
    if voucher is None or wish.membership != "join" or not version.restricted_joins:
        return {}
    try:
        belongs = isinstance(voucher, str) and parse_user_id(voucher).server_name == server_name
    except InvalidParam:
        belongs = False
    if not belongs:
        raise BadAnswer("The other server's template names somebody else to vouch for the join")
    return {VOUCHER: voucher}


def _depth(depth: Any, version: RoomVersion) -> int:
    if type(depth) is not int or not 0 <= depth <= max_depth(version):
        raise BadAnswer("The other server's template has no depth")
    return depth


def _references(references: Any, version: RoomVersion) -> list[Any]:
    """A member event that cites nothing would be no part of any room. How many there may be is checked at the end."""
    if not isinstance(references, list) or not references:
        raise BadAnswer("The other server's template has no place in the room")
    for reference in references:
        paired = isinstance(reference, list) and len(reference) == 2 and isinstance(reference[1], dict)
        event_id = reference[0] if paired and version.event_id_in_pdu else reference
        if not is_event_id(event_id):
            raise BadAnswer("The other server's template cites something that is no event")
    return references
