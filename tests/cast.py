"""The cast of our stories: Alice, Bob and Mallory as Matrix clients, and the server they talk to.

    async def test_bob_reads_what_alice_wrote(server: Server) -> None:
        alice, bob = await server.register("alice"), await server.register("bob")
        room_id = await alice.create_room(preset="public_chat")
        await bob.join(room_id)
        event_id = await alice.send(room_id, "hello")
        assert event_id in (await bob.sync()).event_ids(room_id)

Every response goes through `tests/spec/validator.py`: a test fails when an answer is not what the specification says,
whatever else it looks at.
"""

from __future__ import annotations

import itertools
import json as jsonlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from tests.spec import validator

CLIENT = "/_matrix/client/v3/"
PASSWORD = "correct horse battery staple"

# A string is sent as it stands (relative: under /_matrix/client/v3/); of a sequence, each part is encoded on its own.
PathLike = str | Sequence[str]
# A status, an errcode, both, or a choice of statuses.
Expected = int | str | tuple[int, str] | set[int]

exercised: set[str] = set()
"""Operations of the spec that were answered with a 2xx in this test run, for tests/spec/test_coverage.py."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return jsonlib.loads(self.body)


class SyncAnswer(dict[str, Any]):
    """The body of /sync with short ways to what tests ask for most."""

    def room(self, room_id: str, kind: str = "join") -> dict[str, Any]:
        """One room's part; empty where the sync says nothing about it."""
        room: dict[str, Any] = self.get("rooms", {}).get(kind, {}).get(room_id, {})
        return room

    def timeline(self, room_id: str, kind: str = "join") -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.room(room_id, kind).get("timeline", {}).get("events", [])
        return events

    def event_ids(self, room_id: str, kind: str = "join") -> list[str]:
        return [event["event_id"] for event in self.timeline(room_id, kind)]

    def ephemeral(self, room_id: str, event_type: str) -> list[dict[str, Any]]:
        """The contents of a room's ephemeral events of one type."""
        events = self.room(room_id).get("ephemeral", {}).get("events", [])
        return [event["content"] for event in events if event["type"] == event_type]

    def account_data(self, event_type: str, room_id: str | None = None) -> Any:
        """The content of one type of account data, `None` where the sync has none."""
        part = self if room_id is None else self.room(room_id)
        found = [event["content"] for event in part.get("account_data", {}).get("events", [])]
        types = [event["type"] for event in part.get("account_data", {}).get("events", [])]
        return found[types.index(event_type)] if event_type in types else None

    def to_device(self, event_type: str | None = None) -> list[dict[str, Any]]:
        events = self.get("to_device", {}).get("events", [])
        return [event for event in events if event_type in (None, event["type"])]


