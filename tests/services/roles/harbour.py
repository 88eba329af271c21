"""A community: Alice's harbour, with channels that belong to it."""

from __future__ import annotations

from typing import Any

from tests.cast import Client, Server

SEE = ["see", "read_history"]
CREW: dict[str, Any] = {
    "id": "crew",
    "name": "Crew",
    "permissions": ["send", "kick", "mention_everyone"],
    "color": "#1f8b4c",
}
KEEPER: dict[str, Any] = {
    "id": "keeper",
    "name": "Keeper",
    "permissions": [*CREW["permissions"], "ban", "manage_roles"],
}
CLOSED = {"everyone": {"deny": ["see"]}, "crew": {"allow": SEE}}


def roles_path(space_id: str, *more: str) -> list[str]:
    return ["", "_voicechat", "client", "v1", "spaces", space_id, "roles", *more]


async def space_of(alice: Client, **more: Any) -> str:
    return await alice.create_room(
        preset="public_chat", creation_content={"type": "m.space"}, power_level_content_override={"invite": 0}, **more
    )  # fmt: skip


async def channel(alice: Client, space_id: str, **more: Any) -> str:
    """A room on which both sides agree."""
    room_id = await alice.create_room(**{"preset": "public_chat", **more})
    await alice.set_state(room_id, "m.space.parent", {"via": ["test"]}, space_id)
    await alice.set_state(space_id, "m.space.child", {"via": ["test"]}, room_id)
    return room_id


async def define(alice: Client, space_id: str, *roles: dict[str, Any], **more: Any) -> None:
    await alice.put(roles_path(space_id), {"roles": list(roles) or [KEEPER, CREW], **more})


async def assign(alice: Client, space_id: str, user: Client, *roles: str, **more: Any) -> Any:
    return await alice.put(roles_path(space_id, "members", user.user_id), {"roles": list(roles)}, **more)


async def override(alice: Client, space_id: str, room_id: str, said: dict[str, Any], **more: Any) -> Any:
    return await alice.put(roles_path(space_id, "overrides", room_id), {"roles": said}, **more)


async def plan(alice: Client, space_id: str, *overwrite: str) -> Any:
    return await alice.post(roles_path(space_id, "plan"), {"overwrite": list(overwrite)})


async def apply(server: Server, alice: Client, space_id: str, *overwrite: str) -> Any:
    """Look, order, wait; what became of it."""
    seen = await plan(alice, space_id, *overwrite)
    ordered = await alice.post(roles_path(space_id, "apply"), {"plan": seen["plan"], "overwrite": list(overwrite)})
    return await outcome(server, alice, space_id, ordered["application"])


async def undo(server: Server, alice: Client, space_id: str, application_id: str) -> Any:
    ordered = await alice.post(roles_path(space_id, "applications", application_id, "undo"))
    return await outcome(server, alice, space_id, ordered["application"])


async def outcome(server: Server, alice: Client, space_id: str, application_id: str) -> Any:
    await server.application.moderation.tasks.settled()
    return await alice.get(roles_path(space_id, "applications", application_id))


async def levels(alice: Client, room_id: str) -> Any:
    return await alice.state(room_id, "m.room.power_levels")
