"""matrix-nio as it is, with an account that has a second factor: signs in three ways, and deletes devices.

Arguments: homeserver, user name, password, then four codes. Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import nio

STAGE = "org.voicechat.totp"


async def main(homeserver: str, username: str, password: str, *codes: str) -> dict[str, Any]:
    """What happened."""
    client = nio.AsyncClient(homeserver, username)
    alone = await client.login(password)
    # Any client can do this: the code behind the password.
    behind = await client.login(f"{password} {codes[0]}", device_name="nio")
    assert isinstance(behind, nio.LoginResponse), behind
    other = nio.AsyncClient(homeserver, username)
    again = await other.login(f"{password} {codes[0]}")
    # A script sends both.
    script = nio.AsyncClient(homeserver, username)
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": username}, "password": password}
    raw = await script.login_raw({**login, "auth": {"type": STAGE, "code": codes[1]}})
    assert isinstance(raw, nio.LoginResponse), raw

    asked = await client.delete_devices([raw.device_id])
    assert isinstance(asked, nio.DeleteDevicesAuthResponse), asked
    mine: dict[str, Any] = {**login, "session": asked.session}
    half = await client.delete_devices([raw.device_id], mine)
    wrong = await client.delete_devices([raw.device_id], {"type": STAGE, "code": codes[1], "session": asked.session})
    done = await client.delete_devices([raw.device_id], {"type": STAGE, "code": codes[2], "session": asked.session})
    known = await client.devices()
    await client.close()
    await script.close()
    await other.close()
    return {
        "alone": type(alone).__name__,
        "again": type(again).__name__,
        "user_id": raw.user_id,
        "flows": asked.flows,
        "half": type(half).__name__,
        "wrong": type(wrong).__name__,
        "done": type(done).__name__,
        "devices": [each.id for each in known.devices],
        "mine": behind.device_id,
    }


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