@dataclass(slots=True)
class Client:
    """One device of one user (or nobody yet). Paths without a leading slash are under /_matrix/client/v3/."""

    session: aiohttp.ClientSession
    base_url: str
    user_id: str = ""
    device_id: str = ""
    access_token: str | None = None
    refresh_token: str | None = None
    password: str = PASSWORD
    next_batch: str | None = None
    txn_ids: Any = field(default_factory=lambda: (f"txn{number}" for number in itertools.count(1)))

    # --- Requests ---

    async def get(self, path: PathLike, *, expect: Expected = 200, **query: Any) -> Any:
        """`query` arguments become query parameters; those that are None are left out."""
        return await self.request("GET", path, query=query, expect=expect)

    async def put(self, path: PathLike, json: Any = None, *, expect: Expected = 200, **query: Any) -> Any:
        return await self.request("PUT", path, json={} if json is None else json, query=query, expect=expect)

    async def post(self, path: PathLike, json: Any = None, *, expect: Expected = 200, **query: Any) -> Any:
        return await self.request("POST", path, json={} if json is None else json, query=query, expect=expect)

    async def delete(self, path: PathLike, json: Any = None, *, expect: Expected = 200, **query: Any) -> Any:
        return await self.request("DELETE", path, json=json, query=query, expect=expect)

    async def request(
        self,
        method: str,
        path: PathLike,
        *,
        json: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        expect: Expected = 200,
    ) -> Any:
        """The decoded body, after checks against the specification and against `expect`."""
        data = None if json is None else jsonlib.dumps(json).encode()
        sent = {"Content-Type": "application/json", **(headers or {})} if data is not None else headers
        answer = await self.raw(method, path, data=data, query=query, headers=sent)
        check_expected(f"{method} {path}", answer, expect)
        return answer.json() if answer.body else None

    async def raw(
        self,
        method: str,
        path: PathLike,
        *,
        data: bytes | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        check: bool = True,
        encoded: bool = False,
    ) -> Answer:
        """Any bytes, any answer. Still checked against the specification unless `check` is False.

        `encoded`: the path is a string that goes over the wire as it is, its query included.
        """
        target = str(path) if encoded else encode_path(path) + _encode_query(query)
        url = URL(self.base_url + target, encoded=True)
        sent = dict(headers or {})
        if self.access_token is not None:
            sent.setdefault("Authorization", f"Bearer {self.access_token}")
        async with self.session.request(method, url, data=data, headers=sent, allow_redirects=False) as response:
            answer = Answer(response.status, response.headers, await response.read())
        problems = validator.check(method, url.raw_path, answer.status, answer.headers, answer.body) if check else []
        if problems:
            raise AssertionError(f"{method} {path} answered {answer.status}:\n  " + "\n  ".join(problems))
        operation = validator.find(method, url.raw_path)
        if operation is not None and 200 <= answer.status < 300:
            exercised.add(operation.key)
        return answer

    # --- What people do ---

    async def login(self, user: str | None = None, password: str | None = None, **body: Any) -> Client:
        """Log in once more: a new device of the same user."""
        answer = await self.anonymous().post(
            "login",
            {
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": user or self.user_id},
                "password": password or self.password,
                **body,
            },
        )
        return self._logged_in(answer, password or self.password)

    def password_auth(self, **more: Any) -> dict[str, Any]:
        """The `auth` object with which this user proves who he is; give `session` to go on with one."""
        identifier = {"type": "m.id.user", "user": self.user_id}
        return {"type": "m.login.password", "identifier": identifier, "password": self.password, **more}

    def anonymous(self) -> Client:
        """The same server, without a token."""
        return Client(self.session, self.base_url)

    def _logged_in(self, answer: Mapping[str, Any], password: str) -> Client:
        return Client(
            self.session,
            self.base_url,
            user_id=answer["user_id"],
            device_id=answer["device_id"],
            access_token=answer["access_token"],
            refresh_token=answer.get("refresh_token"),
            password=password,
        )

    async def create_room(self, **body: Any) -> str:
        """Create a room and return its id. Arguments are those of POST /createRoom."""
        room_id: str = (await self.post("createRoom", body))["room_id"]
        return room_id

    async def join(self, room: str, *, expect: Expected = 200) -> Any:
        return await self.post(("join", room), expect=expect)

    async def leave(self, room_id: str, *, expect: Expected = 200) -> Any:
        return await self.post(("rooms", room_id, "leave"), expect=expect)

    async def invite(self, room_id: str, user: Client | str, *, expect: Expected = 200) -> Any:
        return await self.post(("rooms", room_id, "invite"), {"user_id": _user_id(user)}, expect=expect)

    async def kick(self, room_id: str, user: Client | str, *, expect: Expected = 200) -> Any:
        return await self.post(("rooms", room_id, "kick"), {"user_id": _user_id(user)}, expect=expect)

    async def ban(self, room_id: str, user: Client | str, *, expect: Expected = 200) -> Any:
        return await self.post(("rooms", room_id, "ban"), {"user_id": _user_id(user)}, expect=expect)

    async def send(
        self, room_id: str, content: str | Mapping[str, Any], event_type: str = "m.room.message", *, txn_id: str = ""
    ) -> str:
        """Send a text message, or any content, and return the event's id."""
        body = {"msgtype": "m.text", "body": content} if isinstance(content, str) else content
        path = ("rooms", room_id, "send", event_type, txn_id or next(self.txn_ids))
        event_id: str = (await self.put(path, body))["event_id"]
        return event_id

    async def redact(self, room_id: str, event_id: str, reason: str | None = None) -> str:
        body = {} if reason is None else {"reason": reason}
        answer = await self.put(("rooms", room_id, "redact", event_id, next(self.txn_ids)), body)
        redaction_id: str = answer["event_id"]
        return redaction_id

    async def set_state(
        self, room_id: str, event_type: str, content: Any, state_key: str = "", *, expect: Expected = 200
    ) -> Any:
        return await self.put(("rooms", room_id, "state", event_type, state_key), content, expect=expect)

    async def state(self, room_id: str, event_type: str, state_key: str = "", *, expect: Expected = 200) -> Any:
        """The content of one state event."""
        return await self.get(("rooms", room_id, "state", event_type, state_key), expect=expect)

    async def messages(self, room_id: str, **query: Any) -> Any:
        return await self.get(("rooms", room_id, "messages"), **{"dir": "b", **query})

    async def sync(self, *, since: str | None = "", timeout: int = 0, **query: Any) -> SyncAnswer:
        """Sync from where this client was last (`since=None`: from the beginning), and remember the new place."""
        position = self.next_batch if since == "" else since
        filters = query.get("filter")
        if isinstance(filters, Mapping):
            query["filter"] = jsonlib.dumps(filters)
        answer = SyncAnswer(await self.get("sync", since=position, timeout=timeout, **query))
        self.next_batch = answer["next_batch"]
        return answer

    async def sync_until(self, reached: Callable[[SyncAnswer], Any], *, tries: int = 10) -> SyncAnswer:
        """Long-poll until a sync answer satisfies `reached`; fail after `tries`."""
        for _ in range(tries):
            answer = await self.sync(timeout=1000)
            if reached(answer):
                return answer
        raise AssertionError(f"no sync in {tries} was what the test waits for")


