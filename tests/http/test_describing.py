"""What anybody may ask before signing in."""

from __future__ import annotations

from tests.cast import Server


async def test_versions_name_every_version_since_1_1(server: Server) -> None:
    answer = await server.anonymous().get("/_matrix/client/versions")
    assert {"v1.1", "v1.19"} <= set(answer["versions"])


async def test_an_unknown_path_is_unrecognised(server: Server) -> None:
    await server.anonymous().get("/_matrix/client/v3/nowhere", expect=(404, "M_UNRECOGNIZED"))


async def test_a_known_path_refuses_other_methods(server: Server) -> None:
    await server.anonymous().delete("/_matrix/client/versions", expect=(405, "M_UNRECOGNIZED"))


async def test_health_asks_the_database(server: Server) -> None:
    assert await server.anonymous().get("/health") == {"status": "ok"}


async def test_capabilities_need_a_token(server: Server) -> None:
    await server.anonymous().get("capabilities", expect=(401, "M_MISSING_TOKEN"))
