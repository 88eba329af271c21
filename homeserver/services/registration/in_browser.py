"""New accounts on our own page, where what is asked for can be asked there; then he is signed in in his browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.protocol import errors
from homeserver.services.browser_sessions.browser import Browser, Pending
from homeserver.services.browser_sessions.browser_sessions import BrowserSessions
from homeserver.services.registration.form import RegistrationForm
from homeserver.services.registration.registration import Registered, Registration
from homeserver.services.registration.terms import TERMS
from homeserver.services.ui_auth.stages import DUMMY, REGISTRATION_TOKEN

ASKED_FOR_HERE = frozenset({DUMMY, REGISTRATION_TOKEN, TERMS})


@dataclass(frozen=True, slots=True)
class RegistrationInBrowser:
    """The same rules as for clients: registration.py."""

    registration: Registration
    browsers: BrowserSessions

    @property
    def stages(self) -> Sequence[str]:
        """What is asked for; empty where nobody can register in a browser (closed, or a captcha or an address is needed)."""
        if not self.registration.rules.enabled:
            return ()
        possible = [flow for flow in self.registration.rules.flows if set(flow) <= ASKED_FOR_HERE]
        return possible[0] if possible else ()

    async def register(
        self, browser: Browser, pending: Pending, username: str, password: str, token: str, address: str
    ) -> tuple[Browser, Pending]:
        """Raises Forbidden, InvalidUsername, UserInUse, Exclusive, WeakPassword, InvalidParam."""
        if not self.stages:
            raise errors.Forbidden("Nobody can make an account here")
        form = RegistrationForm(username=username, password=password, inhibit_login=True)
        user_id = (await self._register(form, token, address)).user_id
        return await self.browsers.signed_in(browser, pending, user_id, ("password",), address)

    async def _register(self, form: RegistrationForm, token: str, address: str) -> Registered:
        """Stage by stage, as a client does."""
        auth = {"token": token}
        for stage in self.stages:
            try:
                return await self.registration.register(form, {**auth, "type": stage}, ip=address)
            except errors.UserInteractiveAuthRequired as required:
                if stage not in required.data.get("completed", ()):
                    raise errors.Forbidden(required.message) from None
                auth["session"] = required.data["session"]
        raise errors.Forbidden("Something is missing: begin again")
