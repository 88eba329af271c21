"""Questions to application services: for users and rooms that do not exist yet, and about third-party networks.

Application service API, "Querying", "Third-party networks".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from homeserver.protocol import errors
from homeserver.services.appservices.appservice import Appservice
from homeserver.services.appservices.client import UNSTABLE_PREFIX, AppserviceClient, bad_status, segment

if TYPE_CHECKING:
    from homeserver.services.appservices.registry import Appservices
    from homeserver.services.clock import Clock
    from homeserver.storage.database import Queries
    from homeserver.storage.users import Users

QUERY_SECONDS: Final = 30.0
LOOK_UP_SECONDS: Final = 10.0
PING_SECONDS: Final = 15.0
PROTOCOLS_KEPT_MS: Final = 5 * 60_000
MAX_FIELDS: Final = 50

log = logging.getLogger(__name__)


@dataclass(slots=True)
class AskAppservices:
    """Who does not answer, or answers nonsense, is passed over; the log says so."""

    appservices: Appservices
    client: AppserviceClient
    queries: Queries
    users: Users
    clock: Clock
    _protocols: dict[tuple[str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """(when it was asked, what it said) by application service and protocol."""

    async def make_alias(self, alias: str) -> bool:
        """Whether one in whose namespace the alias is has made it, for somebody who looks for it."""
        return await self._first_that_makes(self.appservices.of_alias(alias), "rooms", alias)

    async def make_users(self, user_ids: Collection[str]) -> None:
        """The same for users of this server, all at once; nobody is asked for users who exist. At most one statement."""
        concerned = {user_id: found for user_id in user_ids if (found := self.appservices.of_user(user_id))}
        if concerned:
            known = await self.users.known_among(self.queries, concerned)
            unknown = {user_id: found for user_id, found in concerned.items() if user_id not in known}
            await asyncio.gather(*(self._first_that_makes(found, "users", each) for each, found in unknown.items()))

    async def _first_that_makes(self, concerned: Iterable[Appservice], kind: str, name: str) -> bool:
        path = f"/{kind}/{segment(name)}"
        for appservice in concerned:
            if appservice.url is None:
                continue
            try:
                reply = await self.client.call(
                    appservice, "GET", path, legacy=path, question=True, timeout_seconds=QUERY_SECONDS
                )
            except errors.MatrixError as error:
                log.info("no answer about %s: %s", kind, error)
                continue
            if reply.is_success:
                return True
        return False

    async def ping(self, appservice: Appservice, transaction_id: str | None) -> int:
        """How long an answer takes, in ms. Raises UrlNotSet, ConnectionFailed, ConnectionTimeout, BadStatus."""
        body = orjson.dumps({} if transaction_id is None else {"transaction_id": transaction_id})
        started = asyncio.get_running_loop().time()
        reply = await self.client.call(appservice, "POST", "/ping", body=body, timeout_seconds=PING_SECONDS)
        if not reply.is_success:
            raise bad_status(appservice, reply)
        return round((asyncio.get_running_loop().time() - started) * 1000)

    # -- third-party networks ---------------------------------------------------------------------------

    async def protocols(self) -> dict[str, Any]:
        """All networks, by name; those of which nobody says anything now are left out."""
        names = list(dict.fromkeys(name for each in self.appservices.all for name in each.protocols))
        found = await asyncio.gather(*map(self._protocol, names))
        return {name: protocol for name, protocol in zip(names, found, strict=True) if protocol is not None}

    async def protocol(self, name: str) -> dict[str, Any]:
        """One network. Raises NotFound."""
        found = await self._protocol(name)
        if found is None:
            raise errors.NotFound("There is no such protocol here")
        return found

    async def _protocol(self, name: str) -> dict[str, Any] | None:
        """What several say of one network is put together: their instances, and for the rest the first."""
        concerned = self.appservices.of_protocol(name)
        answers = await asyncio.gather(*(self._ask_protocol(each, name) for each in concerned))
        said = [(each, answer) for each, answer in zip(concerned, answers, strict=True) if answer is not None]
        if not said:
            return None
        instances = [_instance(each, one) for each, answer in said for one in answer.get("instances", [])]
        return {**said[0][1], "instances": instances}

    async def _ask_protocol(self, appservice: Appservice, name: str) -> dict[str, Any] | None:
        key, now_ms = (appservice.id, name), self.clock.now_ms()
        kept = self._protocols.get(key)
        if kept is not None and now_ms - kept[0] < PROTOCOLS_KEPT_MS:
            return kept[1]
        answer = await self._ask(appservice, f"protocol/{segment(name)}", {})
        if not isinstance(answer, dict) or not _is_list_of_objects(answer.get("instances", [])):
            return None
        self._protocols[key] = (now_ms, answer)
        return answer

    async def look_up(
        self, kind: str, protocol: str | None, fields: Mapping[str, Sequence[str]]
    ) -> list[dict[str, Any]]:
        """`kind` "user" or "location": what all say about one network (`protocol`), or about a user or an alias.

        Raises NotFound for a protocol that nobody has, InvalidParam.
        """
        if len(fields) > MAX_FIELDS:
            raise errors.InvalidParam(f"At most {MAX_FIELDS} fields can be looked for")
        concerned = self.appservices.all if protocol is None else self.appservices.of_protocol(protocol)
        if protocol is not None and not concerned:
            raise errors.NotFound("There is no such protocol here")
        path = kind if protocol is None else f"{kind}/{segment(protocol)}"
        query = {name: list(values) for name, values in fields.items()}
        answers = await asyncio.gather(*(self._ask(each, path, query) for each in concerned))
        needed = "userid" if kind == "user" else "alias"
        return [
            one
            for answer in answers
            if _is_list_of_objects(answer)
            for one in answer
            if isinstance(one.get(needed), str) and isinstance(one.get("fields"), dict)
        ]

    async def _ask(self, appservice: Appservice, path: str, query: Mapping[str, list[str]]) -> Any:
        """The decoded answer; None for anything else than a success."""
        if appservice.url is None or not appservice.protocols:
            return None
        try:
            reply = await self.client.call(
                appservice,
                "GET",
                f"/thirdparty/{path}",
                query=query,
                legacy=f"{UNSTABLE_PREFIX}/thirdparty/{path}",
                question=True,
                timeout_seconds=LOOK_UP_SECONDS,
            )
        except errors.MatrixError as error:
            log.info("no answer about a third-party network: %s", error)
            return None
        return reply.json() if reply.is_success else None

    def memory_usage(self) -> dict[str, int]:
        """Counts for the memory report."""
        return {"protocols": len(self._protocols)}


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _instance(appservice: Appservice, instance: dict[str, Any]) -> dict[str, Any]:
    """An instance with a name for `third_party_instance_id` of the room directory."""
    network_id = instance.get("network_id")
    if not isinstance(network_id, str) or "instance_id" in instance:
        return instance
    return {**instance, "instance_id": f"{appservice.id}|{network_id}"}
