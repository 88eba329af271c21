"""Pages for what a browser came for: the address of one, and where it has to go first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from homeserver.http.responses import Redirect
from homeserver.http.web.cookies import see_other

if TYPE_CHECKING:
    from homeserver.services.browser_sessions.browser import Browser, Pending
    from homeserver.services.browser_sessions.browser_sessions import BrowserSessions, Continue


def page_at(path: str) -> Continue:
    """How it goes on with a page of ours."""

    async def continue_there(browser: Browser, pending: Pending) -> str:
        return f"{path}?pending={pending.pending_id}"

    return continue_there


async def detour(browsers: BrowserSessions, browser: Browser, pending: Pending, path: str) -> Redirect | None:
    """Where the browser goes before the page at `path` may be shown, or do anything; None: nowhere."""
    there = await browsers.continue_(browser, pending)
    return None if there == f"{path}?pending={pending.pending_id}" else see_other(there)
