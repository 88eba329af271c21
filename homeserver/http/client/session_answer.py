"""How a new session is answered by /login and /register."""

from __future__ import annotations

from typing import Any

from homeserver.services.registration.registration import Registered
from homeserver.services.sessions.sessions import OpenedSession


def session_answer(session: OpenedSession) -> dict[str, Any]:
    """The tokens go out here and are known nowhere else."""
    answer: dict[str, Any] = {
        "user_id": session.user_id,
        "access_token": session.access_token,
        "device_id": session.device_id,
        # Deprecated, but still read by clients.
        "home_server": session.user_id.partition(":")[2],
    }
    if session.refresh_token is not None:
        answer |= {"refresh_token": session.refresh_token, "expires_in_ms": session.expires_in_ms}
    return answer


def registered_answer(registered: Registered) -> dict[str, Any]:
    """The same, or the user id alone where no session was wanted."""
    if registered.session is not None:
        return session_answer(registered.session)
    return {"user_id": registered.user_id, "home_server": registered.user_id.partition(":")[2]}
