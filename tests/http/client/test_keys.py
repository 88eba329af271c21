"""Stories about keys of devices: published, asked for, claimed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cast import Client, Server
from tests.signers import DeviceSigner, bootstrap, device_of, publish, unpadded
from tests.voice.waiting import until

Keys = dict[str, Any]


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    return await server.register("bob")


async def query(client: Client, *others: Client | str) -> dict[str, Any]:
    users = [other if isinstance(other, str) else other.user_id for other in others]
    answer: dict[str, Any] = await client.post("keys/query", {"device_keys": {user: [] for user in users}})
    return answer


async def claim(client: Client, other: Client, algorithm: str = "signed_curve25519") -> dict[str, Any]:
    body = {"one_time_keys": {other.user_id: {other.device_id: algorithm}}}
    answer = await client.post("keys/claim", body)
    keys: dict[str, Any] = answer["one_time_keys"].get(other.user_id, {}).get(other.device_id, {})
    return keys


# --- Identity keys ---


async def test_bob_finds_the_keys_that_alice_published(alice: Client, bob: Client) -> None:
    keys = device_of(alice).device_keys()
    assert await alice.post("keys/upload", {"device_keys": keys}) == {"one_time_key_counts": {"signed_curve25519": 0}}
    found = await query(bob, alice)
    assert found["device_keys"] == {alice.user_id: {alice.device_id: {**keys, "unsigned": {}}}}
    assert found["failures"] == {}


async def test_the_name_of_the_device_is_part_of_what_is_found(alice: Client, bob: Client) -> None:
    await publish(alice)
    await alice.put(("devices", alice.device_id), {"display_name": "Alice's telephone"})
    device = (await query(bob, alice))["device_keys"][alice.user_id][alice.device_id]
    assert device["unsigned"] == {"device_display_name": "Alice's telephone"}


async def test_only_the_devices_that_were_named_are_found(alice: Client, bob: Client) -> None:
    second = await alice.login()
    await publish(alice)
    await publish(second)
    body = {"device_keys": {alice.user_id: [second.device_id, "NOSUCHDEVICE"]}}
    assert set((await bob.post("keys/query", body))["device_keys"][alice.user_id]) == {second.device_id}


async def test_users_without_keys_are_empty_and_strangers_missing(alice: Client, bob: Client) -> None:
    found = await query(alice, bob, "@nobody:test")
    assert found["device_keys"] == {bob.user_id: {}}


async def test_users_of_other_servers_are_a_failure_of_their_server(alice: Client) -> None:
    found = await query(alice, alice, "@carol:elsewhere.example")
    assert list(found["failures"]) == ["elsewhere.example"]
    assert list(found["device_keys"]) == [alice.user_id]


async def test_keys_go_with_the_device(alice: Client, bob: Client) -> None:
    await publish(alice, one_time_keys=3)
    gone = alice.device_id
    await alice.post("logout")
    again = await alice.login(device_id=gone)
    assert (await query(bob, alice))["device_keys"] == {alice.user_id: {}}
    assert await claim(bob, again) == {}


@pytest.mark.parametrize("missing", ["user_id", "device_id", "algorithms", "keys", "signatures"])
async def test_keys_without_a_required_field_are_refused(alice: Client, missing: str) -> None:
    keys = device_of(alice).device_keys()
    del keys[missing]
    await alice.post("keys/upload", {"device_keys": keys}, expect=(400, "M_BAD_JSON"))


@pytest.mark.parametrize(
    "field, value",
    [
        ("algorithms", "m.olm.v1"),
        ("algorithms", [1]),
        ("keys", []),
        ("keys", {"ed25519:X": 5}),
        ("signatures", {"@alice:test": "signature"}),
        ("signatures", {"@alice:test": {"ed25519:X": None}}),
        ("extra", 1.5),
        ("extra", "x" * 70_000),
    ],
)
async def test_keys_of_the_wrong_type_are_refused(alice: Client, field: str, value: Any) -> None:
    keys = {**device_of(alice).device_keys(), field: value}
    await alice.post("keys/upload", {"device_keys": keys}, expect=(400, "M_BAD_JSON"))


async def test_mallory_cannot_publish_keys_for_others(server: Server, alice: Client) -> None:
    mallory = await server.register("mallory")
    await mallory.post("keys/upload", {"device_keys": device_of(alice).device_keys()}, expect=(400, "M_INVALID_PARAM"))
    other_device = DeviceSigner(mallory.user_id, "OTHER").device_keys()
    await mallory.post("keys/upload", {"device_keys": other_device}, expect=(400, "M_INVALID_PARAM"))
    assert (await query(mallory, alice))["device_keys"] == {alice.user_id: {}}


@pytest.mark.parametrize("body", [{}, {"device_keys": []}, {"device_keys": {"@a:test": {}}}, {"device_keys": None}])
async def test_queries_of_the_wrong_form_are_refused(alice: Client, body: Any) -> None:
    await alice.post("keys/query", body, expect=400)


async def test_who_is_no_user_cannot_be_asked_for(alice: Client) -> None:
    await alice.post("keys/query", {"device_keys": {"carol": []}}, expect=(400, "M_INVALID_PARAM"))
    await alice.post("keys/claim", {"one_time_keys": {"carol": {"X": "y"}}}, expect=(400, "M_INVALID_PARAM"))


# --- One-time keys ---


async def test_a_one_time_key_is_given_out_once_and_in_the_order_of_arrival(alice: Client, bob: Client) -> None:
    device = await publish(alice)
    for number in (7, 3, 5):
        counts = await alice.post("keys/upload", {"one_time_keys": device.one_time_keys(1, start=number)})
    assert counts == {"one_time_key_counts": {"signed_curve25519": 3}}
    claimed = [await claim(bob, alice) for _ in range(4)]
    assert claimed == [
        {"signed_curve25519:AAA0007": device.one_time_key(7)},
        {"signed_curve25519:AAA0003": device.one_time_key(3)},
        {"signed_curve25519:AAA0005": device.one_time_key(5)},
        {},
    ]


async def test_many_who_claim_at_once_get_different_keys(server: Server, alice: Client, bob: Client) -> None:
    await publish(alice, one_time_keys=30)
    claimed = await asyncio.gather(*(claim(bob, alice) for _ in range(40)))
    given = [name for keys in claimed for name in keys]
    assert len(given) == len(set(given)) == 30
    assert (await server.application.encryption.key_counts.counts(alice.user_id, alice.device_id)).one_time_keys == {
        "signed_curve25519": 0
    }


async def test_the_fallback_key_is_given_out_when_nothing_else_is_left(
    server: Server, alice: Client, bob: Client
) -> None:
    device = await publish(alice, one_time_keys=1)
    fallback = {"signed_curve25519:FALLBACK": device.one_time_key(900, fallback=True)}
    await alice.post("keys/upload", {"fallback_keys": fallback})
    source = server.application.encryption.key_counts
    assert "signed_curve25519:AAA0000" in await claim(bob, alice)
    assert (await source.counts(alice.user_id, alice.device_id)).unused_fallback_types == ["signed_curve25519"]
    assert [await claim(bob, alice), await claim(bob, alice)] == [fallback, fallback]
    assert (await source.counts(alice.user_id, alice.device_id)).unused_fallback_types == []

    await alice.post("keys/upload", {"fallback_keys": fallback})
    assert (await source.counts(alice.user_id, alice.device_id)).unused_fallback_types == []
    newer = {"signed_curve25519:NEWER": device.one_time_key(901, fallback=True)}
    await alice.post("keys/upload", {"fallback_keys": newer})
    assert (await source.counts(alice.user_id, alice.device_id)).unused_fallback_types == ["signed_curve25519"]
    assert await claim(bob, alice) == newer


async def test_uploading_the_same_keys_again_changes_nothing(alice: Client) -> None:
    device = await publish(alice, one_time_keys=2)
    first = {name: {**key, "signatures": {}} for name, key in device.one_time_keys(1).items()}
    again = {**first, **device.one_time_keys(2, start=1)}
    counts = await alice.post("keys/upload", {"one_time_keys": again})
    assert counts == {"one_time_key_counts": {"signed_curve25519": 3}}


async def test_a_key_id_belongs_to_one_key(alice: Client, bob: Client) -> None:
    device = await publish(alice, one_time_keys=1)
    changed = {"signed_curve25519:AAA0000": device.one_time_key(99), **device.one_time_keys(1, start=1)}
    await alice.post("keys/upload", {"one_time_keys": changed}, expect=(400, "M_INVALID_PARAM"))
    assert await claim(bob, alice) == {"signed_curve25519:AAA0000": device.one_time_key(0)}
    assert await claim(bob, alice) == {}


async def test_a_refused_upload_stores_nothing_of_it(alice: Client, bob: Client) -> None:
    device = device_of(alice)
    await alice.post("keys/upload", {"one_time_keys": {"curve25519:A": "first"}})
    body = {"device_keys": device.device_keys(), "one_time_keys": {"curve25519:A": "other"}}
    await alice.post("keys/upload", body, expect=400)
    assert (await query(bob, alice))["device_keys"] == {alice.user_id: {}}


async def test_odd_algorithms_are_kept_apart(alice: Client, bob: Client) -> None:
    keys = {"curve25519:A": "one", "org.example.kyber+x:A:B": {"key": "two", "signatures": {}}}
    counts = await alice.post("keys/upload", {"one_time_keys": keys})
    assert counts["one_time_key_counts"] == {"signed_curve25519": 0, "curve25519": 1, "org.example.kyber+x": 1}
    assert await claim(bob, alice, "nothing") == {}
    assert await claim(bob, alice, "org.example.kyber+x") == {
        "org.example.kyber+x:A:B": keys["org.example.kyber+x:A:B"]
    }
    assert await claim(bob, alice, "curve25519") == {"curve25519:A": "one"}


@pytest.mark.parametrize(
    "keys, errcode",
    [
        ({"nocolon": "x"}, "M_INVALID_PARAM"),
        ({":id": "x"}, "M_INVALID_PARAM"),
        ({"alg:": "x"}, "M_INVALID_PARAM"),
        ({"alg:" + "i" * 300: "x"}, "M_INVALID_PARAM"),
        ({"alg:id": 5}, "M_BAD_JSON"),
        ({"alg:id": {"signatures": {}}}, "M_BAD_JSON"),
        ({"alg:id": {"key": 5, "signatures": {}}}, "M_BAD_JSON"),
        ({"alg:id": {"key": "unsigned"}}, "M_BAD_JSON"),
        ({"alg:id": "x" * 9000}, "M_INVALID_PARAM"),
        ({"alg:\0": "x"}, "M_BAD_JSON"),
        ({f"alg:{number}": "x" for number in range(10_000)}, "M_INVALID_PARAM"),
        ([], "M_BAD_JSON"),
    ],
)
async def test_what_is_no_one_time_key_is_refused(alice: Client, keys: Any, errcode: str) -> None:
    await alice.post("keys/upload", {"one_time_keys": keys}, expect=(400, errcode))
    await alice.post("keys/upload", {"fallback_keys": keys}, expect=(400, errcode))


async def test_a_device_has_a_limited_number_of_keys(alice: Client) -> None:
    await alice.post("keys/upload", {"one_time_keys": {f"alg:{number}": "x" for number in range(1000)}})
    await alice.post("keys/upload", {"one_time_keys": {"alg:more": "x"}}, expect=(400, "M_INVALID_PARAM"))


async def test_two_fallback_keys_of_one_algorithm_are_refused(alice: Client) -> None:
    keys = {"curve25519:A": "one", "curve25519:B": "two"}
    await alice.post("keys/upload", {"fallback_keys": keys}, expect=(400, "M_INVALID_PARAM"))


async def test_claims_for_other_servers_are_failures(alice: Client) -> None:
    body = {"one_time_keys": {"@carol:elsewhere.example": {"X": "signed_curve25519"}}}
    answer = await alice.post("keys/claim", body)
    assert list(answer["failures"]) == ["elsewhere.example"]
    assert answer["one_time_keys"] == {}


# --- Budgets ---


async def test_queries_and_claims_cost_the_same_for_one_and_for_a_hundred(server: Server, alice: Client) -> None:
    database = server.application.base.database
    others = [await server.register(f"user{number}") for number in range(100)]
    await asyncio.gather(*(publish(other, one_time_keys=2) for other in others))
    await asyncio.gather(*(bootstrap(other) for other in (*others[:20], alice)))
    announcements = server.application.base.life.memory["announcements"]
    await until(lambda: not any(announcements().values()), "that other servers are told of all these keys")
    costs = {"query": set[int](), "claim": set[int]()}
    for count in (1, 100):
        asked = others[:count]
        before = database.statements
        found = await query(alice, *asked)
        costs["query"].add(database.statements - before)
        assert len(found["device_keys"]) == count
        before = database.statements
        body = {"one_time_keys": {other.user_id: {other.device_id: "signed_curve25519"} for other in asked}}
        assert len((await alice.post("keys/claim", body))["one_time_keys"]) == count
        costs["claim"].add(database.statements - before)
    assert costs == {"query": {3}, "claim": {1}}


# --- Device lists ---


async def test_those_who_share_a_room_hear_of_new_keys(server: Server, alice: Client, bob: Client) -> None:
    carol = await server.register("carol")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    lists = server.application.encryption.device_lists
    start = lists.stream.current
    device = await publish(alice)
    for reader, heard in ((bob, {alice.user_id}), (alice, {alice.user_id}), (carol, set())):
        assert await lists.changed(reader.user_id, start) == heard

    start = lists.stream.current
    await alice.post("keys/upload", {"device_keys": device.device_keys(), "one_time_keys": device.one_time_keys(5)})
    assert await lists.changed(bob.user_id, start) == set()

    await alice.put(("devices", alice.device_id), {"display_name": "Telephone"})
    assert await lists.changed(bob.user_id, start) == {alice.user_id}
    start = lists.stream.current
    await alice.post("logout")
    assert await lists.changed(bob.user_id, start) == {alice.user_id}


async def test_other_keys_for_the_same_device_are_a_change_too(server: Server, alice: Client) -> None:
    await publish(alice)
    lists = server.application.encryption.device_lists
    start = lists.stream.current
    await publish(alice)
    assert await lists.changed(alice.user_id, start) == {alice.user_id}


async def test_ed25519_keys_are_not_confused_by_padding(alice: Client, bob: Client) -> None:
    """What was uploaded comes back as it was, whatever the server thinks of it."""
    keys = device_of(alice).device_keys(keys={f"ed25519:{alice.device_id}": unpadded(bytes(32)) + "="})
    await alice.post("keys/upload", {"device_keys": keys})
    found = (await query(bob, alice))["device_keys"][alice.user_id][alice.device_id]
    assert found["keys"] == keys["keys"]
