"""The page that opens a call in a browser is served where it was installed, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeserver.composition.call_page import call_page_directory
from homeserver.http.router import resource_of
from homeserver.http.voice.call_page import installed_files
from tests.cast import Server
from tests.clock import FakeClock
from tests.homeserver import running_homeserver, server_settings


def put_page(directory: Path) -> None:
    (directory / "element-call" / "assets").mkdir(parents=True)
    (directory / "index.html").write_text("<h1>Join the call</h1>")
    (directory / "element-call" / "index.html").write_text("<script>window.global = window;</script>")
    (directory / "element-call" / "assets" / "index-abc.js").write_text("call()")
    (directory / "secret-outside").symlink_to("/etc/hostname")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    directory = tmp_path / "call-page"
    directory.mkdir()
    put_page(directory)
    return directory


def test_only_what_is_installed_is_served_and_links_are_not_followed(page: Path) -> None:
    assert set(installed_files(page)) == {"index.html", "element-call/index.html", "element-call/assets/index-abc.js"}


async def test_alice_opens_the_page_of_a_server_that_has_it(
    database_dsn: str, tmp_path: Path, clock: FakeClock
) -> None:
    settings = server_settings(tmp_path)
    directory = call_page_directory(settings)
    directory.mkdir()
    put_page(directory)
    async with running_homeserver(settings, database_dsn, clock) as server:
        async with server.session.get(f"{server.base_url}/_voicechat/call/") as answer:
            assert answer.status == 200
            assert await answer.text() == "<h1>Join the call</h1>"
            assert answer.headers["Content-Type"].startswith("text/html")
            assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"].split("style-src")[0]
        async with server.session.get(f"{server.base_url}/_voicechat/call/element-call/assets/index-abc.js") as answer:
            assert await answer.text() == "call()"
            assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["", "x.js", "..%2f..%2fetc%2fpasswd", "element-call/..%2f..%2findex.html", "a/b/c"])
async def test_without_the_page_everything_is_not_found_and_says_how_to_get_it(server: Server, path: str) -> None:
    async with server.session.get(f"{server.base_url}/_voicechat/call/{path}") as answer:
        assert answer.status == 404
        assert "call-page install" in (await answer.json())["error"]


def test_it_belongs_to_the_listeners_that_serve_voice() -> None:
    assert resource_of("/_voicechat/call/index.html") == "voice"
