"""Files that nobody needs are deleted; a room's picture with its smaller one is needed."""

from __future__ import annotations

import pytest

from tests.cast import PASSWORD, Client, Server
from tests.http.admin.test_admin_media import V1, statuses, upload


@pytest.fixture
async def ada(server: Server) -> Client:
    await server.application.accounts.new_accounts.create_account("ada", PASSWORD, admin=True)
    return await server.anonymous().login("ada", PASSWORD)


async def test_a_picture_stays_with_its_thumbnail(server: Server, ada: Client) -> None:
    alice = await server.register("alice")
    large, small, other = await upload(alice, b"l" * 100), await upload(alice, b"s" * 10), await upload(alice, b"o")
    # In the event's JSON the smaller one comes first.
    content = {"url": f"mxc://{large}", "info": {"thumbnail_url": f"mxc://{small}"}}
    await alice.set_state(await alice.create_room(), "m.room.avatar", content)
    server.clock.advance(hours=2)
    removed = await ada.post(f"{V1}/media/delete?before_ts={server.clock.now_ms() - 1}")
    assert removed["deleted_media"] == [other.partition("/")[2]]
    assert await statuses(alice, large, small, other) == [200, 200, 404]
