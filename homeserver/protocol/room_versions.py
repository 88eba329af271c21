"""Room versions are data: a table of named rules. Code reads `if version.restricted_joins`, never a version number.

Source: the room version texts, v1 to v12, and MSC3757. A rule says in one sentence what is different and since when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

from homeserver.protocol.errors import UnsupportedRoomVersion


class EventIdFormat(Enum):
    """How an event gets its id."""

    OPAQUE = "v1"
    """`$opaque:domain`, chosen by the sending server and part of the PDU (room versions 1 and 2)."""
    BASE64_HASH = "v2"
    """`$` and the reference hash in standard unpadded base64 (room version 3)."""
    URL_SAFE_HASH = "v3"
    """`$` and the reference hash in URL-safe unpadded base64 (since room version 4)."""


class StateResolution(Enum):
    """Which algorithm resolves conflicting state."""

    V1 = "v1"
    V2 = "v2"
    V2_1 = "v2.1"
    """V2 that starts from an empty state and adds the conflicted state subgraph (since room version 12)."""


@dataclass(frozen=True, slots=True, eq=False)
class RoomVersion:
    """The rules of one room version. Defaults are those of room version 1.

    There is one object for each version, so they are compared and hashed by identity: tables are looked up by them on
    every send.
    """

    version: str
    is_stable: bool = True
    """Whether it is in the specification, not only in a proposal."""

    # --- Event format
    event_id_format: EventIdFormat = EventIdFormat.OPAQUE
    state_resolution: StateResolution = StateResolution.V1
    strict_canonical_json: bool = False
    """Since v6: floats and integers outside +-(2^53-1) are not allowed anywhere in an event."""
    strict_byte_limits: bool = False
    """Since v12: fields are limited to 255 bytes for foreign events too; before, servers in use counted code points."""
    enforce_key_validity: bool = False
    """Since v5: a signing key counts only for events up to its `valid_until_ts`."""
    event_id_server_signs: bool = True
    """v1 and v2: the server named in the event id must have signed the event as well as the sender's."""
    room_id_is_create_event_id: bool = False
    """Since v12: the room id is `!` and the hash of the create event, which itself has no `room_id`."""
    create_event_is_auth_event: bool = True
    """Until v11: `auth_events` list the create event; since v12 the room id implies it and it must not be listed."""
    redacts_in_content: bool = False
    """Since v11: `redacts` is a key of the content of `m.room.redaction`, before it was a key of the event."""

    # --- Authorisation rules
    special_aliases_auth: bool = True
    """Until v5: `m.room.aliases` is allowed if, and only if, its state key is the sender's domain."""
    special_redaction_auth: bool = True
    """v1 and v2: auth rule 11 decides over redactions; since v3 they are accepted and checked when applied."""
    create_needs_creator: bool = True
    """Until v10: `m.room.create` must have `creator` in its content, and that user is the creator."""
    implicit_room_creator: bool = False
    """Since v11: the creator is the sender of the create event, `content.creator` means nothing."""
    creators_have_infinite_power: bool = False
    """Since v12: the create event's sender and `additional_creators` outrank everybody and may not be in `users`."""
    additional_creators: bool = False
    """Since v12: `m.room.create` may name more creators in `content.additional_creators`."""
    limit_notifications_power_levels: bool = False
    """Since v6: changes to `notifications` in power levels are limited like changes to `events`."""
    integer_power_levels: bool = False
    """Since v10: power levels are integers; before, strings (and until v5 floats) that look like one were accepted."""
    knock: bool = False
    """Since v7: the membership and the join rule `knock`."""
    restricted_joins: bool = False
    """Since v8: the join rule `restricted` and `join_authorised_via_users_server`."""
    knock_restricted: bool = False
    """Since v10: the join rule `knock_restricted`."""
    owned_state: bool = False
    """MSC3757: state keys that begin with a user id and `_` are that user's, too; who has more power may change all of his
    state, and state keys may have 511 bytes.
    """

    # --- Redaction: what survives
    redaction_keeps_aliases: bool = True
    """Until v5: `aliases` of `m.room.aliases`."""
    redaction_keeps_join_rule_allow: bool = False
    """Since v8: `allow` of `m.room.join_rules`."""
    redaction_keeps_join_authorised_via: bool = False
    """Since v9: `join_authorised_via_users_server` of `m.room.member`."""
    redaction_keeps_origin_membership_prev_state: bool = True
    """Until v10: the event's own keys `origin`, `membership` and `prev_state`."""
    redaction_keeps_whole_create: bool = False
    """Since v11: all of the content of `m.room.create`; before only `creator`."""
    redaction_keeps_redacts: bool = False
    """Since v11: `redacts` in the content of `m.room.redaction`."""
    redaction_keeps_power_level_invite: bool = False
    """Since v11: `invite` of `m.room.power_levels`."""
    redaction_keeps_third_party_signed: bool = False
    """Since v11: `third_party_invite.signed` of `m.room.member`."""

    def __str__(self) -> str:
        return self.version

    @property
    def event_id_in_pdu(self) -> bool:
        """Whether the event id is written in the PDU (v1 and v2) instead of computed from it."""
        return self.event_id_format is EventIdFormat.OPAQUE


V1 = RoomVersion("1")
V2 = replace(V1, version="2", state_resolution=StateResolution.V2)
V3 = replace(
    V2,
    version="3",
    event_id_format=EventIdFormat.BASE64_HASH,
    event_id_server_signs=False,
    special_redaction_auth=False,
)
V4 = replace(V3, version="4", event_id_format=EventIdFormat.URL_SAFE_HASH)
V5 = replace(V4, version="5", enforce_key_validity=True)
V6 = replace(
    V5,
    version="6",
    strict_canonical_json=True,
    special_aliases_auth=False,
    limit_notifications_power_levels=True,
    redaction_keeps_aliases=False,
)
V7 = replace(V6, version="7", knock=True)
V8 = replace(V7, version="8", restricted_joins=True, redaction_keeps_join_rule_allow=True)
V9 = replace(V8, version="9", redaction_keeps_join_authorised_via=True)
V10 = replace(V9, version="10", integer_power_levels=True, knock_restricted=True)
V11 = replace(
    V10,
    version="11",
    redacts_in_content=True,
    create_needs_creator=False,
    implicit_room_creator=True,
    redaction_keeps_origin_membership_prev_state=False,
    redaction_keeps_whole_create=True,
    redaction_keeps_redacts=True,
    redaction_keeps_power_level_invite=True,
    redaction_keeps_third_party_signed=True,
)
V12 = replace(
    V11,
    version="12",
    state_resolution=StateResolution.V2_1,
    strict_byte_limits=True,
    room_id_is_create_event_id=True,
    create_event_is_auth_event=False,
    creators_have_infinite_power=True,
    additional_creators=True,
)
MSC3757_ON_V11 = replace(V11, version="org.matrix.msc3757.11", is_stable=False, owned_state=True)

ROOM_VERSIONS: Mapping[str, RoomVersion] = MappingProxyType(
    {rules.version: rules for rules in (V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, MSC3757_ON_V11)}
)
DEFAULT_ROOM_VERSION = V12


def room_version(version: object) -> RoomVersion:
    """The rules of a version by its name; raises UnsupportedRoomVersion."""
    rules = ROOM_VERSIONS.get(version) if isinstance(version, str) else None
    if rules is None:
        raise UnsupportedRoomVersion(f"This server does not support room version {version!r}.")
    return rules
