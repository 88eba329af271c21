"""What somebody who registers asks for, and what the server remembers of it between the requests of one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from homeserver.services.sessions.sessions import SessionWish


@dataclass(frozen=True, slots=True)
class RegistrationForm:
    """As the client filled it in; None where it said nothing."""

    username: str | None = None
    password: str | None = None
    guest_access_token: str | None = None
    device_id: str | None = None
    device_name: str | None = None
    can_refresh: bool | None = None
    inhibit_login: bool | None = None

    def session_wish(self, ip: str, user_agent: str) -> SessionWish:
        """The session that is asked for. Raises InvalidParam."""
        return SessionWish(self.device_id, self.device_name, bool(self.can_refresh), ip, user_agent)


@dataclass(frozen=True, slots=True)
class CheckedForm:
    """The same after checks, without its secrets, so that it may be stored; None where nothing was said."""

    user_id: str | None = None
    password_hash: str | None = None
    guest_id: str | None = None
    """The guest who becomes a full account; his token was checked."""
    device_id: str | None = None
    device_name: str | None = None
    can_refresh: bool | None = None
    inhibit_login: bool | None = None
    registered: str | None = None
    """The account that was made: what comes after that is a repetition."""

    @classmethod
    def from_memory(cls, memory: Mapping[str, Any]) -> CheckedForm:
        """Reads what `said` wrote."""
        return cls(**memory)

    def said(self) -> dict[str, Any]:
        """Everything but None."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}

    def session_wish(self, ip: str, user_agent: str) -> SessionWish:
        """The session that was asked for."""
        return SessionWish(self.device_id, self.device_name, bool(self.can_refresh), ip, user_agent)


def merged(earlier: CheckedForm, later: CheckedForm) -> CheckedForm:
    """What was said later counts, else what was said earlier."""
    return CheckedForm(**{**earlier.said(), **later.said()})
