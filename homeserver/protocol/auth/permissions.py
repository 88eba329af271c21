"""May they? Questions services ask before they build an event, or to answer clients; same levels, no event needed.

All take the room's `PowerLevels`; membership is the caller's knowledge and not asked here.
"""

from __future__ import annotations

from homeserver.protocol.auth.power_levels import Level, PowerLevels


def user_level(levels: PowerLevels, user_id: str) -> Level:
    """The user's power level; `math.inf` for a creator since v12."""
    return levels.of_user(user_id)


def notification_level(levels: PowerLevels, key: str = "room") -> Level:
    """The level needed to notify everybody with `@room`, or another kind of notification."""
    return levels.to_notify(key)


def may_send(levels: PowerLevels, user_id: str, event_type: str, *, is_state: bool = False) -> bool:
    """Rule 8: whether the user reaches the event type's required power level (not for `m.room.member`)."""
    return levels.of_user(user_id) >= levels.to_send(event_type, is_state=is_state)


def may_notify(levels: PowerLevels, user_id: str, key: str = "room") -> bool:
    """Whether the user's `@room` notifies everybody."""
    return levels.of_user(user_id) >= levels.to_notify(key)


def may_invite(levels: PowerLevels, user_id: str) -> bool:
    """Rule 5.4.4; also needed to authorise a restricted join (5.3.5.2)."""
    return levels.of_user(user_id) >= levels.invite


def may_kick(levels: PowerLevels, user_id: str, target: str) -> bool:
    """Rule 5.5.4: the kick level, and more power than the target."""
    level = levels.of_user(user_id)
    return level >= levels.kick and level > levels.of_user(target)


def may_ban(levels: PowerLevels, user_id: str, target: str) -> bool:
    """Rule 5.6.2: the ban level, and more power than the target."""
    level = levels.of_user(user_id)
    return level >= levels.ban and level > levels.of_user(target)


def may_unban(levels: PowerLevels, user_id: str, target: str) -> bool:
    """Rules 5.5.3 and 5.5.4: the ban level and all that kicking needs."""
    return levels.of_user(user_id) >= levels.ban and may_kick(levels, user_id, target)


def may_redact(levels: PowerLevels, user_id: str, event_sender: str) -> bool:
    """Whether a user may redact an event: the level to send redactions, and for others' events the redact level.

    Stricter than "Handling redactions", which lets a whole server redact its users' events: we speak for one user.
    """
    if not may_send(levels, user_id, "m.room.redaction"):
        return False
    return user_id == event_sender or levels.of_user(user_id) >= levels.redact
