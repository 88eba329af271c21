"""Policies that people accept when they register (`m.login.terms`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.services.ui_auth.ui_auth import StageContext
from homeserver.storage.accepted_policies import AcceptedPolicies

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

TERMS: Final = "m.login.terms"


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy in one language."""

    language: str
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A document that has to be accepted."""

    id: str
    version: str
    texts: Sequence[PolicyText]


@dataclass(frozen=True, slots=True)
class Terms:
    """What has to be accepted; nothing where there are no policies. It is a stage, too: it proves which versions were."""

    policies: Sequence[Policy]
    rows: AcceptedPolicies
    clock: Clock
    params: Mapping[str, Any] = field(init=False)
    """What clients are told of the stage."""

    def __post_init__(self) -> None:
        shown = {
            policy.id: {
                "version": policy.version,
                **{text.language: {"name": text.name, "url": text.url} for text in policy.texts},
            }
            for policy in self.policies
        }
        object.__setattr__(self, "params", {"policies": shown})

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        """ "Clients complete the stage by sending it": whoever does has accepted what he was shown."""
        return orjson.dumps({policy.id: policy.version for policy in self.policies}).decode()

    async def note(self, tx: Queries, user_id: str, proof: str) -> None:
        """Who accepted what, from what the stage proved, in the transaction that makes the account."""
        await self.rows.add(tx, user_id, orjson.loads(proof), self.clock.now_ms())
