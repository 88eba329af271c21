"""Rule 5.4: inviting; rule 5.4.1 and rule 7: inviting by e-mail address."""

from __future__ import annotations

from typing import Any

import pytest

from homeserver.protocol.auth.third_party_invite import MAX_SIGNATURE_ATTEMPTS
from homeserver.protocol.events import Event
from homeserver.protocol.hashing import encode_base64
from homeserver.protocol.signing import SigningKey, sign_json
from tests.protocol.factory import ALICE, ALL_VERSIONS, BOB, CHARLIE, MALLORY, RoomBuilder, since, until


@pytest.fixture(params=ALL_VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Every room version."""
    name: str = request.param
    return name


def invite(room: RoomBuilder, by: str, target: str = CHARLIE, **content: Any) -> Event:
    return room.draft(by, "m.room.member", {"membership": "invite", **content}, target)


# --- 5.4.2 to 5.4.5 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("membership", [None, "invite", "leave", "ban"])
def test_5_4_2_only_members_invite(version: str, membership: str | None) -> None:
    room = RoomBuilder(version)
    if membership is not None:
        room.member(BOB, membership, by=ALICE)
    room.rejects(invite(room, by=BOB), "5.4.2")


@pytest.mark.parametrize("membership", ["join", "ban"])
def test_5_4_3_members_and_the_banned_are_not_invited(version: str, membership: str) -> None:
    room = RoomBuilder(version).member(CHARLIE, membership)
    room.rejects(invite(room, by=ALICE), "5.4.3")


@pytest.mark.parametrize("membership", [None, "leave", "invite", "knock"])
def test_5_4_4_who_reaches_the_invite_level_may_invite(version: str, membership: str | None) -> None:
    room = RoomBuilder(version).power_levels({BOB: 30}, invite=30).join(BOB)
    if membership is not None:
        room.member(CHARLIE, membership)
    room.allows(invite(room, by=BOB))


def test_5_4_4_by_default_everybody_may(version: str) -> None:
    room = RoomBuilder(version).join(BOB)
    room.allows(invite(room, by=BOB))
    room.power_levels().allows(invite(room, by=BOB))


def test_5_4_5_otherwise_reject(version: str) -> None:
    room = RoomBuilder(version).power_levels({BOB: 29}, invite=30).join(BOB)
    room.rejects(invite(room, by=BOB), "5.4.5")


@pytest.mark.parametrize("version", since("12"))
def test_5_4_4_a_creator_of_v12_invites_whatever_the_level(version: str) -> None:
    room = RoomBuilder(version).power_levels({BOB: 100}, invite=101).join(BOB)
    room.allows(invite(room, by=ALICE))
    room.rejects(invite(room, by=BOB), "5.4.5")


@pytest.mark.parametrize("version", until("9"))
def test_5_4_5_until_v9_nobody_reaches_a_level_that_cannot_be_read(version: str) -> None:
    room = RoomBuilder(version).power_levels(invite="banana")
    room.rejects(invite(room, by=ALICE), "5.4.5")


# --- 5.4.1: third-party invites -----------------------------------------------------------------------------------

IDENTITY_KEY = SigningKey.from_seed("0", b"i" * 32)
OTHER_KEY = SigningKey.from_seed("0", b"o" * 32)
PUBLIC_KEY = encode_base64(IDENTITY_KEY.verify_key)


def room_with_invite(version: str, **content: Any) -> RoomBuilder:
    """Bob has invited somebody by e-mail address; the identity server named the invite `token`."""
    room = RoomBuilder(version).join(BOB)
    content = content or {"public_key": PUBLIC_KEY, "public_keys": []}
    return room.set(BOB, "m.room.third_party_invite", {"display_name": "c***", **content}, "token")


def signed(key: SigningKey = IDENTITY_KEY, server: str = "identity.example", **changes: Any) -> dict[str, Any]:
    """What the identity server says of Charlie; None takes a key away."""
    fields = {"mxid": CHARLIE, "token": "token", **changes}
    return sign_json({name: value for name, value in fields.items() if value is not None}, server, key)


def third_party(room: RoomBuilder, signed_part: object, by: str = BOB, target: str = CHARLIE) -> Event:
    return invite(room, by, target, third_party_invite={"display_name": "c***", "signed": signed_part})


def test_5_4_1_1_the_banned_are_not_invited(version: str) -> None:
    room = room_with_invite(version).member(CHARLIE, "ban", by=ALICE)
    room.rejects(third_party(room, signed()), "5.4.1.1")


@pytest.mark.parametrize("part", [None, "text", [], {}, {"signed": None}, {"signed": []}])
def test_5_4_1_2_the_invite_must_be_signed(version: str, part: object) -> None:
    room = room_with_invite(version)
    room.rejects(invite(room, BOB, third_party_invite=part), "5.4.1.2")


@pytest.mark.parametrize("changes", [{"mxid": None}, {"token": None}, {"mxid": 5}, {"token": []}])
def test_5_4_1_3_it_names_user_and_token(version: str, changes: dict[str, Any]) -> None:
    room = room_with_invite(version)
    room.rejects(third_party(room, signed(**changes)), "5.4.1.3")


def test_5_4_1_4_it_is_for_the_invited_user(version: str) -> None:
    room = room_with_invite(version)
    room.rejects(third_party(room, signed(), target=MALLORY), "5.4.1.4")


def test_5_4_1_5_the_room_must_have_the_invite(version: str) -> None:
    room = room_with_invite(version)
    room.rejects(third_party(room, signed(token="other")), "5.4.1.5")


def test_5_4_1_6_it_is_the_inviter_who_turns_it_into_an_invite(version: str) -> None:
    room = room_with_invite(version)
    room.rejects(third_party(room, signed(), by=ALICE), "5.4.1.6")


@pytest.mark.parametrize(
    "keys",
    [
        {"public_key": PUBLIC_KEY},
        {"public_keys": [{"public_key": PUBLIC_KEY}]},
        {"public_key": encode_base64(OTHER_KEY.verify_key), "public_keys": [{"public_key": PUBLIC_KEY}]},
        {"public_key": "not base64!", "public_keys": [5, {}, {"public_key": 5}, {"public_key": PUBLIC_KEY}]},
        {"public_key": "AAAA", "public_keys": [{"public_key": PUBLIC_KEY}]},
    ],
)
def test_5_4_1_7_any_signature_by_any_key(version: str, keys: dict[str, Any]) -> None:
    room = room_with_invite(version, **keys)
    room.allows(third_party(room, signed()))


def test_5_4_1_7_the_inviter_may_have_left_meanwhile(version: str) -> None:
    room = room_with_invite(version).member(BOB, "leave")
    room.allows(third_party(room, signed()))


def test_5_4_1_7_one_good_signature_among_bad_ones_is_enough(version: str) -> None:
    room = room_with_invite(version)
    part = signed()
    part["signatures"] = {"a": 5, "b": {"ed25519:x": "bad", "rsa:1": "z"}, **part["signatures"]}
    room.allows(third_party(room, part))


@pytest.mark.parametrize(
    "part",
    [
        signed(OTHER_KEY),
        {**signed(), "signatures": {}},
        {**signed(), "signatures": None},
        {**signed(), "changed": True},
        {**signed(), "float": 1.5},
        {"mxid": CHARLIE, "token": "token"},
    ],
)
def test_5_4_1_8_otherwise_reject(version: str, part: dict[str, Any]) -> None:
    room = room_with_invite(version)
    room.rejects(third_party(room, part), "5.4.1.8")


@pytest.mark.parametrize("keys", [{"public_key": None}, {"public_keys": {}}, {"public_keys": [None]}])
def test_5_4_1_8_without_keys_nothing_is_valid(version: str, keys: dict[str, Any]) -> None:
    room = room_with_invite(version, **keys)
    room.rejects(third_party(room, signed()), "5.4.1.8")


def test_5_4_1_8_mallory_cannot_make_us_try_signatures_for_ever() -> None:
    room = room_with_invite("12")
    part = signed()
    good = part["signatures"].pop("identity.example")
    part["signatures"] = {
        **{f"s{number}": {"ed25519:1": encode_base64(b"x" * 64)} for number in range(MAX_SIGNATURE_ATTEMPTS)},
        "identity.example": good,
    }
    room.rejects(third_party(room, part), "5.4.1.8")


# --- Rule 7 -------------------------------------------------------------------------------------------------------


def test_7_1_who_may_invite_may_invite_by_address(version: str) -> None:
    room = RoomBuilder(version).power_levels({BOB: 30}, invite=30, state_default=100).join(BOB, MALLORY)
    room.allows(room.draft(BOB, "m.room.third_party_invite", state_key="token"))
    room.rejects(room.draft(MALLORY, "m.room.third_party_invite", state_key="token"), "7.1")


def test_7_1_only_members(version: str) -> None:
    room = RoomBuilder(version)
    room.rejects(room.draft(BOB, "m.room.third_party_invite", state_key="token"), "6")
