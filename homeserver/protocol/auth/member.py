"""Rule 5: `m.room.member`, one function for each membership. Who comes in, who goes, who is thrown out."""

from __future__ import annotations

from collections.abc import Callable

from homeserver.protocol.auth.creators import room_creator
from homeserver.protocol.auth.rejection import reject
from homeserver.protocol.auth.room_state import RoomState
from homeserver.protocol.auth.third_party_invite import check_invite_by_third_party
from homeserver.protocol.events import Event
from homeserver.protocol.room_versions import RoomVersion


def check_member(event: Event, state: RoomState) -> None:
    """Rule 5, complete: an event that passes is allowed. Rule 5.2 (signature) is checked in independent.py."""
    if event.state_key is None or "membership" not in event.content:
        reject("5.1", "A member event needs a state key and a membership.")
    membership = event.content["membership"]
    check = _CHECKS.get(membership) if isinstance(membership, str) else None
    if check is None or (membership == "knock" and not state.version.knock):
        reject("5.8", f"The membership {str(membership)[:32]!r} is not known in this room version.")
    check(event, event.state_key, state)


def check_join(event: Event, target: str, state: RoomState) -> None:
    """Rule 5.3."""
    if _is_creators_first_join(event, target, state):
        return  # 5.3.1
    if event.sender != target:
        reject("5.3.2", "Nobody can join for someone else.")
    membership = state.membership(target)
    if membership == "ban":
        reject("5.3.3", f"{target} is banned from the room.")
    rule = state.join_rule()
    if rule == "public":
        return  # 5.3.6
    is_restricted = _is_restricted(rule, state.version)
    if rule != "invite" and not is_restricted and not (rule == "knock" and state.version.knock):
        reject("5.3.7", f"{target} cannot join: the room's join rule is {rule[:32]!r}.")
    if membership in ("join", "invite"):
        return  # 5.3.4, 5.3.5.1
    if not is_restricted:
        reject("5.3.7", f"{target} is not invited to the room.")
    _check_authorising_user(event, state)


def _is_creators_first_join(event: Event, target: str, state: RoomState) -> bool:
    """Rule 5.3.1: the only previous event is the create event and the state key is the creator."""
    return event.prev_event_ids == (state.create.event_id,) and target == room_creator(state.create, state.version)


def _is_restricted(rule: str, version: RoomVersion) -> bool:
    """Whether rule 5.3.5 applies."""
    return (rule == "restricted" and version.restricted_joins) or (
        rule == "knock_restricted" and version.knock_restricted
    )


def _check_authorising_user(event: Event, state: RoomState) -> None:
    """Rule 5.3.5.2: who vouches that the joining user meets the room's conditions must be able to invite."""
    authoriser = event.content.get("join_authorised_via_users_server")
    if not isinstance(authoriser, str):
        reject("5.3.5.2", f"{event.sender} is neither invited nor authorised to join this restricted room.")
    if state.membership(authoriser) != "join":
        reject("5.3.5.2", f"{authoriser}, who authorised the join, is not in the room.")
    if state.power_levels.of_user(authoriser) < state.power_levels.invite:
        reject("5.3.5.2", f"{authoriser}, who authorised the join, may not invite.")


def check_invite(event: Event, target: str, state: RoomState) -> None:
    """Rule 5.4."""
    if "third_party_invite" in event.content:
        check_invite_by_third_party(event, target, state)  # 5.4.1
        return
    if state.membership(event.sender) != "join":
        reject("5.4.2", f"{event.sender} is not in the room and cannot invite.")
    membership = state.membership(target)
    if membership in ("join", "ban"):
        how = "is already in" if membership == "join" else "is banned from"
        reject("5.4.3", f"{target} {how} the room.")
    levels = state.power_levels
    if levels.of_user(event.sender) < levels.invite:  # 5.4.4
        reject("5.4.5", f"{event.sender} needs power level {levels.invite} to invite.")


def check_leave(event: Event, target: str, state: RoomState) -> None:
    """Rule 5.5: leaving, rejecting an invite, taking back a knock; and kicking and unbanning others."""
    sender_membership = state.membership(event.sender)
    if event.sender == target:
        if sender_membership not in ("join", "invite", "knock"):
            reject("5.5.1", f"{target} is not in the room.")
        return
    if sender_membership != "join":
        reject("5.5.2", f"{event.sender} is not in the room and cannot remove others.")
    levels = state.power_levels
    sender_level = levels.of_user(event.sender)
    if state.membership(target) == "ban" and sender_level < levels.ban:
        reject("5.5.3", f"{event.sender} needs power level {levels.ban} to lift a ban.")
    if sender_level < levels.kick:  # 5.5.4
        reject("5.5.5", f"{event.sender} needs power level {levels.kick} to remove others.")
    if levels.of_user(target) >= sender_level:  # 5.5.4
        reject("5.5.5", f"{event.sender} cannot remove {target}, who has the same power level or a higher one.")


def check_ban(event: Event, target: str, state: RoomState) -> None:
    """Rule 5.6."""
    if state.membership(event.sender) != "join":
        reject("5.6.1", f"{event.sender} is not in the room and cannot ban.")
    levels = state.power_levels
    sender_level = levels.of_user(event.sender)
    if sender_level < levels.ban:  # 5.6.2
        reject("5.6.3", f"{event.sender} needs power level {levels.ban} to ban.")
    if levels.of_user(target) >= sender_level:  # 5.6.2
        reject("5.6.3", f"{event.sender} cannot ban {target}, who has the same power level or a higher one.")


def check_knock(event: Event, target: str, state: RoomState) -> None:
    """Rule 5.7 (since v7)."""
    rule = state.join_rule()
    if rule != "knock" and not (rule == "knock_restricted" and state.version.knock_restricted):
        reject("5.7.1", "This room does not take knocks.")
    if event.sender != target:
        reject("5.7.2", "Nobody can knock for someone else.")
    membership = state.membership(target)
    if membership in ("ban", "invite", "join"):  # 5.7.3
        reject("5.7.4", f"{target} cannot knock: the membership is {membership!r} already.")


_CHECKS: dict[str, Callable[[Event, str, RoomState], None]] = {
    "join": check_join,
    "invite": check_invite,
    "leave": check_leave,
    "ban": check_ban,
    "knock": check_knock,
}
