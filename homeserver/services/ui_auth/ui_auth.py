"""The engine of user-interactive authentication.

A session belongs to one operation of one requester: what was proved for deleting a device proves nothing for a new
password. Sessions that are finished by their first request are never stored.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from homeserver.protocol import errors
from homeserver.storage.ui_auth_sessions import UiAuthSession, UiAuthSessionRows

if TYPE_CHECKING:
    from homeserver.services.clock import Clock
    from homeserver.services.requester import Requester
    from homeserver.storage.database import Queries

Flows = Sequence[Sequence[str]]
Ways = Callable[[str, Flows], Awaitable[Flows]]

PASSWORD: Final = "m.login.password"
SSO = "m.login.sso"
"""Completed in a browser only; proves a user id."""
PASSWORD_FLOWS: Flows = ((PASSWORD,),)

# Long enough for somebody who has to find his password; a browser tab left open overnight starts again.
SESSION_LIFETIME_MS = 60 * 60 * 1000
MAX_SESSION_ID_CHARACTERS = 64
# Of a stage: the client may try once more. Everything else says that the request itself is wrong.
FAILURES = (
    errors.Forbidden,
    errors.Unauthorized,
    errors.UserDeactivated,
    errors.CaptchaInvalid,
    errors.MissingParam,
)


@dataclass(frozen=True, slots=True)
class StageContext:
    """For whom a stage is attempted, and from where."""

    user_id: str | None
    """None before there is an account (registration)."""
    ip: str = ""
    operation: str = ""
    """What is authenticated: a method and a path without parameters."""


class Stage(Protocol):
    """One way to prove something."""

    async def attempt(self, auth: Mapping[str, Any], context: StageContext) -> str:
        """What was proved, as a short text (a user id, a token). Raises MatrixError where it was not."""
        ...


@dataclass(frozen=True, slots=True)
class Proved:
    """A finished authentication."""

    session_id: str | None
    """None where one request was enough."""
    completed: Mapping[str, str]
    """Stage -> what it proved."""
    memory: Mapping[str, Any] = field(default_factory=dict)


SecondStages = Callable[[str], Awaitable[Sequence[str]]]
"""What a user has to prove beside his password."""


@dataclass(frozen=True, slots=True)
class UiAuth:
    """Checks that an operation has been authenticated; see `check`."""

    queries: Queries
    rows: UiAuthSessionRows
    stages: dict[str, Stage]
    """By type; other groups add theirs."""
    clock: Clock
    params: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What clients have to know for a stage, by stage."""
    second_stages: SecondStages | None = None
    ways: list[Ways] = field(default_factory=list)
    """Asked with the user and the flows of an operation of his; each may offer others instead of the password."""

    async def check(
        self,
        auth: Mapping[str, Any] | None,
        requester: Requester | None,
        operation: str,
        flows: Flows = PASSWORD_FLOWS,
        *,
        extra_stages: Collection[str] = (),
        memory: Mapping[str, Any] | None = None,
        ip: str = "",
        keep: bool = False,
    ) -> Proved:
        """Return what was proved once all stages of one flow are completed.

        `auth`: the `auth` object of the request. `operation`: method and path without parameters, "DELETE /devices".
        `extra_stages` may be completed although no flow names them. `memory` is kept with a session made now.
        A finished session ends, unless the caller `keep`s it to answer the same request again.

        Raises UserInteractiveAuthRequired (401) while something is missing or after a stage failed, Forbidden where the
        session belongs to another operation or requester, BadJson where `auth` is malformed.
        """
        auth, flows = auth or {}, await self._flows_for(requester, flows)
        bound_to = f"{operation} {requester.user_id if requester else ''}"
        session, is_stored, failure = await self._find(auth, bound_to, memory or {})
        allowed = {stage for flow in flows for stage in flow} | set(extra_stages)
        if failure is None and _kind(auth) is not None and _kind(auth) not in session.completed:
            context = StageContext(requester.user_id if requester else None, ip, operation)
            failure = await self._attempt(auth, session, flows, allowed, context)
        if failure is None and any(set(flow) <= session.completed.keys() for flow in flows):
            _check_person(session, requester)
            return await self._finish(session, is_stored, keep)
        await self._store(session, is_stored)
        raise self._required(session, flows, failure)

    async def _flows_for(self, requester: Requester | None, flows: Flows) -> Flows:
        if requester is not None:
            for change in self.ways:
                flows = await change(requester.user_id, flows)
        return await self._with_second_stages(flows, requester)

    async def _with_second_stages(self, flows: Flows, requester: Requester | None) -> Flows:
        """Where a password is enough by itself, the user's second factor comes behind it."""
        if self.second_stages is None or requester is None or not any(PASSWORD in flow for flow in flows):
            return flows
        more = await self.second_stages(requester.user_id)
        return [[*flow, *more] if PASSWORD in flow else flow for flow in flows]

    async def _find(
        self, auth: Mapping[str, Any], bound_to: str, memory: Mapping[str, Any]
    ) -> tuple[UiAuthSession, bool, errors.MatrixError | None]:
        """The session the client names, or a new one; whether it is stored; why it is not the one that was named."""
        session_id = auth.get("session")
        if session_id is not None and not isinstance(session_id, str):
            raise errors.BadJson("'auth.session' must be a string")
        session = await self._load(session_id) if session_id else None
        if session is not None:
            if session.operation != bound_to:
                raise errors.Forbidden("This authentication session was started for another request")
            return session, True, None
        fresh = UiAuthSession(secrets.token_urlsafe(18), bound_to, {}, dict(memory))
        expired = errors.Unknown("This authentication session is not known (any more); start again with the new one")
        return fresh, False, expired if session_id else None

    async def _load(self, session_id: str) -> UiAuthSession | None:
        if len(session_id) > MAX_SESSION_ID_CHARACTERS or not session_id.isascii() or "\0" in session_id:
            return None
        return await self.rows.get(self.queries, session_id, self.clock.now_ms())

    async def _attempt(
        self,
        auth: Mapping[str, Any],
        session: UiAuthSession,
        flows: Flows,
        allowed: Collection[str],
        context: StageContext,
    ) -> errors.MatrixError | None:
        kind = _kind(auth)
        stage = self.stages.get(kind) if kind is not None and kind in allowed else None
        if kind is None or stage is None:
            return errors.Unrecognized("This request cannot be authenticated with that type")
        if not _is_next(kind, session.completed, flows):
            return errors.Forbidden("Another stage has to be completed first")
        try:
            session.completed[kind] = await stage.attempt(auth, context)
        except FAILURES as failure:
            return failure
        return None

    async def _finish(self, session: UiAuthSession, is_stored: bool, keep: bool) -> Proved:
        if is_stored and keep:
            await self.rows.complete(self.queries, session.session_id, session.completed)
        elif is_stored and not await self.rows.delete(self.queries, session.session_id):
            raise errors.Forbidden("This authentication session has been used")
        return Proved(session.session_id if is_stored else None, session.completed, session.memory)

    async def _store(self, session: UiAuthSession, is_stored: bool) -> None:
        if is_stored:
            await self.rows.complete(self.queries, session.session_id, session.completed)
        else:
            await self.rows.add(self.queries, session, self.clock.now_ms() + SESSION_LIFETIME_MS)

    def _required(
        self, session: UiAuthSession, flows: Flows, failure: errors.MatrixError | None
    ) -> errors.UserInteractiveAuthRequired:
        named = {stage for flow in flows for stage in flow}
        return errors.UserInteractiveAuthRequired(
            flows=[{"stages": list(flow)} for flow in flows],
            params={stage: dict(params) for stage, params in self.params.items() if stage in named},
            session=session.session_id,
            completed=list(session.completed),
            failure=failure,
        )

    async def peek(self, session_id: str) -> UiAuthSession | None:
        """A stored session, for who has to look into its memory before `check`, and for the fallback pages."""
        return await self._load(session_id)

    async def complete_in_browser(self, session_id: str, kind: str, auth: Mapping[str, Any], ip: str) -> None:
        """A fallback page: complete one stage of a stored session. Raises NotFound, or what the stage raises."""
        session = await self._load(session_id)
        stage = self.stages.get(kind)
        if session is None or stage is None:
            raise errors.NotFound("This authentication session is not known (any more)")
        operation, _, user_id = session.operation.rpartition(" ")
        if user_id:
            # The page asks for nobody's name: it is the requester's own password that counts.
            auth = {**auth, "identifier": {"type": "m.id.user", "user": user_id}}
        proof = await stage.attempt(auth, StageContext(user_id or None, ip, operation))
        await self.rows.complete(self.queries, session_id, {kind: proof})

    async def prove(self, q: Queries, session_id: str, kind: str, proof: str) -> None:
        """A stage was completed elsewhere: a browser came back from a provider."""
        await self.rows.complete(q, session_id, {kind: proof})

    async def remember(self, q: Queries, session_id: str, memory: Mapping[str, Any]) -> None:
        """Replace what is remembered with a session that was kept."""
        await self.rows.remember(q, session_id, memory)

    async def lock_memory(self, tx: Queries, session_id: str) -> dict[str, Any] | None:
        """What is remembered, held until the caller's transaction ends; None where the session is gone."""
        return await self.rows.lock_memory(tx, session_id)

    async def tidy(self) -> None:
        """Housekeeping: remove expired sessions."""
        await self.rows.forget_expired(self.queries, self.clock.now_ms())


def _check_person(session: UiAuthSession, requester: Requester | None) -> None:
    """Whom a provider has seen in a browser is the one who asks."""
    seen = session.completed.get(SSO)
    if seen is not None and (requester is None or seen != requester.user_id):
        raise errors.Forbidden("Somebody else has confirmed this")


def _kind(auth: Mapping[str, Any]) -> str | None:
    kind = auth.get("type")
    if kind is not None and not isinstance(kind, str):
        raise errors.BadJson("'auth.type' must be a string")
    return kind


def _is_next(kind: str, completed: Collection[str], flows: Flows) -> bool:
    """ "The flow's stages must be completed in order." A stage that no flow names may come at any time."""
    containing = [flow for flow in flows if kind in flow]
    return not containing or any(set(flow[: list(flow).index(kind)]) <= set(completed) for flow in containing)
