"""Whom a committed event is pushed to, and what for: push rules once more, for those with pushers only.

What the rules said before the event was written is in its flags; sounds and other tweaks are not, and are needed here alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from homeserver.protocol.push_rules import DEFAULT_EVALUATOR, Action, Decision, EventFacts, ReaderFacts, RoomFacts
from homeserver.services.push_rules.rulesets import CompiledRules, Rulesets
from homeserver.services.rooms.unsigned import replaced_content
from homeserver.services.unread.rules import action_for, room_facts

if TYPE_CHECKING:
    from homeserver.services.account_data.ignored import IgnoredUsers
    from homeserver.services.account_data.invite_filters import InviteFilters
    from homeserver.services.push.registry import PusherRegistry
    from homeserver.services.rooms.live_room import LiveRoom
    from homeserver.services.rooms.timeline_event import TimelineEvent
    from homeserver.services.standing.standings import Standings
    from homeserver.services.thread_subscriptions.readers import ThreadReaders


@dataclass(frozen=True, slots=True)
class Targets:
    """Two verbs. A constant number of statements, where rules or ignore lists are not in memory."""

    registry: PusherRegistry
    rulesets: Rulesets
    ignored: IgnoredUsers
    invites: InviteFilters
    standings: Standings
    thread_readers: ThreadReaders

    async def of_event(self, event: TimelineEvent, room: LiveRoom) -> dict[str, Action]:
        """Users with pushers whom the event notifies, and what it is to them."""
        readers = await self._listening(event, self._readers(event, room))
        if not readers:
            return {}
        facts = EventFacts(
            orjson.loads(event.body),
            room_facts(room, event.sender),
            room_id=room.room_id,
            replaced=replaced_content(event) if event.is_state else None,
            thread=await self.thread_readers.of_event(room, event.type, event.content),
        )
        decisions = await self._decisions(facts, readers)
        actions = {user_id: action_for(room, decisions[user_id], user_id) for user_id in readers}
        return {user_id: action for user_id, action in actions.items() if action.notify}

    async def of_invitation(self, event: TimelineEvent) -> dict[str, Action]:
        """The same for an invitation into a room that this server is not in."""
        invited = event.state_key
        if event.membership != "invite" or invited is None or invited not in self.registry.pushed:
            return {}
        readers = await self._listening(event, [invited])
        facts = EventFacts(orjson.loads(event.body), RoomFacts(0), room_id=event.room_id)
        decisions = await self._decisions(facts, readers)
        actions = {user_id: decisions[user_id].for_reader(ReaderFacts(user_id)) for user_id in readers}
        return {user_id: action for user_id, action in actions.items() if action.notify}

    def _readers(self, event: TimelineEvent, room: LiveRoom) -> list[str]:
        pushed = self.registry.pushed
        few, many = (pushed, room.joined_local) if len(pushed) < len(room.joined_local) else (room.joined_local, pushed)
        readers = [user_id for user_id in few if user_id in many and user_id != event.sender]
        invited = event.state_key if event.membership == "invite" else None
        if invited is not None and invited in pushed and invited not in room.joined_local:
            readers.append(invited)
        return readers

    async def _listening(self, event: TimelineEvent, readers: Collection[str]) -> list[str]:
        """Not those who are locked, who ignore the sender, or who do not see this invitation."""
        sender, ignored = event.sender, await self.ignored.of_users(readers)
        deaf = set[str]()
        invited = event.state_key if event.membership == "invite" else None
        if invited is not None and invited in readers:
            deaf = await self.invites.not_seeing(sender, [invited])
        return [
            user_id
            for user_id in readers
            if sender not in ignored[user_id] and user_id not in deaf and not self.standings.is_locked(user_id)
        ]

    async def _decisions(self, facts: EventFacts, readers: Collection[str]) -> Mapping[str, Decision]:
        """What the rules of each reader make of the event; the same rules are asked once."""
        customised = await self.rulesets.of_users(readers)
        default = DEFAULT_EVALUATOR.decide(facts)
        by_rules: dict[CompiledRules, Decision] = {}
        decisions: dict[str, Decision] = dict.fromkeys(readers, default)
        for user_id, rules in customised.items():
            compiled = rules.in_room(facts.room_id)
            if compiled not in by_rules:
                by_rules[compiled] = compiled.evaluator.decide(facts)
            decisions[user_id] = by_rules[compiled]
        return decisions
