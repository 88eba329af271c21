"""What a role may let people do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

from homeserver.protocol.errors import InvalidParam


class Permission(StrEnum):
    """Seventeen words. In what order they stand does not matter."""

    SEE = "see"
    READ_HISTORY = "read_history"
    SEND = "send"
    ATTACH = "attach"
    MENTION_EVERYONE = "mention_everyone"
    MANAGE_MESSAGES = "manage_messages"
    MANAGE_CHANNEL = "manage_channel"
    INVITE = "invite"
    KICK = "kick"
    BAN = "ban"
    MANAGE_ROLES = "manage_roles"
    SPEAK = "speak"
    LISTEN = "listen"
    MUTE_OTHERS = "mute_others"
    MOVE = "move"
    SHARE_SCREEN = "share_screen"
    PRIORITY_SPEAKER = "priority_speaker"


Permissions = frozenset[Permission]

ALL: Final[Permissions] = frozenset(Permission)
NONE: Final[Permissions] = frozenset()
OF_ROOMS: Final[Permissions] = ALL - {Permission.MANAGE_ROLES}
"""Those that a channel may give or take. Who manages roles does so in the whole space."""
LEVELLED: Final[Permissions] = ALL - {Permission.SEE, Permission.READ_HISTORY, Permission.MANAGE_ROLES}
"""Those that become power levels. The others are memberships, the history's visibility, and a right in our own API."""
EVERYONE_AT_FIRST: Final[Permissions] = frozenset(
    {
        Permission.SEE,
        Permission.READ_HISTORY,
        Permission.SEND,
        Permission.ATTACH,
        Permission.SPEAK,
        Permission.LISTEN,
        Permission.SHARE_SCREEN,
    }
)
"""What members may do where a space does not say."""


def read_permissions(value: object, where: str, allowed: Permissions = ALL) -> Permissions:
    """A list of words. Raises InvalidParam, naming the place."""
    if not isinstance(value, list):
        raise InvalidParam(f"{where} must be a list of permissions")
    return frozenset(_read(each, where, allowed) for each in value)


def _read(value: Any, where: str, allowed: Permissions) -> Permission:
    if not isinstance(value, str) or value not in ALL:
        raise InvalidParam(f"{where} has something that is no permission")
    if value not in allowed:
        raise InvalidParam(f"{where} cannot have '{value}': it is for the whole space")
    return Permission(value)


def words(permissions: Iterable[Permission]) -> list[str]:
    """As state has them: sorted, so that the same set is the same content."""
    return sorted(each.value for each in permissions)
