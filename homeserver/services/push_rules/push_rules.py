"""Shows and changes a user's push rules ("Push Rules: API")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from homeserver.protocol import errors
from homeserver.protocol.push_rules import NO_CUSTOMISATION, Customisation, PushRule, effective_ruleset
from homeserver.protocol.push_rules.checks import check_actions, check_kind, check_limits, check_rule
from homeserver.protocol.push_rules.customisation import (
    delete_rule,
    find_rule,
    from_json,
    put_rule,
    set_actions,
    set_enabled,
    to_json,
)
from homeserver.services.account_data.stream import AccountDataStream, render_event
from homeserver.services.push_rules.rulesets import Rulesets
from homeserver.storage.account_data import EVERYWHERE
from homeserver.storage.database_errors import OUTCOME_UNKNOWN
from homeserver.storage.push_rules import PushRuleRows

if TYPE_CHECKING:
    from homeserver.storage.database import Queries

PUSH_RULES = "m.push_rules"
MAX_ATTEMPTS = 8

Change = Callable[[Customisation], Customisation]


@dataclass(frozen=True, slots=True)
class RuleBody:
    """A rule as a client sends it, unchecked."""

    actions: list[Any]
    conditions: list[Any] | None = None
    pattern: str | None = None


@dataclass(slots=True)
class PushRules:
    """Verbs over one user's rules. `kind`: override, content, room, sender or underride."""

    queries: Queries
    rows: PushRuleRows
    rulesets: Rulesets
    stream: AccountDataStream
    on_change: list[Callable[[str], None]] = field(default_factory=list)
    """Called with the user whose rules changed, after the commit."""

    async def ruleset(self, user_id: str) -> dict[str, Any]:
        """All rules in effect, by kind, as the API shows them."""
        return _ruleset((await self.rulesets.of_user(user_id)).customisation, user_id)

    async def of_kind(self, user_id: str, kind: str) -> list[dict[str, Any]]:
        """The rules of one kind. Raises InvalidParam."""
        rules: list[dict[str, Any]] = (await self.ruleset(user_id))[check_kind(kind)]
        return rules

    async def event(self, user_id: str) -> bytes:
        """The account data event `m.push_rules`."""
        return render_event(PUSH_RULES, orjson.dumps({"global": await self.ruleset(user_id)}))

    async def changed(self, user_id: str, since: int, to: int) -> bool:
        """Whether the rules changed in `(since, to]` of the stream of account data."""
        return await self.rows.changed(self.queries, user_id, since, to)

    async def rule(self, user_id: str, kind: str, rule_id: str) -> PushRule:
        """One rule as it is in effect. Raises InvalidParam, NotFound."""
        return find_rule((await self.rulesets.of_user(user_id)).customisation, check_kind(kind), rule_id)

    async def put(
        self, user_id: str, kind: str, rule_id: str, body: RuleBody, *, before: str | None, after: str | None
    ) -> None:
        """Add or replace one of the user's own rules. Raises InvalidParam, MissingParam, Unknown."""
        rule = check_rule(kind, rule_id, body.actions, body.conditions, body.pattern)
        await self._change(user_id, lambda before_: put_rule(before_, rule, before=before, after=after))

    async def delete(self, user_id: str, kind: str, rule_id: str) -> None:
        """Delete one of the user's own rules. Raises InvalidParam, NotFound."""
        check_kind(kind)
        await self._change(user_id, lambda before: delete_rule(before, kind, rule_id))

    async def set_enabled(self, user_id: str, kind: str, rule_id: str, enabled: bool) -> None:
        """Enable or disable any rule. Raises InvalidParam, NotFound."""
        check_kind(kind)
        await self._change(user_id, lambda before: set_enabled(before, kind, rule_id, enabled))

    async def set_actions(self, user_id: str, kind: str, rule_id: str, actions: list[Any]) -> None:
        """Change the actions of any rule. Raises InvalidParam, NotFound."""
        check_kind(kind)
        checked = check_actions(actions)
        await self._change(user_id, lambda before: set_actions(before, kind, rule_id, checked))

    async def _change(self, user_id: str, change: Change) -> None:
        for _ in range(MAX_ATTEMPTS):
            stored = await self.rows.get(self.queries, user_id)
            before = from_json(stored[0]) if stored is not None else NO_CUSTOMISATION
            after = change(before)
            check_limits(after)
            try:
                if await self._store(user_id, after, stored[1] if stored is not None else 0):
                    return
            except OUTCOME_UNKNOWN:
                self.rulesets.forget(user_id)
                self._tell(user_id)
                raise
        raise errors.Unavailable("The push rules are being changed from elsewhere, try again")

    async def _store(self, user_id: str, customisation: Customisation, before: int) -> bool:
        async with self.stream.writing() as write:
            stored = await self.rows.store(
                self.queries,
                user_id,
                to_json(customisation),
                customised=bool(customisation),
                position=write.position,
                before=before,
            )
            if stored:
                self.rulesets.changed(user_id, customisation)
                content = orjson.dumps({"global": _ruleset(customisation, user_id)})
                write.done(user_id, EVERYWHERE, PUSH_RULES, content)
        if stored:
            self._tell(user_id)
        return stored

    def forgotten(self, user_id: str) -> None:
        """Follow the end of an account: what it had customised is deleted."""
        self.rulesets.changed(user_id, NO_CUSTOMISATION)
        self._tell(user_id)

    def _tell(self, user_id: str) -> None:
        for listener in self.on_change:
            listener(user_id)


def _ruleset(customisation: Customisation, user_id: str) -> dict[str, Any]:
    return effective_ruleset(customisation).to_client(user_id)
