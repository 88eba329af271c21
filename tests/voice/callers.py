"""What clients do to get into a call, in each generation."""

from __future__ import annotations

from typing import Any

from tests.cast import Client

SERVICE = "/livekit/jwt"
SFU_URL = "ws://localhost:8008/livekit/sfu"
MSC4195 = "/_matrix/client/unstable/io.element.msc4195/rtc/livekit"


async def openid(client: Client) -> dict[str, Any]:
    token: dict[str, Any] = await client.post(("user", client.user_id, "openid", "request_token"))
    return token


async def sfu_get(client: Client, room_id: str, *, expect: Any = 200, **more: Any) -> Any:
    """Element Call in its compatibility mode."""
    body = {"room": room_id, "openid_token": await openid(client), "device_id": client.device_id, **more}
    return await client.anonymous().post(f"{SERVICE}/sfu/get", body, expect=expect)


async def get_token(client: Client, room_id: str, member_id: str = "m1", *, expect: Any = 200, **more: Any) -> Any:
    """Element Call with sticky events."""
    body = {
        "room_id": room_id,
        "slot_id": "m.call#ROOM",
        "openid_token": await openid(client),
        "member": {"id": member_id, "claimed_user_id": client.user_id, "claimed_device_id": client.device_id},
        **more,
    }
    return await client.anonymous().post(f"{SERVICE}/get_token", body, expect=expect)


async def ask_homeserver(client: Client, room_id: str, member_id: str = "m1", *, expect: Any = 200, **more: Any) -> Any:
    """MSC4195 of September 2026."""
    body = {"url": SFU_URL, "room_id": room_id, "slot_id": "m.call#ROOM", "member_id": member_id, **more}
    return await client.post("/_matrix/client/v1/rtc/livekit/get_token", body, expect=expect)
