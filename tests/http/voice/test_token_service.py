"""Alice gets into a call with each generation of clients; Mallory does not."""

from __future__ import annotations

import pytest

from homeserver.protocol.errors import Forbidden
from homeserver.services.calls.tokens import by_device, by_device_and_member
from tests.cast import Server
from tests.clock import FakeClock
from tests.voice.callers import SERVICE, SFU_URL, ask_homeserver, get_token, openid, sfu_get
from tests.voice.recording_backend import RecordingBackend, read_token
from voice import tokens

CALL_MEMBER = "org.matrix.msc3401.call.member"
CALL_TYPES = (CALL_MEMBER, "org.matrix.msc4143.rtc.member", "m.rtc.member")


@pytest.fixture
def sfu(clock: FakeClock) -> RecordingBackend:
    return RecordingBackend(clock.now_ms)


async def test_clients_of_all_generations_meet_in_one_call(server: Server, sfu: RecordingBackend) -> None:
    alice, bob, carol = [await server.register(name) for name in ("alice", "bob", "carol")]
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    await carol.join(room_id)
    answer = await sfu_get(alice, room_id)
    assert answer["url"] == sfu.url
    sfu.join(answer["jwt"])
    sfu.join((await get_token(bob, room_id, "m1"))["jwt"])
    sfu.join((await ask_homeserver(carol, room_id, "m1"))["jwt"])
    assert set(sfu.people[tokens.sfu_room(room_id)]) == {
        f"@alice:test:{alice.device_id}",
        tokens.device_identity("@bob:test", bob.device_id, "m1"),
        tokens.member_identity("@carol:test", "m1"),
    }


async def test_a_member_may_publish_what_he_likes(server: Server) -> None:
    alice = await server.register("alice")
    video = read_token((await sfu_get(alice, await alice.create_room()))["jwt"]).video
    assert video is not None
    assert video.can_publish
    assert video.can_subscribe
    assert set(video.can_publish_sources or ()) == {"camera", "microphone", "screen_share", "screen_share_audio"}


async def test_mallory_is_not_in_the_room(server: Server, sfu: RecordingBackend) -> None:
    """Nor does she learn which rooms there are: what is not there answers the same."""
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    for room in (room_id, "!nothing:test", "nonsense", ""):
        refused = await sfu_get(mallory, room, expect=(403, "M_FORBIDDEN"))
        assert refused["error"] == "You are not a member of this room"
        await get_token(mallory, room or "!", expect=(403, "M_FORBIDDEN"))
        await ask_homeserver(mallory, room, expect=(403, "M_FORBIDDEN"))
    assert not sfu.rooms


