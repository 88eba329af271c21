"""Users of any homeserver, by the plain client-server API: no SDK, and no assumption about which server it is."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

WAIT_SECONDS = 30.0
PASSWORD = "correct horse battery staple"
V3 = "/_matrix/client/v3"
Event = dict[str, Any]


class Refused(AssertionError):  # noqa: N818
    """The server answered with another status than 200."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body

    @property
    def errcode(self) -> str:
        return str(self.body.get("errcode")) if isinstance(self.body, dict) else ""


def segment(text: str) -> str:
    return quote(text, safe="")


def rooms_of(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    """Rooms of a sync that are of this kind (join, invite, knock, leave), by id; what is empty may be left out."""
    rooms: dict[str, Any] = answer.get("rooms", {}).get(kind, {})
    return rooms


@dataclass(slots=True)
class Person:
    """One device of one user."""

    session: aiohttp.ClientSession
    base_url: str
    server_name: str
    user_id: str = ""
    device_id: str = ""
    access_token: str = ""
    next_batch: str = ""
    seen: list[tuple[str, Event]] = field(default_factory=list)
    """(room id, event) of all timelines so far, in the order of the syncs."""
    last: dict[str, Any] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # --- Requests ---

    async def request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The decoded answer. Raises Refused."""
        url = self.base_url + (path if path.startswith("/_matrix") else V3 + path)
        headers = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        data = None if body is None else json.dumps(body)
        async with self.session.request(
            method, aiohttp.client.URL(url, encoded=True).update_query(query), data=data, headers=headers
        ) as response:
            raw = await response.read()
            answer = json.loads(raw) if raw and "json" in response.content_type else raw
            if response.status != 200:
                raise Refused(response.status, answer)
            return answer

    async def get(self, path: str, **query: str) -> Any:
        return await self.request("GET", path, **query)

    async def put(self, path: str, body: Any, **query: str) -> Any:
        return await self.request("PUT", path, body, **query)

    async def post(self, path: str, body: Any = None, **query: str) -> Any:
        return await self.request("POST", path, {} if body is None else body, **query)

    # --- Verbs ---

    async def register(self, name: str) -> None:
        body = {"username": f"{name}-{secrets.token_hex(4)}", "password": PASSWORD}
        self._enter(await self.post("/register", {**body, "auth": {"type": "m.login.dummy"}}))

    async def log_in(self, user_id: str) -> None:
        """A new device of somebody who has registered."""
        identifier = {"type": "m.id.user", "user": user_id}
        body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
        self._enter(await self.post("/login", body))

    def _enter(self, answer: dict[str, Any]) -> None:
        self.user_id, self.device_id = answer["user_id"], answer["device_id"]
        self.access_token = answer["access_token"]

    async def create_room(self, version: str, **body: Any) -> str:
        body = {"preset": "public_chat", "room_version": version, **body}
        return str((await self.post("/createRoom", body))["room_id"])

    async def join(self, room: str, via: str = "") -> str:
        query = {"server_name": via, "via": via} if via else {}
        return str((await self.post(f"/join/{segment(room)}", {}, **query))["room_id"])

    async def knock(self, room: str, via: str) -> None:
        await self.post(f"/knock/{segment(room)}", {"reason": "let me in"}, server_name=via, via=via)

    async def leave(self, room: str) -> None:
        await self.post(f"/rooms/{segment(room)}/leave")

    async def member(self, room: str, verb: str, user_id: str) -> None:
        """invite, kick, ban or unban."""
        await self.post(f"/rooms/{segment(room)}/{verb}", {"user_id": user_id})

    async def send(self, room: str, content: str | Event, event_type: str = "m.room.message") -> str:
        content = {"msgtype": "m.text", "body": content} if isinstance(content, str) else content
        path = f"/rooms/{segment(room)}/send/{event_type}/{next(self._numbers)}-{secrets.token_hex(4)}"
        return str((await self.put(path, content))["event_id"])

    async def set_state(self, room: str, event_type: str, content: Event, state_key: str = "") -> str:
        path = f"/rooms/{segment(room)}/state/{event_type}/{segment(state_key)}"
        return str((await self.put(path, content))["event_id"])

    async def redact(self, room: str, event_id: str) -> str:
        path = f"/rooms/{segment(room)}/redact/{segment(event_id)}/{secrets.token_hex(4)}"
        return str((await self.put(path, {}))["event_id"])

    async def state(self, room: str) -> dict[tuple[str, str], Event]:
        events = await self.get(f"/rooms/{segment(room)}/state")
        return {(event["type"], event["state_key"]): event for event in events}

    async def event(self, room: str, event_id: str) -> Event:
        found: Event = await self.get(f"/rooms/{segment(room)}/event/{segment(event_id)}")
        return found

    async def upload(self, data: bytes, content_type: str, filename: str) -> str:
        """The mxc URI."""
        headers = {"Authorization": f"Bearer {self.access_token}", "Content-Type": content_type}
        url = f"{self.base_url}/_matrix/media/v3/upload"
        async with self.session.post(url, params={"filename": filename}, data=data, headers=headers) as response:
            assert response.status == 200, await response.text()
            return str((await response.json())["content_uri"])

    async def download(self, uri: str, what: str = "download", **query: str) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of the file, or of its `thumbnail`. Raises Refused."""
        server, _, media_id = uri.removeprefix("mxc://").partition("/")
        path = f"{self.base_url}/_matrix/client/v1/media/{what}/{segment(server)}/{media_id}"
        headers = {"Authorization": f"Bearer {self.access_token}"}
        url = aiohttp.client.URL(path, encoded=True).update_query(query)
        async with self.session.get(url, headers=headers) as response:
            if response.status != 200:
                raise Refused(response.status, await response.json())
            return response.headers, await response.read()

    async def history(self, room: str, pages: int = 30) -> list[Event]:
        """Newest first, as far back as the server goes."""
        events: list[Event] = []
        token = ""
        for _ in range(pages):
            query = {"from": token} if token else {}
            page = await self.get(f"/rooms/{segment(room)}/messages", dir="b", limit="100", **query)
            events += page["chunk"]
            token = page.get("end", "")
            if not token:
                break
        return events

    # --- Waiting ---

    async def sync(self, timeout_ms: int = 0) -> dict[str, Any]:
        """The next sync; what its timelines have is in `seen` afterwards."""
        query = {"timeout": str(timeout_ms)}
        if self.next_batch:
            query["since"] = self.next_batch
        answer: dict[str, Any] = await self.get("/sync", **query)
        self.next_batch = answer["next_batch"]
        for kind in ("join", "leave"):
            for room_id, room in rooms_of(answer, kind).items():
                self.seen += [(room_id, event) for event in room.get("timeline", {}).get("events", [])]
        self.last = answer
        return answer

    async def until(self, found: Callable[[dict[str, Any]], Any], what: str, seconds: float = WAIT_SECONDS) -> Any:
        """Sync until `found` finds something in an answer; returns that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            result = found(await self.sync(1000))
            if result:
                return result
        raise AssertionError(f"{self.user_id} waited {seconds:.0f} s in vain for {what}")

    async def until_event(self, room: str, event_id: str, seconds: float = WAIT_SECONDS) -> Event:
        """Wait until the event was in a timeline (now or in an earlier sync)."""

        def look(_: dict[str, Any]) -> Event | None:
            return next((event for room_id, event in self.seen if event.get("event_id") == event_id), None)

        event: Event = look({}) or await self.until(look, f"{event_id} in {room}", seconds)
        return event

    async def until_invited(self, room: str) -> list[Event]:
        def look(answer: dict[str, Any]) -> list[Event] | None:
            invite = rooms_of(answer, "invite").get(room)
            return None if invite is None else invite["invite_state"]["events"]

        events: list[Event] = await self.until(look, f"an invitation to {room}")
        return events

    async def until_out(self, room: str) -> None:
        """Wait until sync says that the room was left: by a kick, a ban, or an invitation taken back."""
        await self.until(lambda answer: room in rooms_of(answer, "leave"), f"the end of {room}")

    async def until_ephemeral(self, room: str, event_type: str, fits: Callable[[Event], Any]) -> Any:
        def look(answer: dict[str, Any]) -> Any:
            events = rooms_of(answer, "join").get(room, {}).get("ephemeral", {}).get("events", [])
            return any(event["type"] == event_type and fits(event["content"]) for event in events)

        return await self.until(look, f"{event_type} in {room}")

    async def until_state(
        self, room: str, event_type: str, state_key: str, fits: Callable[[Event], Any], seconds: float = WAIT_SECONDS
    ) -> Event:
        """Wait until this state of the room, asked for by itself, fits."""
        deadline = time.monotonic() + seconds
        path = f"/rooms/{segment(room)}/state/{event_type}/{segment(state_key)}"
        content: Event = {}
        while time.monotonic() < deadline:
            try:
                content = await self.get(path)
                if fits(content):
                    return content
            except Refused as refused:
                content = {"refused": refused.body}
            await asyncio.sleep(0.1)
        raise AssertionError(f"{event_type} {state_key} of {room} stayed {content} at {self.server_name}")

    async def until_devices(self, user_id: str, device_ids: set[str], seconds: float = WAIT_SECONDS) -> None:
        """Wait until sync says that the user's devices changed, and exactly these have keys."""
        deadline = time.monotonic() + seconds
        found: set[str] = set()
        while time.monotonic() < deadline:
            changed = (await self.sync(1000)).get("device_lists", {}).get("changed", [])
            if user_id in changed:
                answer = await self.post("/keys/query", {"device_keys": {user_id: []}})
                found = set(answer["device_keys"].get(user_id, {}))
                if found == device_ids:
                    return
        raise AssertionError(f"{user_id} has the devices {found} for {self.server_name}, not {device_ids}")
