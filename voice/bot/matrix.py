"""As much of a Matrix client as a participant in a call needs: sign in, join, state, messages between devices."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

SYNC_TIMEOUT_MS = 10_000
SERVICE_SECONDS = 10.0
MAX_SERVICE_BYTES = 64 * 1024
_FILTER = (
    '{"room":{"timeline":{"limit":1},"ephemeral":{"not_types":["*"]},"state":{"lazy_load_members":true}},'
    '"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]}}'
)


class Refused(Exception):  # noqa: N818 - read as a sentence
    """The homeserver said no; the message has its errcode and its words."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body.get('errcode', '')} {body.get('error', '')}".strip())
        self.errcode = str(body.get("errcode", ""))


@dataclass(slots=True)
class MatrixClient:
    """One device of one account. Every verb raises Refused, or aiohttp.ClientError where nobody answers."""

    http: aiohttp.ClientSession
    base_url: str
    user_id: str = ""
    device_id: str = ""
    token: str = ""
    next_batch: str = ""

    async def login(self, user: str, password: str) -> None:
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user},
            "password": password,
            "initial_device_display_name": "Voice bot",
        }
        answer = await self.ask("POST", "/_matrix/client/v3/login", body)
        self.user_id, self.device_id, self.token = answer["user_id"], answer["device_id"], answer["access_token"]

    async def logout(self) -> None:
        await self.ask("POST", "/_matrix/client/v3/logout", {})

    async def join(self, room: str) -> str:
        """By id or alias; the id."""
        return str((await self.ask("POST", f"/_matrix/client/v3/join/{quote(room)}", {}))["room_id"])

    async def state(self, room_id: str) -> list[dict[str, Any]]:
        return list(await self.ask("GET", f"/_matrix/client/v3/rooms/{quote(room_id)}/state"))

    async def put_state(
        self, room_id: str, event_type: str, state_key: str, content: dict[str, Any], delay_ms: int | None = None
    ) -> dict[str, Any]:
        """With `delay_ms` (MSC4140) the answer has `delay_id`."""
        path = f"/_matrix/client/v3/rooms/{quote(room_id)}/state/{event_type}/{quote(state_key, safe='')}"
        query = "" if delay_ms is None else f"?org.matrix.msc4140.delay={delay_ms}"
        return dict(await self.ask("PUT", path + query, content))

    async def update_delayed(self, delay_id: str, action: str) -> None:
        """restart, send or cancel (MSC4140)."""
        await self.ask("POST", f"/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}", {})

    async def openid(self) -> dict[str, Any]:
        return dict(await self.ask("POST", f"/_matrix/client/v3/user/{quote(self.user_id)}/openid/request_token", {}))

    async def send_to_device(self, event_type: str, messages: dict[str, dict[str, Any]]) -> None:
        path = f"/_matrix/client/v3/sendToDevice/{event_type}/{secrets.token_hex(8)}"
        await self.ask("PUT", path, {"messages": messages})

    async def sync(self, timeout_ms: int = SYNC_TIMEOUT_MS) -> dict[str, Any]:
        """What is new; waits some seconds where nothing is."""
        query = {"filter": _FILTER, "timeout": str(timeout_ms if self.next_batch else 0)}
        if self.next_batch:
            query["since"] = self.next_batch
        answer = await self.ask("GET", "/_matrix/client/v3/sync", query=query)
        self.next_batch = answer["next_batch"]
        return dict(answer)

    async def ask(self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None) -> Any:
        """One request to the homeserver."""
        url = f"{self.base_url.rstrip('/')}{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.http.request(method, url, json=body, params=query, headers=headers) as answer:
            content = await answer.json(content_type=None)
            if answer.status != 200:
                raise Refused(answer.status, content if isinstance(content, dict) else {})
            return content

    async def ask_service(self, url: str, body: Any) -> dict[str, Any]:
        """Post something to a service that others have named: without our token, and not wherever it sends us.

        Raises ValueError for what is no answer, too.
        """
        timeout = aiohttp.ClientTimeout(total=SERVICE_SECONDS)
        async with self.http.post(url, json=body, allow_redirects=False, timeout=timeout) as answer:
            text = bytearray()
            async for chunk in answer.content.iter_any():
                text += chunk
                if len(text) > MAX_SERVICE_BYTES:
                    raise ValueError("the answer is too large")
            content = json.loads(text) if answer.status == 200 else None
            if not isinstance(content, dict):
                raise Refused(answer.status, {})
            return content
