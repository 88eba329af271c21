"""Rooms that live at scripted servers: real events with real hashes and signatures, and the answers about them.

    room = ForeignRoom.create("10", creator="@mallory:peer.example")
    hello = room.send("@mallory:peer.example", "hello")             # built on the tip, and added
    left = room.build("@mallory:peer.example", "m.room.message", {"body": "left"}, prev=[hello.event_id])   # only built
    room.add(left)                                                  # a fork: two tips

Nothing is checked: Mallory may build whatever she likes. `foreign_servers.py` puts a room behind a `Peer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from homeserver.protocol.auth import auth_types_for_event
from homeserver.protocol.builder import EventDraft, build_event, build_template, hash_and_sign
from homeserver.protocol.event_format import parse_pdu
from homeserver.protocol.events import Event, StateKey
from homeserver.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from homeserver.protocol.signing import SigningKey
from homeserver.protocol.state_res import resolve
from tests.clock import START_MS
from tests.federation.peers import signing_key

MALLORY = "@mallory:peer.example"
State = dict[StateKey, str]


def server_of(user_id: str) -> str:
    return user_id.partition(":")[2]


@dataclass(slots=True)
class ForeignRoom:
    """`keys`: of the servers whose users take part here. `states`: the state after each event. `tip`: what comes next is
    built on these. `withheld`: events that the server does not give out, however it is asked.
    """

    version: RoomVersion
    room_id: str
    keys: dict[str, SigningKey]
    events: dict[str, Event] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    tip: list[str] = field(default_factory=list)
    withheld: set[str] = field(default_factory=set)
    now_ms: int = START_MS

    # --- Making rooms ---

    @staticmethod
    def create(
        version: str = "10",
        creator: str = MALLORY,
        *,
        key: SigningKey | None = None,
        join_rule: str = "public",
        name: str = "lair",
        now_ms: int = START_MS,
        **create_content: Any,
    ) -> ForeignRoom:
        """Created, joined by its creator, with power levels (100 for the creator before version 12), join rule, visibility."""
        rules, server = ROOM_VERSIONS[version], server_of(creator)
        by_hash = rules.room_id_is_create_event_id
        room = ForeignRoom(
            rules, "" if by_hash else f"!{name}:{server}", {server: key or signing_key(2)}, now_ms=now_ms
        )
        content = {"room_version": version, **create_content}
        if rules.create_needs_creator:
            content["creator"] = creator
        # In version 12 the id comes of the hash: rooms of different names must not be the same room.
        room.set(creator, "m.room.create", {**content, "org.test.name": name} if by_hash else content)
        room.member(creator, "join")
        users = {} if rules.creators_have_infinite_power else {creator: 100}
        room.set(creator, "m.room.power_levels", {"users": users})
        room.set(creator, "m.room.join_rules", {"join_rule": join_rule})
        room.set(creator, "m.room.history_visibility", {"history_visibility": "shared"})
        return room

    @staticmethod
    def mirror(
        version: str, join: dict[str, Any], state: Iterable[dict[str, Any]], auth_chain: Iterable[dict[str, Any]],
        keys: dict[str, SigningKey],
    ) -> ForeignRoom:  # fmt: skip
        """The room of another server, as the answer of /send_join tells it to a server that has just joined."""
        rules = ROOM_VERSIONS[version]
        joined = parse_pdu(join, rules)
        room = ForeignRoom(rules, joined.room_id, keys, now_ms=joined.origin_server_ts)
        before = [parse_pdu(each, rules) for each in state]
        for event in [*(parse_pdu(each, rules) for each in auth_chain), *before]:
            room.events[event.event_id] = event
        held = {each.key: each.event_id for each in before}
        room.events[joined.event_id] = joined
        room.states[joined.event_id] = {**held, joined.key: joined.event_id}
        room.tip = [joined.event_id]
        return room

    # --- Building events ---

    def build(
        self,
        sender: str,
        event_type: str,
        content: dict[str, Any],
        state_key: str | None = None,
        *,
        prev: Sequence[str] | None = None,
        auth: Sequence[str] | None = None,
        depth: int | None = None,
        at_ms: int | None = None,
        room_id: str | None = None,
        redacts: str | None = None,
        key: SigningKey | None = None,
    ) -> Event:
        """An event with valid hash and signature, not added to the room. What is not given is as it should be."""
        prev_ids = list(self.tip if prev is None else prev)
        draft = EventDraft(event_type, sender, content, state_key, redacts)
        is_create_of_v12 = event_type == "m.room.create" and self.version.room_id_is_create_event_id
        self.now_ms += 1
        return build_event(
            draft,
            room_version=self.version,
            room_id=None if is_create_of_v12 else (room_id or self.room_id),
            prev_event_ids=prev_ids,
            auth_event_ids=self.auth_of(draft, prev_ids) if auth is None else auth,
            depth=self._depth_above(prev_ids) if depth is None else depth,
            origin_server_ts=self.now_ms if at_ms is None else at_ms,
            server_name=server_of(sender),
            signing_key=key or self.keys[server_of(sender)],
        )

    def add(self, event: Event) -> Event:
        """Into the graph; it replaces those of the tip that it is built on."""
        before = self.state_before(event.prev_event_ids)
        self.events[event.event_id] = event
        self.states[event.event_id] = before if event.state_key is None else {**before, event.key: event.event_id}
        self.tip = [each for each in self.tip if each not in event.prev_event_ids] + [event.event_id]
        if event.type == "m.room.create" and not self.room_id:
            self.room_id = event.room_id
        return event

    def accept(self, pdu: dict[str, Any]) -> Event:
        """Add an event of another server."""
        return self.add(parse_pdu(pdu, self.version))

    def send(
        self, sender: str, content: str | dict[str, Any], event_type: str = "m.room.message", **more: Any
    ) -> Event:
        """A message on the tip."""
        body = {"msgtype": "m.text", "body": content} if isinstance(content, str) else content
        return self.add(self.build(sender, event_type, body, **more))

    def set(self, sender: str, event_type: str, content: dict[str, Any], state_key: str = "", **more: Any) -> Event:
        """A state event on the tip."""
        return self.add(self.build(sender, event_type, content, state_key, **more))

    def member(
        self, target: str, membership: str, *, sender: str | None = None, content: dict[str, Any] | None = None, **more: Any
    ) -> Event:  # fmt: skip
        """A membership; by the target himself where no sender is given."""
        return self.set(
            sender or target, "m.room.member", {"membership": membership, **(content or {})}, target, **more
        )

    def template(self, user_id: str, membership: str, **content: Any) -> dict[str, Any]:
        """What /make_join, /make_leave and /make_knock give."""
        draft = EventDraft("m.room.member", user_id, {"membership": membership, **content}, user_id)
        return build_template(
            draft,
            room_version=self.version,
            room_id=self.room_id,
            prev_event_ids=self.tip,
            auth_event_ids=self.auth_of(draft, self.tip),
            depth=self._depth_above(self.tip),
            origin_server_ts=self.now_ms,
        )

    def finish(self, template: dict[str, Any], server_name: str) -> Event:
        """Hash and sign a template of somebody else's, as one of the servers here."""
        return hash_and_sign(template, self.version, server_name, self.keys[server_name])

    def auth_of(self, draft: EventDraft, prev: Sequence[str]) -> list[str]:
        """The auth events such an event should have."""
        state = self.state_before(prev)
        keys = auth_types_for_event(draft.type, draft.sender, draft.state_key, draft.content, self.version)
        return [state[key] for key in keys if key in state]

    def _depth_above(self, prev: Sequence[str]) -> int:
        return 1 + max((self.events[each].depth for each in prev if each in self.events), default=0)

    # --- Asking ---

    @property
    def state(self) -> State:
        """The current state, event ids."""
        return self.state_before(self.tip)

    def state_before(self, prev: Sequence[str]) -> State:
        """The state before an event with these prev events; of those that are not here nothing is known."""
        states = [self.states[each] for each in prev if each in self.states]
        return resolve(self.version, states, None, self.events.get) if states else {}

    def state_events(self, prev: Sequence[str] | None = None) -> list[Event]:
        return [self.events[each] for each in self.state_before(self.tip if prev is None else prev).values()]

    def auth_chain(self, events: Iterable[Event]) -> list[Event]:
        """What these are authorised by, all the way; without themselves unless one is among them."""
        found: dict[str, Event] = {}
        left = [each for event in events for each in event.auth_event_ids]
        while left:
            event_id = left.pop()
            if event_id not in found and event_id in self.events:
                found[event_id] = self.events[event_id]
                left += self.events[event_id].auth_event_ids
        return list(found.values())

    def back_from(self, event_ids: Iterable[str], limit: int, until: Iterable[str] = ()) -> list[Event]:
        """Breadth first against time, these included, without those of `until` and what is before them."""
        seen, queue, found = set(until), list(event_ids), []
        while queue and len(found) < limit:
            event_id = queue.pop(0)
            if event_id in self.events and event_id not in seen:
                seen.add(event_id)
                found.append(self.events[event_id])
                queue += self.events[event_id].prev_event_ids
        return found

    def given(self, events: Iterable[Event]) -> list[dict[str, Any]]:
        """PDUs of those that are given out."""
        return [event.pdu for event in events if event.event_id not in self.withheld]
