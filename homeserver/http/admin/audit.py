"""What administrators did, for administrators. An address of our own: Synapse has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.query import Query
from homeserver.http.request import Request
from homeserver.http.responses import Response
from homeserver.services.audit.audit_log import MAX_PAGE, AuditLog
from homeserver.storage.audit import AuditEntry, AuditFilter

PATH = "/_voicechat/admin/v1/audit"
DEFAULT_PAGE = 100


@dataclass(frozen=True, slots=True)
class AuditEndpoints:
    """Reading only: nothing changes or deletes an entry."""

    audit: AuditLog

    @endpoint("GET", PATH, auth=Auth.ADMIN)
    async def page(self, request: Request[None]) -> Response:
        """Newest first. `?from=` goes on with the `next_token` of the answer before."""
        limit = request.query.integer("limit", DEFAULT_PAGE, minimum=1, maximum=MAX_PAGE)
        entries = await self.audit.page(_wanted(request.query), limit)
        answer: dict[str, Any] = {"entries": [_shown(entry) for entry in entries]}
        if len(entries) == limit:
            answer["next_token"] = str(entries[-1].entry_id)
        return answer


def _wanted(query: Query) -> AuditFilter:
    return AuditFilter(
        who=query.string("who"),
        target=query.string("target"),
        action=query.string("action"),
        since_ms=query.integer("since_ts", minimum=0),
        until_ms=query.integer("until_ts", minimum=0),
        before_id=query.integer("from", minimum=0),
    )


def _shown(entry: AuditEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": entry.entry_id,
        "ts": entry.at_ms,
        "who": entry.who,
        "address": entry.address,
        "action": entry.action,
        "target": entry.target,
        "details": orjson.Fragment(entry.details),
    }
    return shown if entry.appservice_id is None else {**shown, "appservice_id": entry.appservice_id}
