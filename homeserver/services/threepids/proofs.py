"""Proofs that an address is somebody's: sessions that begin with a request of a client and end with what they are for.

A proof is good for one purpose only. Else the mail "you are making an account" to a victim, once confirmed, would let
whoever asked for it reset the victim's password.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.protocol.third_party_ids import is_opaque
from homeserver.services.sessions.tokens import MAX_TOKEN_CHARACTERS, hash_token
from homeserver.storage.threepid_sessions import Link, NewProof, Proof, ThreepidSessionRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries

ADD: Final = "add"
REGISTER: Final = "register"
RESET: Final = "reset"

# After the link was used: time to go back to the client and finish there.
FINISH_MS: Final = 60 * 60_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A client asks for a proof."""

    purpose: str
    medium: str
    address: str
    client_secret: str
    send_attempt: int
    next_link: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """`token` is known at this moment only; None where nothing is to be sent."""

    session_id: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Proofs:
    """Secrets and tokens are kept hashed."""

    queries: Queries
    rows: ThreepidSessionRows
    clock: Clock
    lifetime_ms: int

    async def begin(self, asked: Asked, *, provable: bool = True) -> Begun:
        """A session, or the one that the same client has for the same address.

        An attempt that is no newer than the last one sends nothing. `provable` False: there is a session, but nothing will
        ever complete it.
        """
        token = secrets.token_urlsafe(32)
        now_ms = self.clock.now_ms()
        proof = NewProof(
            session_id=secrets.token_urlsafe(18),
            secret_hash=hash_token(asked.client_secret),
            purpose=asked.purpose,
            medium=asked.medium,
            address=asked.address,
            send_attempt=asked.send_attempt,
            token_hash=hash_token(token) if provable else None,
            next_link=asked.next_link,
            expires_ms=now_ms + self.lifetime_ms,
        )
        begun = await self.rows.begin(self.queries, proof, now_ms)
        if begun is not None:
            return Begun(begun, token)
        # Gone in between only where it expired in this moment: then nothing fits the new id, and the client asks again.
        return Begun(await self.rows.find(self.queries, proof) or proof.session_id, None)

    async def look_at(self, session_id: str, token: str) -> Link:
        """What a link is for. Raises NotFound where it does not work (any more)."""
        link = None
        if _possible(session_id, token):
            link = await self.rows.by_token(self.queries, session_id, hash_token(token), self.clock.now_ms())
        if link is None:
            raise errors.NotFound("This link does not work (any more). Ask for a new mail.")
        return link

    async def confirm(self, session_id: str, token: str) -> Link:
        """The owner of the address has used the link. Raises NotFound as `look_at`."""
        link, now_ms = None, self.clock.now_ms()
        if _possible(session_id, token):
            link = await self.rows.validate(
                self.queries, session_id, hash_token(token), now_ms, now_ms + FINISH_MS
            )  # fmt: skip
        if link is None:
            raise errors.NotFound("This link does not work (any more). Ask for a new mail.")
        return link

    async def confirmed(self, session_id: str, client_secret: str, purpose: str) -> Proof | None:
        """The proof, for the client that asked for it; None until the link was used, and for anybody else."""
        if not is_opaque(session_id) or not is_opaque(client_secret):
            return None
        proof = await self.rows.get(self.queries, session_id, self.clock.now_ms())
        if proof is None or not hmac.compare_digest(proof.secret_hash, hash_token(client_secret)):
            return None
        return proof if proof.purpose == purpose and proof.validated_ms is not None else None

    async def use(self, tx: Queries, session_id: str) -> Proof:
        """End a confirmed session, in the caller's transaction. Raises Forbidden where it was used already."""
        proof = await self.rows.use(tx, session_id, self.clock.now_ms())
        if proof is None:
            raise errors.Forbidden("The confirmation of this address was used already, or has expired")
        return proof

    async def password_changed(self, user_id: str) -> None:
        """No proof from before gives the account a further password: whoever read its owner's mail may have one. A hook of
        services/accounts.
        """
        await self.rows.forget_of_user(self.queries, user_id, RESET)

    async def tidy(self) -> None:
        """Housekeeping: remove expired sessions."""
        await self.rows.forget_expired(self.queries, self.clock.now_ms())


def _possible(session_id: str, token: str) -> bool:
    return is_opaque(session_id) and 0 < len(token) <= MAX_TOKEN_CHARACTERS
