"""Roles as the space's state has them, and the words for it.

| type                        | state key                  | content                                                             |
|-----------------------------|----------------------------|---------------------------------------------------------------------|
| org.voicechat.roles         | ""                         | `roles`: the highest first; `everyone`: what all members may do     |
| org.voicechat.role_override | a room's id                | `roles`: by role, or "everyone": what it may here (`allow`, `deny`) |
| org.voicechat.member_roles  | a user's id without its @  | `roles`: the ids of the roles that somebody holds                   |

A state key that begins with @ belongs to the user whom it names (auth rule 9): nobody else could set it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from homeserver.protocol.errors import InvalidParam
from homeserver.protocol.identifiers import is_room_id, is_user_id
from homeserver.protocol.roles.permissions import (
    EVERYONE_AT_FIRST,
    NONE,
    OF_ROOMS,
    Permissions,
    read_permissions,
    words,
)

ROLES: Final = "org.voicechat.roles"
OVERRIDE: Final = "org.voicechat.role_override"
MEMBER_ROLES: Final = "org.voicechat.member_roles"
ROLE_STATE: Final = (ROLES, OVERRIDE, MEMBER_ROLES)

EVERYONE: Final = "everyone"
"""The role that all members hold; it is the lowest, and nobody is given it."""
MAX_ROLES: Final = 50
MAX_ROLES_OF_MEMBER: Final = 20
MAX_NAME_CHARACTERS: Final = 64
MAX_ICON_CHARACTERS: Final = 255

_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_NOTHING: Mapping[str, Any] = {}
_NO_ROLES: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Role:
    """One role. `color`: `#rrggbb`; `icon`: an emoji or an mxc URI."""

    role_id: str
    name: str
    permissions: Permissions = NONE
    color: str | None = None
    icon: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As the state has it."""
        said = {"id": self.role_id, "name": self.name, "permissions": words(self.permissions)}
        return said | {key: value for key, value in (("color", self.color), ("icon", self.icon)) if value is not None}


@dataclass(frozen=True, slots=True)
class Override:
    """What one role may in one channel, beside or against what it may in the space."""

    allow: Permissions = NONE
    deny: Permissions = NONE

    def as_json(self) -> dict[str, list[str]]:
        """As the state has it."""
        return {"allow": words(self.allow), "deny": words(self.deny)}


Overrides = Mapping[str, Override]
"""Of one channel, by role."""


@dataclass(frozen=True, slots=True)
class RoleSet:
    """All that a space says about roles. `roles`: the highest first, without everyone."""

    roles: tuple[Role, ...] = ()
    everyone: Role = field(default_factory=lambda: Role(EVERYONE, "Member", EVERYONE_AT_FIRST))
    overrides: Mapping[str, Overrides] = field(default_factory=dict)
    """By room."""
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By user: the ids of his roles."""

    def role(self, role_id: str) -> Role | None:
        """The role of this id, everyone's too."""
        return next((each for each in (*self.roles, self.everyone) if each.role_id == role_id), None)

    def role_ids(self) -> frozenset[str]:
        """Of all roles, without everyone."""
        return frozenset(role.role_id for role in self.roles)

    def rank(self, role_id: str) -> int:
        """How high it is: 0 for everyone, and for a role that there is not."""
        found = [len(self.roles) - place for place, role in enumerate(self.roles) if role.role_id == role_id]
        return found[0] if found else 0

    def roles_of(self, user_id: str) -> frozenset[str]:
        """What somebody holds, of the roles that there are."""
        held = self.members.get(user_id)
        return frozenset(role.role_id for role in self.roles if role.role_id in held) if held else _NO_ROLES

    def with_override(self, room_id: str, said: Overrides) -> RoleSet:
        """The same, where a channel says something else; nothing is as if it had never said anything."""
        others = {key: each for key, each in self.overrides.items() if key != room_id}
        return replace(self, overrides=others | ({room_id: said} if said else {}))

    def rank_of(self, user_id: str) -> int:
        """That of his highest role."""
        return max((self.rank(role_id) for role_id in self.roles_of(user_id)), default=0)


def read_roles(content: Mapping[str, Any]) -> tuple[tuple[Role, ...], Role]:
    """The roles, the highest first, and everyone. Raises InvalidParam for what is no order or no role."""
    listed = content.get("roles", [])
    if not isinstance(listed, list) or len(listed) > MAX_ROLES:
        raise InvalidParam(f"'roles' must be a list of at most {MAX_ROLES}")
    roles = tuple(_read_role(each) for each in listed)
    _check_order([role.role_id for role in roles])
    return roles, _read_everyone(content.get(EVERYONE, _NOTHING))


def roles_content(roles: Iterable[Role], everyone: Role) -> dict[str, Any]:
    """The content of `org.voicechat.roles`."""
    said = everyone.as_json()
    del said["id"]
    return {"roles": [role.as_json() for role in roles], EVERYONE: said}


