"""Who registers accepts the policies of the settings first, and it is written down which version."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from config.errors import ConfigError
from config.settings import PolicySettings, PolicyTextSettings, RegistrationSettings, Settings
from homeserver.composition.policies import build_terms
from homeserver.storage.accepted_policies import AcceptedPolicies
from tests.cast import PASSWORD, Server
from tests.homeserver import server_settings

TERMS = "m.login.terms"
WISH = {"username": "alice", "password": PASSWORD}
PRIVACY = PolicySettings(
    "privacy_policy",
    "1.2",
    (
        PolicyTextSettings("en", "Privacy <policy>", "https://example.org/en/privacy?a&b"),
        PolicyTextSettings("de", "Datenschutz", "https://example.org/de/privacy"),
    ),
)
CONDUCT = PolicySettings("conduct", "3", (PolicyTextSettings("en", "Conduct", "https://example.org/conduct"),))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    registration = RegistrationSettings(
        enabled=True, require_verification=False, guests=True, policies=(PRIVACY, CONDUCT)
    )
    return server_settings(tmp_path, registration=registration)


async def accepted(server: Server, user_id: str) -> dict[str, str]:
    return await AcceptedPolicies().of_user(server.application.base.database, user_id)


async def test_the_policies_are_shown_and_what_is_accepted_is_written_down(server: Server) -> None:
    nobody = server.anonymous()
    asked = await nobody.post("register", WISH, expect=401)
    assert asked["flows"] == [{"stages": [TERMS]}]
    assert asked["params"][TERMS]["policies"] == {
        "privacy_policy": {
            "version": "1.2",
            "en": {"name": "Privacy <policy>", "url": "https://example.org/en/privacy?a&b"},
            "de": {"name": "Datenschutz", "url": "https://example.org/de/privacy"},
        },
        "conduct": {"version": "3", "en": {"name": "Conduct", "url": "https://example.org/conduct"}},
    }
    auth = {"type": TERMS, "session": asked["session"]}
    answer = await nobody.post("register", {**WISH, "auth": auth})
    assert await accepted(server, answer["user_id"]) == {"privacy_policy": "1.2", "conduct": "3"}


async def test_nobody_comes_in_without(server: Server) -> None:
    nobody = server.anonymous()
    asked = await nobody.post("register", {**WISH, "auth": {"type": "m.login.dummy"}}, expect=401)
    assert asked["errcode"] == "M_UNRECOGNIZED"
    await nobody.post("register", {**WISH, "auth": {"session": asked["session"]}}, expect=401)


async def test_nothing_else_asks_for_it(server: Server) -> None:
    """ "only valid on the /register endpoint" """
    nobody = server.anonymous()
    auth = {"type": TERMS}
    answer = await nobody.post("register", {**WISH, "auth": auth})
    alice = await server.anonymous().login("alice", PASSWORD)
    asked = await alice.post("account/deactivate", {"auth": auth}, expect=401)
    assert asked["flows"] == [{"stages": ["m.login.password"]}]
    assert (await alice.get("account/whoami"))["user_id"] == answer["user_id"]
    await server.guest()


async def test_they_are_accepted_in_a_browser(server: Server) -> None:
    nobody = server.anonymous()
    session = (await nobody.post("register", WISH, expect=401))["session"]
    path = f"/_matrix/client/v3/auth/{TERMS}/fallback/web"
    page = await nobody.raw("GET", path, query={"session": session}, check=False)
    assert page.status == 200
    assert b"Privacy &lt;policy&gt;" in page.body
    assert b'href="https://example.org/en/privacy?a&amp;b"' in page.body

    async def submit(**form: str) -> int:
        return (await nobody.raw("POST", path, data=urlencode(form).encode(), check=False)).status

    assert await submit(session=session) == 400
    await nobody.post("register", {**WISH, "auth": {"session": session}}, expect=401)
    assert await submit(session=session, accepted="yes") == 200
    answer = await nobody.post("register", {"auth": {"session": session}})
    assert await accepted(server, answer["user_id"]) == {"privacy_policy": "1.2", "conduct": "3"}


@pytest.mark.parametrize(
    "policies",
    [
        (PRIVACY, PRIVACY),
        (PolicySettings("", "1", CONDUCT.texts),),
        (PolicySettings("two words", "1", CONDUCT.texts),),
        (PolicySettings("empty", "1"),),
        (PolicySettings("nameless", "1", (PolicyTextSettings("en", "", "https://example.org"),)),),
        (PolicySettings("nowhere", "1", (PolicyTextSettings("en", "Name", None),)),),
        (PolicySettings("taken", "1", (PolicyTextSettings("version", "Name", "https://example.org"),)),),
    ],
)
def test_mistakes_in_the_settings_are_told(policies: Any) -> None:
    with pytest.raises(ConfigError, match=r"registration\.policies"):
        build_terms(None, policies)  # type: ignore[arg-type]