async def test_an_invitation_and_a_past_stay_are_not_enough(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room()
    await alice.invite(room_id, bob)
    await sfu_get(bob, room_id, expect=(403, "M_FORBIDDEN"))
    await bob.join(room_id)
    await sfu_get(bob, room_id)
    await bob.leave(room_id)
    await sfu_get(bob, room_id, expect=(403, "M_FORBIDDEN"))


async def test_the_token_must_be_hers_and_valid(server: Server, clock: FakeClock) -> None:
    alice, mallory = await server.register("alice"), await server.register("mallory")
    room_id = await alice.create_room()
    credential = await openid(alice)
    body = {"room": room_id, "device_id": "PHONE"}
    post = server.anonymous().post
    for wrong in ("", "nonsense", alice.access_token):
        token = {**credential, "access_token": wrong}
        await post(f"{SERVICE}/sfu/get", {**body, "openid_token": token}, expect=(401, "M_UNAUTHORIZED"))
    await post(f"{SERVICE}/sfu/get", body, expect=400)
    claim = {"id": "m1", "claimed_user_id": alice.user_id, "claimed_device_id": "PHONE"}
    await get_token(mallory, room_id, member=claim, expect=(401, "M_UNAUTHORIZED"))
    clock.advance(hours=2)
    await post(f"{SERVICE}/sfu/get", {**body, "openid_token": credential}, expect=(401, "M_UNAUTHORIZED"))


async def test_a_token_is_good_for_the_device_that_asked_for_it(server: Server) -> None:
    """Whoever logs a device out ends its calls: it cannot call itself by another one's name."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await sfu_get(alice, room_id, device_id="PHONE", expect=(403, "M_FORBIDDEN"))
    claim = {"id": "m1", "claimed_user_id": alice.user_id, "claimed_device_id": "PHONE"}
    await get_token(alice, room_id, member=claim, expect=(403, "M_FORBIDDEN"))
    phone = await alice.login(device_id="PHONE")
    await sfu_get(phone, room_id)
    await get_token(phone, room_id)


async def test_a_server_that_nobody_finds_vouches_for_nobody(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    credential = {**(await openid(alice)), "matrix_server_name": "elsewhere.example"}
    await sfu_get(alice, room_id, openid_token=credential, expect=(401, "M_UNAUTHORIZED"))
    room = await server.application.base.cache.get(room_id)
    room.joined.add("@bob:elsewhere.example")
    await sfu_get(alice, room_id, openid_token=credential, expect=(502, "M_CONNECTION_FAILED"))
    credential["matrix_server_name"] = "no server name/"
    await sfu_get(alice, room_id, openid_token=credential, expect=(401, "M_UNAUTHORIZED"))


async def test_without_the_level_there_is_no_call(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    levels = {"events": dict.fromkeys(CALL_TYPES, 50)}
    room_id = await alice.create_room(preset="public_chat", power_level_content_override=levels)
    await bob.join(room_id)
    await sfu_get(alice, room_id)
    for ask in (sfu_get, get_token, ask_homeserver):
        await ask(bob, room_id, expect=(403, "M_FORBIDDEN"))


async def test_listeners_hear_and_say_nothing(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    levels = {"events": {**dict.fromkeys(CALL_TYPES, 0), "org.voicechat.voice.speak": 10}}
    room_id = await alice.create_room(preset="public_chat", power_level_content_override=levels)
    await bob.join(room_id)
    video = read_token((await sfu_get(bob, room_id))["jwt"]).video
    assert video is not None
    assert video.can_subscribe
    assert "microphone" not in (video.can_publish_sources or ())
    host = read_token((await sfu_get(alice, room_id))["jwt"])
    assert host.video is not None
    assert "microphone" in (host.video.can_publish_sources or ())


async def test_moderators_are_heard_however_many_talk(server: Server) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await bob.join(room_id)
    assert read_token((await sfu_get(alice, room_id))["jwt"]).attributes == {tokens.PRIORITY_ATTRIBUTE: "1"}
    assert not read_token((await sfu_get(bob, room_id))["jwt"]).attributes


async def test_a_full_call_takes_nobody_more(server: Server, sfu: RecordingBackend) -> None:
    alice, bob = await server.register("alice"), await server.register("bob")
    room_id = await alice.create_room(preset="public_chat")
    await alice.set_state(room_id, "org.voicechat.voice_channel", {"user_limit": 1, "bitrate": 32_000, "frame_ms": 40})
    await bob.join(room_id)
    sfu.join((await sfu_get(alice, room_id))["jwt"])
    options = sfu.rooms[tokens.sfu_room(room_id)]
    assert (options.max_participants, options.audio_bitrate, options.audio_frame_ms) == (1, 32_000, 40)
    refused = await sfu_get(bob, room_id, expect=(403, "M_FORBIDDEN"))
    assert "full" in refused["error"]
    await sfu_get(alice, room_id)  # who is there already may come again


async def test_other_calls_than_the_rooms_own_must_be_open(server: Server, sfu: RecordingBackend) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    slot = "m.call#stage"
    await get_token(alice, room_id, slot_id=slot, expect=(403, "M_FORBIDDEN"))
    await alice.set_state(room_id, "org.matrix.msc4143.rtc.slot", {"application": {"type": "m.call"}}, slot)
    await get_token(alice, room_id, slot_id=slot)
    assert list(sfu.rooms) == [tokens.sfu_room(room_id, slot)]
    await alice.set_state(room_id, "org.matrix.msc4143.rtc.slot", {}, slot)
    await get_token(alice, room_id, slot_id=slot, expect=(403, "M_FORBIDDEN"))


async def test_a_replaced_room_has_no_calls(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await alice.post(("rooms", room_id, "upgrade"), {"new_version": "11"})
    await sfu_get(alice, room_id, expect=(403, "M_FORBIDDEN"))


async def test_when_the_sfu_is_away_chat_goes_on(server: Server, sfu: RecordingBackend) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    sfu.down = True
    for ask in (sfu_get, get_token, ask_homeserver):
        await ask(alice, room_id, expect=(503, "M_UNKNOWN"))
    await alice.send(room_id, "hello")


@pytest.mark.parametrize("name", ["device_id", "room"])
async def test_bad_bodies_are_refused(server: Server, name: str) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    for wrong in (None, 7, "", "x" * 1000, "\0", "\ud800"):
        await sfu_get(alice, room_id, expect={400, 403}, **{name: wrong})
    await sfu_get(alice, room_id, padding="x" * 20_000, expect=(413, "M_TOO_LARGE"))
    await get_token(alice, room_id, "", expect=(400, "M_INVALID_PARAM"))
    await get_token(alice, room_id, slot_id="x" * 300, expect=(400, "M_INVALID_PARAM"))


async def test_mallory_cannot_take_the_name_of_another_server(server: Server, sfu: RecordingBackend) -> None:
    """`@mallory:test` with the device `8448:X` has the same name as `@mallory:test:8448` with the device `X`."""
    mallory = await server.register("mallory")
    room_id = await mallory.create_room()
    identities = server.application.calls.identities
    issuer = server.application.calls.tokens
    room = await server.application.base.cache.get(room_id)
    room.joined.add("@mallory:test:8448")  # as a join over federation would
    await sfu_get(mallory, room_id)
    await issuer.issue(by_device("@mallory:test:8448", room_id, "X"))
    await sfu_get(mallory, room_id, device_id="8448:X", expect=(403, "M_FORBIDDEN"))
    assert identities.find(tokens.sfu_room(room_id), "@mallory:test:8448:X").user_id == "@mallory:test:8448"


async def test_remote_users_come_into_calls_that_one_of_ours_opened(server: Server) -> None:
    """With state events all publish at one SFU; with a member id everybody does so at that of his own server."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    room = await server.application.base.cache.get(room_id)
    room.joined.add("@bob:elsewhere.example")
    issuer = server.application.calls.tokens
    with pytest.raises(Forbidden):
        await issuer.issue(by_device("@bob:elsewhere.example", room_id, "X"))
    await sfu_get(alice, room_id)
    slot = ("m.call#ROOM", "X", "m1")
    listens = by_device_and_member("@bob:elsewhere.example", room_id, *slot)
    for member, publishes in ((by_device("@bob:elsewhere.example", room_id, "X"), True), (listens, False)):
        video = read_token((await issuer.issue(member)).jwt).video
        assert video is not None
        assert (video.can_publish, video.can_subscribe) == (publishes, True)
        assert bool(video.can_publish_data) == publishes


async def test_the_homeservers_own_endpoint_checks_the_address(server: Server) -> None:
    alice = await server.register("alice")
    room_id = await alice.create_room()
    await ask_homeserver(alice, room_id, url=SFU_URL + "/")
    await ask_homeserver(alice, room_id, server_name="test")
    await ask_homeserver(alice, room_id, url="wss://elsewhere.example", expect=(400, "M_INVALID_PARAM"))
    await ask_homeserver(alice, room_id, server_name="elsewhere.example", expect=(502, "M_UNKNOWN"))
    await ask_homeserver(alice.anonymous(), room_id, expect=(401, "M_MISSING_TOKEN"))


async def test_a_token_takes_two_statements(server: Server) -> None:
    """Whose the OpenID token is, and who is behind the name at the SFU; the room answers from memory."""
    alice = await server.register("alice")
    room_id = await alice.create_room()
    credential = await openid(alice)
    database = server.application.base.database
    body = {"room": room_id, "openid_token": credential, "device_id": alice.device_id}
    before = database.statements
    await server.anonymous().post(f"{SERVICE}/sfu/get", body)
    assert database.statements - before == 2


async def test_browsers_may_ask_and_the_service_is_well(server: Server) -> None:
    anonymous = server.anonymous()
    for path in ("sfu/get", "get_token", "delegate_delayed_leave"):
        answer = await anonymous.raw("OPTIONS", f"{SERVICE}/{path}")
        assert answer.status in (200, 204)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    await anonymous.get(f"{SERVICE}/healthz")


async def test_clients_find_the_service(server: Server) -> None:
    alice = await server.register("alice")
    entry = {"type": "livekit", "livekit_service_url": "http://localhost:8008/livekit/jwt"}
    answer = await alice.get("/_matrix/client/unstable/org.matrix.msc4143/rtc/transports")
    assert answer == {"rtc_transports": [entry]}
    stable = (await alice.get("/_matrix/client/v1/rtc/transports"))["rtc_transports"]
    assert stable == [{**entry, "url": SFU_URL}, {"type": "m.livekit", "url": SFU_URL}]
    await server.anonymous().get("/_matrix/client/v1/rtc/transports", expect=(401, "M_MISSING_TOKEN"))
    features = (await server.anonymous().get("/_matrix/client/versions"))["unstable_features"]
    assert features["org.matrix.msc4143"]
    well_known = await server.anonymous().get("/.well-known/matrix/client")
    assert well_known["org.matrix.msc4143.rtc_foci"] == [entry]