def read_overrides(content: Mapping[str, Any]) -> dict[str, Override]:
    """Of one channel. Raises InvalidParam."""
    by_role = content.get("roles", _NOTHING)
    if not isinstance(by_role, dict) or len(by_role) > MAX_ROLES + 1:
        raise InvalidParam("'roles' must map roles to what they may")
    return {_role_id(role_id): _read_override(role_id, said) for role_id, said in by_role.items()}


def overrides_content(overrides: Overrides) -> dict[str, Any]:
    """The content of `org.voicechat.role_override`; empty where nothing is said."""
    said = {role_id: each.as_json() for role_id, each in sorted(overrides.items()) if each.allow or each.deny}
    return {"roles": said} if said else {}


def read_member_roles(content: Mapping[str, Any]) -> frozenset[str]:
    """Roles of one user. Raises InvalidParam."""
    held = content.get("roles", [])
    if not isinstance(held, list) or len(held) > MAX_ROLES_OF_MEMBER:
        raise InvalidParam(f"'roles' must be a list of at most {MAX_ROLES_OF_MEMBER} roles")
    return frozenset(_role_id(each) for each in held)


def member_roles_content(held: Iterable[str]) -> dict[str, Any]:
    """The content of `org.voicechat.member_roles`; empty where somebody holds none."""
    return {"roles": sorted(held)} if held else {}


def member_key(user_id: str) -> str:
    """The state key of somebody's roles."""
    return user_id.removeprefix("@")


def role_set(
    roles: Mapping[str, Any], overrides: Mapping[str, Mapping[str, Any]], members: Mapping[str, Mapping[str, Any]]
) -> RoleSet:
    """From the contents of the state: by room, and by the key of the member.

    Overrides and memberships that cannot be read say nothing; raises InvalidParam where the roles themselves cannot.
    """
    listed, everyone = read_roles(roles)
    return RoleSet(listed, everyone, _read_all_overrides(overrides), _read_members(members))


def _read_all_overrides(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Overrides]:
    found: dict[str, Overrides] = {}
    for room_id, content in contents.items():
        try:
            said = read_overrides(content)
        except InvalidParam:
            continue
        if said and is_room_id(room_id):
            found[room_id] = said
    return found


def _read_members(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for key, content in contents.items():
        try:
            held = read_member_roles(content)
        except InvalidParam:
            continue
        if held and is_user_id(f"@{key}"):
            found[f"@{key}"] = held
    return found


def _check_order(role_ids: list[str]) -> None:
    """The order is the list's. A role that stands in it twice would be above what it is below."""
    seen = set[str]()
    for role_id in role_ids:
        if role_id in seen:
            raise InvalidParam(f"The order goes in a circle: '{role_id}' is above and below the roles between")
        seen.add(role_id)


def _read_role(value: object) -> Role:
    if not isinstance(value, dict):
        raise InvalidParam("A role must be an object")
    role_id = _role_id(value.get("id"))
    if role_id == EVERYONE:
        raise InvalidParam("'everyone' stands beside the roles, and below all of them")
    return _role(role_id, value, read_permissions(value.get("permissions", []), f"Role '{role_id}'"))


def _read_everyone(value: object) -> Role:
    if not isinstance(value, dict):
        raise InvalidParam("'everyone' must be an object")
    listed = value.get("permissions", words(EVERYONE_AT_FIRST))
    return _role(EVERYONE, {"name": "Member", **value}, read_permissions(listed, "'everyone'", OF_ROOMS))


def _role(role_id: str, value: Mapping[str, Any], permissions: Permissions) -> Role:
    name, color, icon = value.get("name"), value.get("color"), value.get("icon")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME_CHARACTERS:
        raise InvalidParam(f"The name of '{role_id}' must have 1 to {MAX_NAME_CHARACTERS} characters")
    if color is not None and (not isinstance(color, str) or _COLOR.fullmatch(color) is None):
        raise InvalidParam(f"The color of '{role_id}' must look like #1f8b4c")
    if icon is not None and (not isinstance(icon, str) or not 0 < len(icon) <= MAX_ICON_CHARACTERS):
        raise InvalidParam(f"The icon of '{role_id}' must be an emoji or an mxc URI")
    return Role(role_id, name, permissions, color, icon)


def _read_override(role_id: str, value: object) -> Override:
    if not isinstance(value, dict):
        raise InvalidParam("What a role may in a channel must be an object")
    allow = read_permissions(value.get("allow", []), f"'allow' of '{role_id}'", OF_ROOMS)
    deny = read_permissions(value.get("deny", []), f"'deny' of '{role_id}'", OF_ROOMS)
    if allow & deny:
        raise InvalidParam(f"'{role_id}' is allowed and denied the same: {', '.join(words(allow & deny))}")
    return Override(allow, deny)


def _role_id(value: object) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise InvalidParam("The id of a role has 1 to 64 of a-z, 0-9, _, . and -, and begins with a letter or digit")
    return value
