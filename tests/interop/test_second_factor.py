"""Alice, whom a real slapd knows, gives her account a second factor in a real browser; matrix-nio signs in with both."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pyotp
import pytest
import pytest_asyncio

from tests.interop import environments
from tests.interop.calls.chromium import Chromium, find_chromium
from tests.interop.target import SERVER_NAME, Target, start_target
from tests.interop.web_forms import SECONDS, Person
from tests.slapd import IS_INSTALLED, PEOPLE, READER, running_slapd

PASSWORD = "through the looking glass"
PAGE = "/_voicechat/account/second-factor"
STAGE = "org.voicechat.totp"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The homeserver, with a directory."""
    if not IS_INSTALLED:
        pytest.skip("no slapd on this machine (Debian: apt install slapd)")
    with running_slapd(tmp_path_factory.mktemp("slapd")) as slapd:
        ldap = {
            "url": f"ldaps://localhost:{slapd.tls_port}", "ca_file": str(slapd.authority.ca_file), "bind_dn": READER,
            "bind_password": "reads everything", "base_dn": PEOPLE, "filter": "(|(uid={user})(mail={user}))",
        }  # fmt: skip
        target = start_target(tmp_path_factory.mktemp("server"), {"ldap": ldap})
        yield target
        target.stop()
        assert target.complaints() == []


@pytest_asyncio.fixture
async def alice(tmp_path: Path) -> AsyncIterator[Person]:
    """In front of a browser."""
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium; or VOICECHAT_TEST_CHROMIUM)")
    browser = await Chromium.start(program, tmp_path / "profile")
    yield Person(browser, "alice", PASSWORD)
    await browser.close()


async def test_alice_sets_it_up_and_signs_in_with_it_everywhere(target: Target, alice: Person, tmp_path: Path) -> None:
    recovery, app = await set_up(target, alice, tmp_path)

    # Another browser of hers: the code of the moment, for the one before it was used above.
    program = find_chromium()
    assert program is not None
    browser = await Chromium.start(program, tmp_path / "other")
    elsewhere = Person(browser, "alice", PASSWORD)
    await browser.open(f"{target.base_url}{PAGE}")
    await elsewhere.sign_in()
    await elsewhere.press("Continue", code="000000")
    await elsewhere.reads("This code is not right")
    await elsewhere.press("Continue", code=app.now())
    await elsewhere.reads("Recovery codes left: 10")
    assert elsewhere.violations() == []
    await browser.close()

    said = await nio(target, *recovery[:4])
    assert said["user_id"] == f"@alice:{SERVER_NAME}"
    assert (said["alone"], said["again"]) == ("LoginError", "LoginError")
    assert said["flows"] == [{"stages": ["m.login.password", STAGE]}]
    assert (said["wrong"], said["done"]) == ("DeleteDevicesAuthResponse", "DeleteDevicesResponse")
    assert said["devices"] == [said["mine"]]


async def set_up(target: Target, alice: Person, tmp_path: Path) -> tuple[list[str], pyotp.TOTP]:
    """Her recovery codes, and her app."""
    browser = alice.browser
    await browser.open(f"{target.base_url}{PAGE}")
    await alice.sign_in()
    await alice.press("Set up")
    await alice.reads("Scan this with your app")
    app = pyotp.TOTP(str(await browser.run("document.querySelector('code').innerText")).replace(" ", ""))
    assert app.secret in str(await browser.run("document.querySelector('a').href"))
    # The picture is there, and large enough for a camera.
    assert int(await browser.run("document.querySelector('svg').getBoundingClientRect().width")) > 150
    await browser.screenshot(tmp_path / "second-factor.png")
    await alice.press("Turn on", code=app.at(int(time.time()) - 30))
    await alice.reads("Your recovery codes")
    listed = await browser.run(
        "JSON.stringify([...document.querySelectorAll('li code')].map((each) => each.innerText))"
    )
    recovery = list(json.loads(listed))
    assert len(recovery) == 10
    assert alice.violations() == []
    return recovery, app


async def nio(target: Target, *codes: str) -> dict[str, object]:
    """What the client says happened."""
    try:
        python = environments.nio_command()[0]
    except environments.Unavailable as error:
        pytest.skip(str(error))
    script = environments.DRIVERS / "nio_second_factor.py"
    process = await asyncio.create_subprocess_exec(
        python, str(script), target.base_url, "alice", PASSWORD, *codes, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    async with asyncio.timeout(2 * SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 0
    said: dict[str, object] = json.loads(output.splitlines()[-1])
    return said
