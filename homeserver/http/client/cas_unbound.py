"""CAS without a memory of who was sent there: tickets are taken from any browser (settings: `cas.bound_to_browser`).

Other people's test suites bring tickets that nobody asked for. Whoever switches this on lets Mallory sign Alice's browser in
as himself, and have her confirm what a client of hers asks, by a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from homeserver.http.client.cas import TICKET
from homeserver.http.client.sso import REDIRECT, SSO, SsoEndpoints, found
from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import alert, page
from homeserver.http.request import Request
from homeserver.http.responses import Raw, Redirect, Response
from homeserver.http.web.cookies import see_other
from homeserver.http.web.providers import TITLE, problem
from homeserver.http.web.sso_errands import SsoErrandPages
from homeserver.protocol import errors
from homeserver.services.ui_auth.ui_auth import SSO as SSO_STAGE
from homeserver.services.upstream.cas import CasClient
from homeserver.services.upstream.clients import check_redirect_url
from homeserver.services.upstream.sign_in import UI_AUTH


@dataclass(frozen=True, slots=True)
class UnboundCasEndpoints:
    """In the place of `SsoEndpoints` and `CasEndpoints`, where CAS is the only provider."""

    cas: CasClient
    sso: SsoEndpoints
    errands: SsoErrandPages

    @endpoint("GET", REDIRECT, "/_matrix/client/v3/login/cas/redirect", auth=Auth.NONE, limit="web_page")
    async def redirect(self, request: Request[None]) -> Response:
        url = check_redirect_url(request.query.required("redirectUrl"))
        return found(self.cas.login_address({"redirectUrl": url}))

    @endpoint("GET", TICKET, auth=Auth.NONE, limit="login")
    async def come_back(self, request: Request[None]) -> Response:
        try:
            if "session" in request.query:
                return await self._confirm(request, request.query.required("session"))
            url = check_redirect_url(request.query.required("redirectUrl"))
            return await self._arrive(request, SSO, {"redirect_url": url}, {"redirectUrl": url})
        except errors.MatrixError as error:
            return problem(error)

    async def _confirm(self, request: Request[None], session_id: str) -> Raw | Redirect:
        session = await self.sso.ui_auth.peek(session_id)
        if session is None:
            raise errors.NotFound("This confirmation is not asked for (any more).")
        user_id = session.operation.rpartition(" ")[2]
        return await self._arrive(
            request, UI_AUTH, {"session": session_id, "user_id": user_id}, {"session": session_id}
        )

    async def _arrive(
        self, request: Request[None], kind: str, memory: dict[str, Any], query: dict[str, str]
    ) -> Raw | Redirect:
        browsers, cookies = self.sso.browsers, self.sso.cookies
        browser = await browsers.meet(None)
        pending = await browsers.begin(browser, kind, memory, fresh=True)
        proved = await self.cas.validated(request.query.string("ticket", ""), query)
        browser, url = await self.sso.sign_in.came(browser, pending, self.cas.provider, proved, request.remote_address)
        if browser.user_id is None:
            return cookies.keeping(browser, see_other(url))
        if kind == SSO:
            return cookies.keeping(browser, await self.errands.client_page(browser, pending))
        if browser.user_id != memory["user_id"]:
            # The session is burnt: somebody else has confirmed it.
            await self.sso.ui_auth.prove(browsers.database, memory["session"], SSO_STAGE, browser.user_id)
            return page(TITLE, alert(f"You have signed in as {browser.user_id}: this is about {memory['user_id']}"))
        return cookies.keeping(browser, await self.errands.confirmed(browser, pending))
