"""The page that logs in. What it does in a browser is in tests/interop/test_login_fallback.py."""

from __future__ import annotations

import base64
import hashlib
import re

from tests.cast import Server

PATH = "/_matrix/static/client/login/"


async def test_the_page_runs_its_own_script_and_nothing_else(server: Server) -> None:
    answer = await server.anonymous().raw("GET", PATH, query={"device_id": "<script>alert(1)</script>"}, check=False)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"alert(1)" not in answer.body
    scripts = re.findall(rb"<script>(.*?)</script>", answer.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0]).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert len(scripts) == 1
    assert f"script-src 'sha256-{digest}';" in policy
    assert "connect-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_without_its_slash_it_is_found_too(server: Server) -> None:
    answer = await server.anonymous().raw("GET", PATH.rstrip("/") + "?device_id=A%20B", check=False, encoded=True)
    assert (answer.status, answer.headers["Location"]) == (308, "login/?device_id=A%20B")
