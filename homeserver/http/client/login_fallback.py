"""A page that logs in, for clients that know none of the ways. Client-server API, "Login Fallback"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from homeserver.http.endpoint import Auth, endpoint
from homeserver.http.pages import page
from homeserver.http.request import Request
from homeserver.http.responses import Redirect, Response

PATH: Final = "/_matrix/static/client/login"

CONTENT: Final = """<h1>Sign in</h1>
<p role="alert" id="problem" hidden></p>
<form id="password" hidden>
<label>User name or mail address
<input name="user" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="255"></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required maxlength="512"></label>
<button>Sign in</button>
</form>
<p id="sso" hidden><a>Sign in with your organisation's account</a></p>
<p id="done" hidden>You are signed in. You can close this window.</p>
<noscript><p role="alert">This page needs JavaScript.</p></noscript>"""

# Addresses are relative to the page: the server may be reached below a path of its public name.
SCRIPT: Final = """
"use strict";
const query = new URLSearchParams(location.search);
const problem = document.getElementById("problem");
const form = document.getElementById("password");
const sso = document.getElementById("sso");

function tell(text) {
    problem.textContent = text;
    problem.hidden = !text;
}

async function ask(path, body) {
    const options = body ? {method: "POST", body: JSON.stringify(body), headers: {"Content-Type": "application/json"}} : {};
    const answer = await fetch("../../../client/" + path, options);
    const content = await answer.json();
    if (!answer.ok) {
        throw new Error(content.error || "The server answered " + answer.status);
    }
    return content;
}

// "Non-credential parameters valid for the /login endpoint can be provided as query string parameters here."
function withWishes(credentials) {
    for (const name of ["device_id", "initial_device_display_name"]) {
        if (query.has(name)) {
            credentials[name] = query.get(name);
        }
    }
    if (query.has("refresh_token")) {
        credentials.refresh_token = query.get("refresh_token") === "true";
    }
    return credentials;
}

async function signIn(credentials) {
    tell("");
    const response = await ask("v3/login", withWishes(credentials));
    form.hidden = sso.hidden = true;
    document.getElementById("done").hidden = false;
    if (window.matrixLogin && window.matrixLogin.onLogin) {
        window.matrixLogin.onLogin(response);
    }
}

function identifier(user) {
    return user.includes("@", 1)
        ? {type: "m.id.thirdparty", medium: "email", address: user}
        : {type: "m.id.user", user: user};
}

form.addEventListener("submit", (event) => {
    event.preventDefault();
    const user = form.elements.user.value.trim(), password = form.elements.password.value;
    const button = form.querySelector("button");
    button.disabled = true;
    signIn({type: "m.login.password", identifier: identifier(user), password: password})
        .catch((error) => tell(error.message))
        .finally(() => { button.disabled = false; });
});

async function begin() {
    const token = query.get("loginToken");
    if (token) {
        // It works once, and is nobody's business afterwards.
        query.delete("loginToken");
        history.replaceState(null, "", location.pathname + "?" + query);
        return signIn({type: "m.login.token", token: token});
    }
    const flows = (await ask("v3/login")).flows.map((flow) => flow.type);
    form.hidden = !flows.includes("m.login.password");
    sso.hidden = !flows.includes("m.login.sso");
    sso.firstChild.href = "../../../client/v3/login/sso/redirect?redirectUrl=" + encodeURIComponent(location.href);
    if (form.hidden && sso.hidden) {
        tell("This server offers no way to sign in that works in a browser.");
    }
}

begin().catch((error) => tell(error.message));
"""


@dataclass(frozen=True, slots=True)
class LoginFallbackEndpoints:
    """The same page for everybody: what it does, it does through `/login`, with its limits."""

    @endpoint("GET", f"{PATH}/", auth=Auth.NONE)
    async def show(self, request: Request[None]) -> Response:
        return page("VoiceChat: sign in", CONTENT, script=SCRIPT, connects=True)

    @endpoint("GET", PATH, auth=Auth.NONE)
    async def show_without_slash(self, request: Request[None]) -> Response:
        """The page's own addresses need the slash."""
        raw = request.query.raw
        return Redirect(f"login/?{raw}" if raw else "login/", status=308)
