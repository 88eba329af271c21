"""Alice's new phone and her laptop meet before the phone is signed in: in both shapes."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.cast import Answer, Client, Server

UNSTABLE = "/_matrix/client/unstable"
BY_ETAG = f"{UNSTABLE}/org.matrix.msc4108/rendezvous"
IN_JSON = f"{UNSTABLE}/io.element.msc4388/rendezvous"
NOT_FOUND = (404, "M_NOT_FOUND")


async def text(
    client: Client, method: str, path: str, body: bytes | None = None, status: int = 200, **headers: str
) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent.setdefault("Content-Type", "text/plain")
    answer = await client.raw(method, path, data=body, headers=sent, check=status != 412)
    assert answer.status == status, answer
    return answer


def path_of(answer: Answer) -> str:
    url: str = answer.json()["url"]
    assert url.startswith("http://localhost:8008" + BY_ETAG + "/")
    return url.removeprefix("http://localhost:8008")


async def test_two_devices_talk_with_etags(server: Server) -> None:
    phone, laptop = server.anonymous(), server.anonymous()
    begun = await text(phone, "POST", BY_ETAG, b"", 201)
    path, first = path_of(begun), begun.headers["ETag"]
    expires = parsedate_to_datetime(begun.headers["Expires"]).timestamp()
    assert server.clock.now_ms() < expires * 1000 <= server.clock.now_ms() + 300_000
    assert "ETag" in begun.headers["Access-Control-Expose-Headers"]
    await text(phone, "GET", path, status=304, If_None_Match=first)

    read = await text(laptop, "GET", path)
    assert (read.body, read.headers["Content-Type"], read.headers["ETag"]) == (b"", "text/plain", first)
    second = (await text(laptop, "PUT", path, "grüß dich".encode(), 202, If_Match=first)).headers["ETag"]
    assert second != first
    read = await text(phone, "GET", path, If_None_Match=first)
    assert read.body.decode() == "grüß dich"
    assert read.headers["Cache-Control"] == "no-store"
    assert read.headers["X-Content-Type-Options"] == "nosniff"

    refused = await text(phone, "PUT", path, b"late", 412, If_Match=first)
    assert refused.json()["org.matrix.msc4108.errcode"] == "M_CONCURRENT_WRITE"
    assert refused.headers["ETag"] == second
    await text(phone, "PUT", path, b"reply", 202, If_Match=second)
    await text(phone, "DELETE", path, status=204)
    await text(laptop, "GET", path, status=404)


async def test_two_devices_talk_in_json(server: Server) -> None:
    phone, laptop = server.anonymous(), server.anonymous()
    assert (await phone.get(IN_JSON)) == {"create_available": True}
    begun = await phone.post(IN_JSON, {"data": "hello"})
    path, token = f"{IN_JSON}/{begun['id']}", begun["sequence_token"]
    assert begun["expires_in_ms"] == 300_000
    server.clock.advance(seconds=10)
    assert await laptop.get(path) == {"data": "hello", "sequence_token": token, "expires_in_ms": 290_000}
    answer = await laptop.put(path, {"sequence_token": token, "data": "grüß dich"})
    assert (await phone.get(path))["data"] == "grüß dich"
    late = {"sequence_token": token, "data": "late"}
    await phone.put(path, late, expect=(409, "IO_ELEMENT_MSC4388_CONCURRENT_WRITE"))
    reply = {"sequence_token": answer["sequence_token"], "data": "reply"}
    third = await phone.put(f"{path}/txn1", reply)
    assert await phone.put(f"{path}/txn1", reply) == third
    assert (await laptop.get(path))["sequence_token"] == third["sequence_token"]
    await laptop.delete(path)
    await phone.get(path, expect=NOT_FOUND)


async def test_the_two_shapes_are_one_meeting_room(server: Server) -> None:
    client = server.anonymous()
    begun = await client.post(IN_JSON, {"data": "hello"})
    assert (await text(client, "GET", f"{BY_ETAG}/{begun['id']}")).body == b"hello"


async def test_what_has_ended_is_not_found(server: Server) -> None:
    client = server.anonymous()
    path = path_of(await text(client, "POST", BY_ETAG, b"x", 201))
    begun = await client.post(IN_JSON, {"data": "x"})
    server.clock.advance(minutes=5)
    await text(client, "GET", path, status=404)
    change = {"sequence_token": "1", "data": ""}
    await client.put(f"{IN_JSON}/{begun['id']}", change, expect=NOT_FOUND)
    await client.delete(f"{IN_JSON}/{begun['id']}", expect=NOT_FOUND)
    await client.get(f"{IN_JSON}/made-up", expect=NOT_FOUND)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 4097, {}, 413),
        (b"{}", {"Content-Type": "application/json"}, 400),
        (b"<script>", {"Content-Type": "text/html"}, 400),
    ],
)
async def test_texts_are_plain_and_small(server: Server, body: bytes, headers: Mapping[str, str], status: int) -> None:
    client = server.anonymous()
    await text(client, "POST", BY_ETAG, body, status, **headers)
    begun = await text(client, "POST", BY_ETAG, b"x" * 4096, 201)
    await text(client, "PUT", path_of(begun), body, status, If_Match=begun.headers["ETag"], **headers)


async def test_who_changes_a_text_says_which_one(server: Server) -> None:
    client = server.anonymous()
    path = path_of(await text(client, "POST", BY_ETAG, b"x", 201))
    missing = await text(client, "PUT", path, b"y", 400)
    assert missing.json()["errcode"] == "M_MISSING_PARAM"
    await text(client, "PUT", path, b"y", 412, If_Match="*")
    await text(client, "PUT", path, b"y", 412, If_Match='"made up"')


@pytest.mark.parametrize("body", [{}, {"data": 7}, {"data": None}, {"data": "x" * 4097}, {"data": "ü" * 2049}])
async def test_json_texts_are_small_strings(server: Server, body: dict[str, Any]) -> None:
    client = server.anonymous()
    await client.post(IN_JSON, body, expect={400, 413})
    begun = await client.post(IN_JSON, {"data": ""})
    await client.put(f"{IN_JSON}/{begun['id']}", {"sequence_token": "1", **body}, expect={400, 413})
    assert (await client.get(f"{IN_JSON}/{begun['id']}"))["data"] == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Dest": "document"},
        {"Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Mode": "navigate"},
        {"Sec_Fetch_User": "?1"},
        {"Sec_Fetch_Site": "none"},
    ],
)
async def test_nothing_is_shown_to_people(server: Server, headers: dict[str, str]) -> None:
    client = server.anonymous()
    begun = await client.post(IN_JSON, {"data": "a lie"})
    for path in (f"{IN_JSON}/{begun['id']}", f"{BY_ETAG}/{begun['id']}"):
        await text(client, "GET", path, status=403, **headers)
        await text(client, "GET", path, Sec_Fetch_Dest="empty", Sec_Fetch_Mode="cors", Sec_Fetch_Site="cross-site")


async def test_browsers_may_send_what_it_takes(server: Server) -> None:
    client = server.anonymous()
    answer = await client.raw("OPTIONS", BY_ETAG)
    allowed = answer.headers["Access-Control-Allow-Headers"]
    assert "If-Match" in allowed
    assert "If-None-Match" in allowed
    flags = (await client.get("/_matrix/client/versions"))["unstable_features"]
    assert flags["org.matrix.msc4108"]
    assert flags["io.element.msc4388"]
