"""Client-server API, "Push Rules: API"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.protocol import errors
from homeserver.services.push_rules.push_rules import PushRules, RuleBody

ALL = "/_matrix/client/v3/pushrules"
GLOBAL = ALL + "/global"
RULE = GLOBAL + "/{kind}/{rule_id}"
# Another scope than "global" (there once was one for each device), a part missing, or another attribute of a rule.
MALFORMED = (
    GLOBAL,
    GLOBAL + "/{kind}",
    RULE + "/{attribute}",
    ALL + "/{scope}",
    ALL + "/{scope}/{kind}",
    ALL + "/{scope}/{kind}/{rule_id}",
    ALL + "/{scope}/{kind}/{rule_id}/{attribute}",
)


class NewRuleBody(msgspec.Struct):
    actions: list[Any]
    conditions: list[Any] | None = None
    pattern: str | None = None


class EnabledBody(msgspec.Struct):
    enabled: bool


class ActionsBody(msgspec.Struct):
    actions: list[Any]


@dataclass(frozen=True, slots=True)
class PushRuleEndpoints:
    """What one wants to be notified of."""

    rules: PushRules

    @endpoint("GET", ALL + "/")
    async def everything(self, request: Request[None]) -> Response:
        return {"global": await self.rules.ruleset(request.requester.user_id)}

    @endpoint("GET", GLOBAL + "/")
    async def of_scope(self, request: Request[None]) -> Response:
        return await self.rules.ruleset(request.requester.user_id)

    @endpoint("GET", RULE)
    async def rule(self, request: Request[None]) -> Response:
        user_id, path = request.requester.user_id, request.path
        if not path["rule_id"]:
            # Not in the spec any more: with a slash at its end, the path names all rules of the kind.
            return await self.rules.of_kind(user_id, path["kind"])
        return (await self.rules.rule(user_id, path["kind"], path["rule_id"])).to_client(user_id)

    @endpoint("PUT", RULE, body=NewRuleBody, limit="preferences")
    async def put(self, request: Request[NewRuleBody]) -> Response:
        path, body, query = request.path, request.body, request.query
        await self.rules.put(
            request.requester.user_id,
            path["kind"],
            path["rule_id"],
            RuleBody(body.actions, body.conditions, body.pattern),
            before=query.string("before"),
            after=query.string("after"),
        )
        return {}

    @endpoint("DELETE", RULE, limit="preferences")
    async def delete(self, request: Request[None]) -> Response:
        await self.rules.delete(request.requester.user_id, request.path["kind"], request.path["rule_id"])
        return {}

    @endpoint("GET", RULE + "/enabled")
    async def enabled(self, request: Request[None]) -> Response:
        path = request.path
        return {"enabled": (await self.rules.rule(request.requester.user_id, path["kind"], path["rule_id"])).enabled}

    @endpoint("PUT", RULE + "/enabled", body=EnabledBody, limit="preferences")
    async def set_enabled(self, request: Request[EnabledBody]) -> Response:
        path = request.path
        await self.rules.set_enabled(request.requester.user_id, path["kind"], path["rule_id"], request.body.enabled)
        return {}

    @endpoint("GET", RULE + "/actions")
    async def actions(self, request: Request[None]) -> Response:
        path = request.path
        rule = await self.rules.rule(request.requester.user_id, path["kind"], path["rule_id"])
        return {"actions": list(rule.actions)}

    @endpoint("PUT", RULE + "/actions", body=ActionsBody, limit="preferences")
    async def set_actions(self, request: Request[ActionsBody]) -> Response:
        path = request.path
        await self.rules.set_actions(request.requester.user_id, path["kind"], path["rule_id"], request.body.actions)
        return {}

    @endpoint("GET", *MALFORMED)
    @endpoint("PUT", *MALFORMED, ALL + "/", limit="preferences")
    @endpoint("DELETE", *MALFORMED, ALL + "/", limit="preferences")
    async def malformed(self, request: Request[None]) -> Response:
        """Other servers tell 400 here and not 404, which would say that there is no such rule."""
        raise errors.MatrixError("M_UNRECOGNIZED", 400, "Push rules are at /pushrules/global/{kind}/{ruleId}")
