"""Decides, before an event is written, whom it notifies. Asked by the event writer, once an event.

Readers with the default rules are decided all at once and cost nothing each: the answer is two flags of the event.
One by one are asked only those whom the event names, and those who customised their push rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeserver.protocol.events import Event
from homeserver.protocol.push_rules import DEFAULT_EVALUATOR, Action, Decision, EventFacts, ReaderFacts, RoomFacts
from homeserver.services.push_rules.rulesets import DEFAULT_COMPILED, CompiledRules, RoomKind, Rulesets
from homeserver.services.rooms.append import Notification
from homeserver.services.rooms.live_room import LiveRoom
from homeserver.services.thread_subscriptions.readers import ThreadReaders
from homeserver.services.unread.threads import Threads

Exceptional = tuple[str, Action]
"""A reader and what the event is to him."""


@dataclass(slots=True)
class ReaderNotifications:
    """Implements `NotificationRules` for the local readers of a room."""

    rulesets: Rulesets
    threads: Threads
    thread_readers: ThreadReaders

    async def evaluate(self, room: LiveRoom, event: Event) -> Notification:
        """At most three statements: rules that are not in memory, the thread of an indirect relation, its subscribers."""
        facts = EventFacts(
            event.pdu,
            room_facts(room, event.sender),
            room_id=room.room_id,
            replaced=_replaced(room, event),
            thread=await self.thread_readers.of_event(room, event.type, event.content),
        )
        default = DEFAULT_EVALUATOR.decide(facts)
        plain = default.otherwise
        invited = _invited(room, event)
        exceptional = list(_named(room, default, self.rulesets.customised, invited))
        customised = _customised(room, self.rulesets.customised, invited)
        if customised:
            exceptional += await self._deviating(room, facts, default, customised)
        if not exceptional and not plain.notify:
            return Notification()
        # Also where nobody is exceptional: whoever counts the committed event finds its thread in memory.
        thread = await self.threads.of_event(room, event.type, event.content)
        return Notification(
            plain.notify,
            plain.highlight,
            [(user_id, thread, action.notify, action.highlight) for user_id, action in exceptional],
        )

    async def _deviating(
        self, room: LiveRoom, facts: EventFacts, default: Decision, customised: Collection[str]
    ) -> list[Exceptional]:
        """Customised readers for whom the event's flags are not the truth."""
        verdicts = Verdicts(facts, default, room_kind(room))
        deviating: list[Exceptional] = []
        for user_id, rules in (await self.rulesets.of_users(customised)).items():
            if user_id == facts.sender:
                continue
            verdict = verdicts.of(rules.in_room(room.room_id))
            if verdict.expected_by_all:
                continue
            action = action_for(room, verdict.decision, user_id)
            if (action.notify, action.highlight) != verdict.expected:
                deviating.append((user_id, action))
        return deviating


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one ruleset makes of the event. `expected`: (notify, highlight) as the event's flags say it."""

    decision: Decision
    expected: tuple[bool, bool]

    @property
    def expected_by_all(self) -> bool:
        """Whether there is nothing to ask about single readers, and the flags are right for all."""
        plain = self.decision.otherwise
        return not self.decision.candidates and (plain.notify, plain.highlight) == self.expected


@dataclass(slots=True)
class Verdicts:
    """One verdict for all who have the same rules."""

    facts: EventFacts
    default: Decision
    kind: RoomKind
    _by_rules: dict[CompiledRules, Verdict] = field(default_factory=dict)

    def of(self, rules: CompiledRules) -> Verdict:
        verdict = self._by_rules.get(rules)
        if verdict is None:
            decision = self.default if rules is DEFAULT_COMPILED else rules.evaluator.decide(self.facts)
            plain = self.default.otherwise
            loud = plain.notify and rules.loud(self.kind)
            verdict = self._by_rules[rules] = Verdict(decision, (loud, loud and plain.highlight))
        return verdict


def room_kind(room: LiveRoom) -> RoomKind:
    """What push rules ask about the room as such."""
    return RoomKind(room.room_id, min(len(room.joined), 3), room.state.get("m.room.encryption") is not None)


def room_facts(room: LiveRoom, sender: str) -> RoomFacts:
    """What push rules ask about the room and the sender's place in it."""
    levels = room.power_levels()
    return RoomFacts(len(room.joined), levels.of_user(sender), levels.notifications)


def _replaced(room: LiveRoom, event: Event) -> Mapping[str, Any] | None:
    """The content of the state that the event takes the place of."""
    before = room.state.get(event.type, event.state_key) if event.state_key is not None else None
    return None if before is None else before.content


def _invited(room: LiveRoom, event: Event) -> str | None:
    """The local user whom the event invites: he reads it, though he is no member yet."""
    invited = event.state_key if event.membership == "invite" else None
    return invited if invited is not None and invited.endswith(":" + room.server_name) else None


def _customised(room: LiveRoom, customised: set[str], invited: str | None) -> set[str]:
    readers = room.joined_local & customised
    if invited is not None and invited in customised:
        readers.add(invited)
    return readers


def _named(
    room: LiveRoom, default: Decision, customised: Collection[str], invited: str | None
) -> Iterator[Exceptional]:
    """Readers with the default rules whom the event names, where that makes a difference."""
    named = default.named
    plain = default.otherwise
    for user_id in room.joined_local if named is None else named:
        if user_id in customised or not (user_id in room.joined_local or user_id == invited):
            continue
        if user_id == default.facts.sender:
            continue
        action = action_for(room, default, user_id)
        if (action.notify, action.highlight) != (plain.notify, plain.highlight):
            yield user_id, action


def action_for(room: LiveRoom, decision: Decision, user_id: str) -> Action:
    """Display names are looked up only where a rule asks for them."""
    if not decision.candidates:
        return decision.otherwise
    name = _display_name(room, user_id) if decision.named is None else None
    return decision.for_reader(ReaderFacts(user_id, name))


def _display_name(room: LiveRoom, user_id: str) -> str | None:
    member = room.state.get("m.room.member", user_id)
    name = member.content.get("displayname") if member is not None else None
    return name if isinstance(name, str) else None
