"""Addresses that identity servers know: told by us, and told otherwise later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from homeserver.protocol import errors
from homeserver.protocol.identifiers import parse_server_name
from homeserver.protocol.third_party_ids import MAX_ADDRESS_CHARACTERS, canonical_address, is_opaque
from homeserver.services.identity_servers.asking import AskIdentityServer, IdentityReply, check_token, refusal
from homeserver.services.text_limits import is_storable
from homeserver.storage.threepids import Binding, BindingRows
from homeserver.storage.users import Users

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

MAX_BINDINGS: Final = 100
AT_ONCE: Final = 20
"""Identity servers: each may take its full time."""
MAX_SECONDS_AT_THE_END: Final = 20.0
"""For all bindings of an account that ends: whoever ends it waits, and so do the rooms that it has to leave."""
# It has no such binding, or does not do this for homeservers at all.
NOT_SUPPORTED: Final = frozenset({400, 404, 501})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BindRequest:
    """As the client sent it."""

    id_server: str
    id_access_token: str
    session_id: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class Bindings:
    """Verbs over bindings of one's own addresses."""

    queries: Queries
    rows: BindingRows
    users: Users
    identity: AskIdentityServer
    clock: Clock
    max_seconds_at_the_end: float = MAX_SECONDS_AT_THE_END

    async def bind(self, requester: Requester, request: BindRequest) -> None:
        """Tell an identity server that an address, which it has proved itself, is the requester's.

        Raises InvalidParam, Forbidden where there are too many, what `AskIdentityServer` raises, and the identity server's
        own errors.
        """
        if not is_opaque(request.session_id) or not is_opaque(request.client_secret):
            raise errors.InvalidParam("'sid' and 'client_secret' have 1 to 255 of the characters 0-9 a-z A-Z . = _ -")
        if await self.rows.count(self.queries, requester.user_id) >= MAX_BINDINGS:
            raise errors.Forbidden(f"An account has at most {MAX_BINDINGS} bindings")
        body = {"sid": request.session_id, "client_secret": request.client_secret, "mxid": requester.user_id}
        token = check_token(request.id_access_token)
        reply = await self.identity.ask(request.id_server, "POST", "/3pid/bind", body, token=token)
        if not reply.is_success:
            raise refusal(reply)
        binding = _bound(reply, request.id_server)
        await self.rows.add(self.queries, requester.user_id, binding, self.clock.now_ms())

    async def unbind(self, user_id: str, medium: str, address: str, id_server: str | None) -> bool:
        """Take the binding back, where it was made or at `id_server`. False where nobody knows where that was, or where the
        identity server will not.

        Raises what `AskIdentityServer` raises, and BadGateway where the identity server fails.
        """
        address = canonical_address(medium, address)
        if not is_storable(medium + address, 2 * MAX_ADDRESS_CHARACTERS):
            return False
        if id_server is not None:
            bindings = [Binding(medium, address, id_server)]
        else:
            bindings = await self.rows.of_address(self.queries, user_id, medium, address, MAX_BINDINGS)
        results = [await self._take_back(user_id, binding) for binding in bindings]
        return bool(results) and all(results)

    async def try_unbind(self, user_id: str, medium: str, address: str, id_server: str | None) -> bool:
        """The same for an address that is given up in any case: an identity server that fails stops nothing."""
        try:
            return await self.unbind(user_id, medium, address, id_server)
        except errors.InvalidParam:
            raise
        except errors.MatrixError as error:
            log.info("an address of %s could not be unbound: %s", user_id, error.errcode)
            return False

    async def unbind_all(self, user_id: str, id_server: str | None = None) -> bool:
        """Before the account ends: take all bindings back and forget them. True where none is left.

        `id_server`: where all addresses of the account are bound, whether by us or not. Raises InvalidParam.
        """
        bindings = await self.rows.of_user(self.queries, user_id, MAX_BINDINGS)
        if id_server is not None:
            parse_server_name(id_server)
            held = await self.users.threepids(self.queries, user_id)
            elsewhere = [Binding(each.medium, each.address, id_server) for each in held]
            bindings = list(dict.fromkeys([*bindings, *elsewhere]))
        are_unbound = await self._in_time(user_id, bindings)
        await self.rows.remove_all(self.queries, user_id)
        return are_unbound

    async def account_ended(self, user_id: str, erase: bool) -> None:
        """The account was deactivated, by whomever: what was not taken back yet."""
        await self.unbind_all(user_id)

    async def _in_time(self, user_id: str, bindings: Iterable[Binding]) -> bool:
        try:
            async with asyncio.timeout(self.max_seconds_at_the_end):
                return all(await self._at_all_servers(user_id, bindings))
        except TimeoutError:
            log.info("addresses of %s could not all be unbound: it takes too long", user_id)
            return False

    async def _at_all_servers(self, user_id: str, bindings: Iterable[Binding]) -> list[bool]:
        by_server: dict[str, list[Binding]] = {}
        for binding in bindings:
            by_server.setdefault(binding.id_server, []).append(binding)
        limit = asyncio.Semaphore(AT_ONCE)

        async def at(server: list[Binding]) -> bool:
            async with limit:
                return await self._try_all(user_id, server)

        return await asyncio.gather(*map(at, by_server.values()))

    async def _try_all(self, user_id: str, bindings: Iterable[Binding]) -> bool:
        """At one identity server, which is not asked again where it fails: nobody waits for the rest."""
        try:
            results = [await self._take_back(user_id, binding) for binding in bindings]
        except errors.MatrixError as error:
            log.info("addresses of %s could not be unbound: %s", user_id, error.errcode)
            return False
        return all(results)

    async def _take_back(self, user_id: str, binding: Binding) -> bool:
        body = {"mxid": user_id, "threepid": {"medium": binding.medium, "address": binding.address}}
        reply = await self.identity.ask(binding.id_server, "POST", "/3pid/unbind", body, signed=True)
        if not reply.is_success and reply.status not in NOT_SUPPORTED:
            raise errors.BadGateway(f"The identity server answered {reply.status}")
        await self.rows.remove(self.queries, user_id, binding)
        return reply.is_success


def _bound(reply: IdentityReply, id_server: str) -> Binding:
    medium, address = reply.body.get("medium"), reply.body.get("address")
    if not isinstance(medium, str) or not isinstance(address, str):
        raise errors.BadGateway("The identity server does not say what it has bound")
    if not is_storable(medium + address, 2 * MAX_ADDRESS_CHARACTERS):
        raise errors.BadGateway("The identity server has bound what is no address")
    return Binding(medium, canonical_address(medium, address), id_server)
