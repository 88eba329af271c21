"""Server-server API, "Transactions"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Response

MAX_BODY_BYTES = 12 * 1024 * 1024
"""50 events and 100 EDUs of 64 KiB are 9.4 MiB; events may be written with spaces and escapes."""


class Intake(Protocol):
    """`federation/incoming/transactions.py`."""

    async def receive(self, origin: str, transaction_id: str, body: bytes) -> bytes:
        """The answer as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class TransactionEndpoints:
    """Bodies are read there: events of old room versions have numbers that others must not have."""

    intake: Intake

    @endpoint(
        "PUT",
        "/_matrix/federation/v1/send/{txn_id}",
        auth=Auth.SERVER,
        body=bytes,
        limit="federation",
        max_body_bytes=MAX_BODY_BYTES,
    )
    async def receive_transaction(self, request: Request[bytes]) -> Response:
        return Raw(await self.intake.receive(request.origin, request.path["txn_id"], request.body))
