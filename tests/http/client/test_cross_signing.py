"""Stories about cross-signing: Alice's three keys, what they sign, and who sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cast import Client, Server
from tests.signers import CrossSigner, DeviceSigner, Signer, bootstrap, password_auth, publish

UPLOAD = "keys/device_signing/upload"
SIGN = "keys/signatures/upload"


@pytest.fixture
async def alice(server: Server) -> Client:
    return await server.register("alice")


@pytest.fixture
async def bob(server: Server) -> Client:
    return await server.register("bob")


async def query(client: Client, *others: Client) -> dict[str, Any]:
    answer: dict[str, Any] = await client.post("keys/query", {"device_keys": {other.user_id: [] for other in others}})
    return answer


async def heard(server: Server, reader: Client, since: int) -> set[str]:
    changed: set[str] = await server.application.encryption.device_lists.changed(reader.user_id, since)
    return changed


def now(server: Server) -> int:
    position: int = server.application.encryption.device_lists.stream.current
    return position


# --- The three keys ---


async def test_the_first_keys_need_no_password_and_others_see_two_of_them(alice: Client, bob: Client) -> None:
    keys = await bootstrap(alice)
    seen = await query(bob, alice)
    assert seen["master_keys"] == {alice.user_id: keys.key("master")}
    assert seen["self_signing_keys"] == {alice.user_id: keys.key("self_signing")}
    assert seen["user_signing_keys"] == {}
    assert (await query(alice, alice))["user_signing_keys"] == {alice.user_id: keys.key("user_signing")}


async def test_uploading_the_same_keys_again_needs_no_password(server: Server, alice: Client) -> None:
    keys = await bootstrap(alice)
    position = now(server)
    await alice.post(UPLOAD, keys.keys())
    await alice.post(UPLOAD, {"self_signing_key": keys.key("self_signing")})
    await alice.post(UPLOAD, {})
    assert await heard(server, alice, position) == set()


async def test_other_keys_need_the_password(alice: Client, bob: Client) -> None:
    first = await bootstrap(alice)
    second = CrossSigner(alice.user_id)
    await alice.post(UPLOAD, second.keys(), expect=401)
    assert (await query(bob, alice))["master_keys"] == {alice.user_id: first.key("master")}
    wrong = {**password_auth(alice), "password": "wrong"}
    await alice.post(UPLOAD, {**second.keys(), "auth": wrong}, expect=401)
    await alice.post(UPLOAD, {**second.keys(), "auth": password_auth(alice)})
    assert (await query(bob, alice))["master_keys"] == {alice.user_id: second.key("master")}


async def test_adding_a_key_to_a_master_key_needs_the_password(alice: Client) -> None:
    keys = CrossSigner(alice.user_id)
    await alice.post(UPLOAD, {"master_key": keys.key("master")})
    added = {"user_signing_key": keys.key("user_signing")}
    await alice.post(UPLOAD, added, expect=401)
    await alice.post(UPLOAD, {**added, "auth": password_auth(alice)})
    assert (await query(alice, alice))["user_signing_keys"] == {alice.user_id: keys.key("user_signing")}


async def test_of_two_first_uploads_one_is_the_first(alice: Client) -> None:
    uploads = [CrossSigner(alice.user_id) for _ in range(6)]
    answers = await asyncio.gather(*(alice.post(UPLOAD, keys.keys(), expect={200, 401}) for keys in uploads))
    stored = (await query(alice, alice))["master_keys"][alice.user_id]
    accepted = [keys.key("master") for keys, answer in zip(uploads, answers, strict=True) if answer == {}]
    assert accepted == [stored]


async def test_a_new_master_key_ends_what_the_old_one_signed(alice: Client, bob: Client) -> None:
    await bootstrap(alice)
    new = CrossSigner(alice.user_id)
    await alice.post(UPLOAD, {"master_key": new.key("master"), "auth": password_auth(alice)})
    seen = await query(alice, alice)
    assert seen["master_keys"] == {alice.user_id: new.key("master")}
    assert seen["self_signing_keys"] == seen["user_signing_keys"] == {}


async def test_keys_without_a_master_key_are_refused(alice: Client) -> None:
    keys = CrossSigner(alice.user_id)
    await alice.post(UPLOAD, {"self_signing_key": keys.key("self_signing")}, expect=(400, "M_MISSING_PARAM"))


async def test_keys_that_the_master_key_did_not_sign_are_refused(alice: Client) -> None:
    keys, foreign = CrossSigner(alice.user_id), CrossSigner(alice.user_id)
    unsigned = {name: item for name, item in keys.key("self_signing").items() if name != "signatures"}
    forged = keys.master.sign(unsigned)
    forged["signatures"][alice.user_id][keys.master.key_id] = foreign.master.signature(unsigned)
    for bad in (unsigned, foreign.key("self_signing"), forged):
        body = {"master_key": keys.key("master"), "self_signing_key": bad}
        await alice.post(UPLOAD, body, expect=(400, "M_INVALID_SIGNATURE"))
    assert (await query(alice, alice))["master_keys"] == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "@bob:test"},
        {"user_id": 5},
        {"usage": ["self_signing"]},
        {"usage": "master"},
        {"usage": []},
        {"keys": {}},
        {"keys": {"ed25519:AAAA": "AAAA"}},
        {"keys": {"ed25519:!!": "!!"}},
        {"keys": {"curve25519:" + "A" * 43: "A" * 43}},
        {"keys": {"ed25519:" + "A" * 43: "A" * 43, "ed25519:" + "B" * 43: "B" * 43}},
        {"keys": {"ed25519:" + "A" * 43: 5}},
        {"keys": ["A"]},
        {"signatures": []},
        {"extra": "x" * 70_000},
        {"extra": 0.5},
    ],
)
async def test_what_is_no_master_key_is_refused(alice: Client, changes: dict[str, Any]) -> None:
    key = {**CrossSigner(alice.user_id).key("master"), **changes}
    await alice.post(UPLOAD, {"master_key": key}, expect=400)
    await alice.post(UPLOAD, {"master_key": "key"}, expect=(400, "M_BAD_JSON"))


async def test_a_key_called_like_a_device_is_refused(alice: Client) -> None:
    keys = CrossSigner(alice.user_id)
    await alice.login(device_id=keys.master.public)
    await alice.post(UPLOAD, keys.keys(), expect=(403, "M_FORBIDDEN"))


async def test_no_device_is_called_like_a_key(alice: Client) -> None:
    keys = await bootstrap(alice)
    device = DeviceSigner(alice.user_id, keys.master.public)
    body = {"device_id": device.name, "device_data": {"algorithm": "sealed"}, "device_keys": device.device_keys()}
    path = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
    await alice.put(path, body, expect=(403, "M_FORBIDDEN"))
    await alice.get(path, expect=404)


async def test_signatures_said_to_be_others_are_not_shown(alice: Client, bob: Client) -> None:
    keys = CrossSigner(alice.user_id)
    key = Signer(bob.user_id, "BOBSDEVICE").sign(keys.key("master"))
    await alice.post(UPLOAD, {"master_key": key})
    assert (await query(alice, alice))["master_keys"] == {alice.user_id: keys.key("master")}


async def test_the_unstable_path_is_the_same(alice: Client) -> None:
    keys = CrossSigner(alice.user_id)
    await alice.post("/_matrix/client/unstable/" + UPLOAD, keys.keys())
    assert (await query(alice, alice))["master_keys"] == {alice.user_id: keys.key("master")}


async def test_who_shares_a_room_hears_of_new_keys_but_not_of_user_signing_keys(
    server: Server, alice: Client, bob: Client
) -> None:
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    position = now(server)
    keys = await bootstrap(alice)
    assert await heard(server, bob, position) == {alice.user_id}
    position = now(server)
    keys.user_signing = Signer(alice.user_id)
    body = {"user_signing_key": keys.key("user_signing"), "auth": password_auth(alice)}
    await alice.post(UPLOAD, body)
    assert await heard(server, bob, position) == set()
    assert await heard(server, alice, position) == {alice.user_id}


# --- Signatures ---


async def test_alice_signs_her_device_and_everybody_sees_it(server: Server, alice: Client, bob: Client) -> None:
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    device, keys = await publish(alice), await bootstrap(alice)
    position = now(server)
    signed = keys.self_signing.sign(device.device_keys())
    body = {alice.user_id: {alice.device_id: signed}}
    assert await alice.post(SIGN, body) == {"failures": {}}
    assert await heard(server, bob, position) == {alice.user_id}
    for reader in (alice, bob):
        found = (await query(reader, alice))["device_keys"][alice.user_id][alice.device_id]
        assert found["signatures"] == signed["signatures"]

    position = now(server)
    assert await alice.post(SIGN, body) == {"failures": {}}
    assert await heard(server, bob, position) == set()


async def test_a_device_that_uploads_its_keys_again_keeps_the_signature(alice: Client, bob: Client) -> None:
    device, keys = await publish(alice), await bootstrap(alice)
    signed = keys.self_signing.sign(device.device_keys())
    await alice.post(SIGN, {alice.user_id: {alice.device_id: signed}})
    await alice.post("keys/upload", {"device_keys": device.device_keys()})
    found = (await query(bob, alice))["device_keys"][alice.user_id][alice.device_id]
    assert found["signatures"] == signed["signatures"]


async def test_alices_device_signs_her_master_key(alice: Client, bob: Client) -> None:
    device, keys = await publish(alice), await bootstrap(alice)
    signed = device.sign(keys.key("master"))
    body = {alice.user_id: {keys.master.public: signed}}
    assert await alice.post(SIGN, body) == {"failures": {}}
    assert await alice.post(SIGN, body) == {"failures": {}}
    assert (await query(bob, alice))["master_keys"][alice.user_id] == signed


async def test_only_bob_sees_that_he_signed_alices_master_key(server: Server, alice: Client, bob: Client) -> None:
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    alices, bobs = await bootstrap(alice), await bootstrap(bob)
    position = now(server)
    signed = bobs.user_signing.sign(alices.key("master"))
    assert await bob.post(SIGN, {alice.user_id: {alices.master.public: signed}}) == {"failures": {}}
    assert (await query(bob, alice))["master_keys"][alice.user_id] == signed
    assert (await query(alice, alice))["master_keys"][alice.user_id] == alices.key("master")
    assert await heard(server, bob, position) == {alice.user_id}
    assert await heard(server, alice, position) == set()


async def test_what_a_replaced_key_signed_is_gone(alice: Client, bob: Client) -> None:
    alices, bobs = await bootstrap(alice), await bootstrap(bob)
    await bob.post(SIGN, {alice.user_id: {alices.master.public: bobs.user_signing.sign(alices.key("master"))}})
    bobs.user_signing = Signer(bob.user_id)
    await bob.post(UPLOAD, {"user_signing_key": bobs.key("user_signing"), "auth": password_auth(bob)})
    assert (await query(bob, alice))["master_keys"][alice.user_id] == alices.key("master")


async def test_each_wrong_signature_is_a_failure_of_its_own(alice: Client, bob: Client) -> None:
    device, alices = await publish(alice), await bootstrap(alice)
    bobs = await bootstrap(bob)
    second = await alice.login()
    other = await publish(second)
    stranger = Signer(alice.user_id)
    changed = alices.self_signing.sign({**device.device_keys(), "algorithms": ["m.none"]})
    forged = alices.self_signing.sign(other.device_keys())
    forged["signatures"][alice.user_id][alices.self_signing.key_id] = stranger.signature(other.device_keys())
    body = {
        alice.user_id: {
            alice.device_id: changed,
            second.device_id: forged,
            "NOSUCHDEVICE": device.device_keys(),
            alices.master.public: stranger.sign(alices.key("master")),
        },
        bob.user_id: {
            bobs.master.public: alices.self_signing.sign(bobs.key("master")),
            bobs.self_signing.public: alices.user_signing.sign(bobs.key("self_signing")),
        },
        "@nobody:test": {"key": {}},
    }
    failures = (await alice.post(SIGN, body))["failures"]
    assert {user: {key: error["errcode"] for key, error in keys.items()} for user, keys in failures.items()} == {
        alice.user_id: {
            alice.device_id: "M_INVALID_PARAM",
            second.device_id: "M_INVALID_SIGNATURE",
            "NOSUCHDEVICE": "M_NOT_FOUND",
            alices.master.public: "M_INVALID_SIGNATURE",
        },
        bob.user_id: {bobs.master.public: "M_INVALID_SIGNATURE", bobs.self_signing.public: "M_NOT_FOUND"},
        "@nobody:test": {"key": "M_NOT_FOUND"},
    }


async def test_right_signatures_are_kept_beside_wrong_ones(alice: Client) -> None:
    device, keys = await publish(alice), await bootstrap(alice)
    signed = keys.self_signing.sign(device.device_keys())
    body = {alice.user_id: {alice.device_id: signed, "NOSUCHDEVICE": signed}}
    assert list((await alice.post(SIGN, body))["failures"][alice.user_id]) == ["NOSUCHDEVICE"]
    found = (await query(alice, alice))["device_keys"][alice.user_id][alice.device_id]
    assert found["signatures"] == signed["signatures"]


async def test_mallory_cannot_sign_for_alice(server: Server, alice: Client) -> None:
    mallory = await server.register("mallory")
    device, keys = await publish(alice), await bootstrap(alice)
    await bootstrap(mallory)
    signed = keys.self_signing.sign(device.device_keys())
    failures = (await mallory.post(SIGN, {alice.user_id: {alice.device_id: signed}}))["failures"]
    assert failures[alice.user_id][alice.device_id]["errcode"] == "M_NOT_FOUND"


async def test_signatures_that_arrive_together_are_all_kept(alice: Client) -> None:
    keys = await bootstrap(alice)
    clients = [await alice.login() for _ in range(5)]
    devices = [await publish(client) for client in clients]
    master = keys.key("master")
    bodies = [{alice.user_id: {keys.master.public: device.sign(master)}} for device in devices]
    await asyncio.gather(*(alice.post(SIGN, body) for body in bodies))
    found = (await query(alice, alice))["master_keys"][alice.user_id]
    assert set(found["signatures"][alice.user_id]) == {device.key_id for device in devices}


@pytest.mark.parametrize("body", [[], {"@alice:test": []}, {"@alice:test": {"X": "signed"}}])
async def test_signatures_of_the_wrong_form_are_refused(alice: Client, body: Any) -> None:
    await alice.post(SIGN, body, expect=(400, "M_BAD_JSON"))


async def test_a_deactivated_account_has_no_keys(alice: Client, bob: Client) -> None:
    await publish(alice)
    await bootstrap(alice)
    await alice.post("account/deactivate", {"auth": password_auth(alice)})
    found = await query(bob, alice)
    assert found["device_keys"] == {alice.user_id: {}}
    assert found["master_keys"] == {}