@dataclass(slots=True, repr=False)
class Server:
    """A running homeserver. The `server` fixture makes one; `application` is whatever app.py built."""

    session: aiohttp.ClientSession
    base_url: str
    server_name: str = "test"
    application: Any = None
    clock: Any = None
    ports: Sequence[int] = ()
    """Of all listeners, in the order of the settings."""

    def anonymous(self) -> Client:
        """A client without an account."""
        return Client(self.session, self.base_url)

    async def register(self, name: str, *, password: str = PASSWORD, **body: Any) -> Client:
        """Make an account and a device. Further arguments go into the body of POST /register."""
        anonymous = self.anonymous()
        answer = await anonymous.post(
            "register", {"username": name, "password": password, "auth": {"type": "m.login.dummy"}, **body}
        )
        return anonymous._logged_in(answer, password)

    async def administrator(self, name: str = "ada") -> Client:
        """An account that may administer the server, and a device."""
        await self.application.accounts.new_accounts.create_account(name, PASSWORD, admin=True)
        return await self.anonymous().login(name, PASSWORD)

    async def guest(self) -> Client:
        """A guest account."""
        anonymous = self.anonymous()
        return anonymous._logged_in(await anonymous.post("register", {}, kind="guest"), "")


def encode_path(path: PathLike) -> str:
    """The path as it goes over the wire, absolute."""
    if isinstance(path, str):
        encoded = quote(path, safe="/%?&=:@!$'()*+,;~")
    else:
        encoded = "/".join(quote(part, safe="") for part in path)
    return encoded if encoded.startswith("/") else CLIENT + encoded


def _encode_query(query: Mapping[str, Any] | None) -> str:
    pairs = []
    for name, value in (query or {}).items():
        values = value if isinstance(value, (list, tuple)) else [value]
        pairs += [(name, _query_text(each)) for each in values if each is not None]
    return f"?{urlencode(pairs)}" if pairs else ""


def _query_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_expected(what: str, answer: Answer, expect: Expected) -> None:
    errcode = None
    if answer.status >= 400:
        errcode = answer.json().get("errcode")
    match expect:
        case int():
            met = answer.status == expect
        case str():
            met = errcode == expect
        case (status, code):
            met = (answer.status, errcode) == (status, code)
        case _:
            met = answer.status in expect
    if not met:
        raise AssertionError(f"{what} answered {answer.status} instead of {expect}: {answer.body[:1000]!r}")


def _user_id(user: Client | str) -> str:
    return user if isinstance(user, str) else user.user_id
