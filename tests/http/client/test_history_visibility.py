"""Who sees what of a room's history: every visibility against every way of having been, or not been, in the room."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cast import Client, Server

VISIBILITIES = ["world_readable", "shared", "invited", "joined", None]


@dataclass
class Story:
    """Alice's room while Bob comes and goes; what she said meanwhile, by name."""

    server: Server
    alice: Client
    bob: Client
    room_id: str
    said: dict[str, str] = field(default_factory=dict)

    async def say(self, name: str) -> None:
        self.said[name] = await self.alice.send(self.room_id, name)

    async def seen(self, client: Client, *names: str) -> list[str]:
        """Which of the things said this client finds in /messages, after the other ways were checked to agree."""
        page = await client.messages(self.room_id, limit=100)
        forwards = await client.messages(self.room_id, limit=100, dir="f")
        assert page["chunk"] == forwards["chunk"][::-1]
        ids = {event["event_id"] for event in page["chunk"]}
        for event_id in self.said.values():
            expected = {200} if event_id in ids else {404}
            await client.get(("rooms", self.room_id, "event", event_id), expect=expected)
            await client.get(("rooms", self.room_id, "context", event_id), expect=expected)
        return [name for name, event_id in self.said.items() if event_id in ids]


async def _story(server: Server, visibility: str | None) -> Story:
    alice, bob = await server.register("alice"), await server.register("bob")
    state = [] if visibility is None else [_visibility(visibility)]
    room_id = await alice.create_room(preset="public_chat", initial_state=state)
    if visibility is None:
        await alice.set_state(room_id, "m.room.history_visibility", {"history_visibility": "of our own making"})
    return Story(server, alice, bob, room_id)


def _visibility(value: str) -> dict[str, Any]:
    return {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": value}}


async def _refused(client: Client, story: Story) -> None:
    room = ("rooms", story.room_id)
    await client.get((*room, "messages"), dir="b", expect=(403, "M_FORBIDDEN"))
    await client.get((*room, "messages"), dir="f", expect=(403, "M_FORBIDDEN"))
    await client.get((*room, "state"), expect=(403, "M_FORBIDDEN"))
    await client.get((*room, "state", "m.room.create", ""), expect=(403, "M_FORBIDDEN"))
    await client.get((*room, "members"), expect=(403, "M_FORBIDDEN"))
    await client.get((*room, "joined_members"), expect=(403, "M_FORBIDDEN"))
    for event_id in story.said.values():
        await client.get((*room, "context", event_id), expect=(403, "M_FORBIDDEN"))
        # "The event was not found or you do not have permission to read this event": 404 for both.
        await client.get((*room, "event", event_id), expect=(404, "M_NOT_FOUND"))


@pytest.mark.parametrize("visibility", VISIBILITIES)
async def test_strangers_and_invited_people_see_world_readable_rooms_only(
    server: Server, visibility: str | None
) -> None:
    story = await _story(server, visibility)
    await story.say("hello")
    await story.alice.invite(story.room_id, story.bob)
    await story.say("come in")
    stranger = await server.register("stranger")
    for client in (story.bob, stranger):
        if visibility == "world_readable":
            assert await story.seen(client) == ["hello", "come in"]
        else:
            await _refused(client, story)


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        ("world_readable", ["before", "invited", "joined"]),
        ("shared", ["before", "invited", "joined"]),
        (None, ["before", "invited", "joined"]),
        ("invited", ["invited", "joined"]),
        ("joined", ["joined"]),
    ],
)
async def test_a_member_sees_the_past_as_the_room_allows(
    server: Server, visibility: str | None, expected: list[str]
) -> None:
    story = await _story(server, visibility)
    await story.say("before")
    await story.alice.invite(story.room_id, story.bob)
    await story.say("invited")
    await story.bob.join(story.room_id)
    await story.say("joined")
    assert await story.seen(story.bob) == expected
    assert await story.seen(story.alice) == ["before", "invited", "joined"]


@pytest.mark.parametrize("how", ["leaves", "is kicked", "is banned"])
@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        ("world_readable", ["before", "joined", "after"]),
        ("shared", ["before", "joined"]),
        (None, ["before", "joined"]),
        ("invited", ["joined"]),
        ("joined", ["joined"]),
    ],
)
async def test_who_is_gone_keeps_what_he_could_see(
    server: Server, how: str, visibility: str | None, expected: list[str]
) -> None:
    story = await _story(server, visibility)
    await story.say("before")
    await story.bob.join(story.room_id)
    await story.say("joined")
    if how == "leaves":
        await story.bob.leave(story.room_id)
    elif how == "is kicked":
        await story.alice.kick(story.room_id, story.bob)
    else:
        await story.alice.ban(story.room_id, story.bob)
    await story.say("after")
    assert await story.seen(story.bob) == expected
    last = (await story.bob.messages(story.room_id, limit=100))["chunk"][0]
    if visibility != "world_readable":
        assert last["state_key"] == story.bob.user_id


@pytest.mark.parametrize(
    ("visibility", "expected"),
    [
        ("world_readable", ["first stay", "away", "invited", "second stay"]),
        ("shared", ["first stay", "away", "invited", "second stay"]),
        ("invited", ["first stay", "invited", "second stay"]),
        ("joined", ["first stay", "second stay"]),
    ],
)
async def test_who_comes_back_sees_both_stays(server: Server, visibility: str, expected: list[str]) -> None:
    story = await _story(server, visibility)
    await story.bob.join(story.room_id)
    await story.say("first stay")
    await story.bob.leave(story.room_id)
    await story.say("away")
    await story.alice.invite(story.room_id, story.bob)
    await story.say("invited")
    if visibility != "world_readable":
        assert await story.seen(story.bob) == ["first stay"]
    await story.bob.join(story.room_id)
    await story.say("second stay")
    assert await story.seen(story.bob) == expected
    small = await _paged(story.bob, story.room_id, limit=1)
    assert small == [event["event_id"] for event in (await story.bob.messages(story.room_id, limit=100))["chunk"]]


async def _paged(client: Client, room_id: str, **query: Any) -> list[str]:
    ids: list[str] = []
    while True:
        page = await client.messages(room_id, **query)
        ids += [event["event_id"] for event in page["chunk"]]
        if "end" not in page:
            return ids
        query["from"] = page["end"]


async def test_a_refused_invitation_opens_nothing(server: Server) -> None:
    story = await _story(server, "invited")
    await story.alice.invite(story.room_id, story.bob)
    await story.say("come in")
    await story.bob.leave(story.room_id)
    await _refused(story.bob, story)


async def test_a_ban_of_somebody_who_had_left_reveals_nothing_later(server: Server) -> None:
    story = await _story(server, "shared")
    await story.bob.join(story.room_id)
    await story.say("joined")
    await story.bob.leave(story.room_id)
    await story.say("after")
    await story.alice.ban(story.room_id, story.bob)
    assert await story.seen(story.bob) == ["joined"]
    assert (await story.bob.state(story.room_id, "m.room.member", story.bob.user_id))["membership"] == "leave"


async def test_the_visibility_counts_that_was_set_when_an_event_was_sent(server: Server) -> None:
    story = await _story(server, "joined")
    await story.say("secret")
    await story.alice.set_state(story.room_id, "m.room.history_visibility", {"history_visibility": "shared"})
    await story.say("shared")
    await story.alice.set_state(story.room_id, "m.room.history_visibility", {"history_visibility": "world_readable"})
    await story.say("public")
    assert await story.seen(story.bob) == ["public"]
    await story.bob.join(story.room_id)
    assert await story.seen(story.bob) == ["shared", "public"]
    page = await story.bob.messages(story.room_id, limit=100)
    changes = [e["content"]["history_visibility"] for e in page["chunk"] if e["type"] == "m.room.history_visibility"]
    # Events that change the visibility are seen if either side of them is; before the first it is `shared`.
    assert changes == ["world_readable", "shared", "joined"]


async def test_a_profile_change_does_not_hide_what_came_before_it(server: Server) -> None:
    story = await _story(server, "joined")
    await story.bob.join(story.room_id)
    await story.say("before")
    member = {"membership": "join", "displayname": "Bobby"}
    await story.bob.set_state(story.room_id, "m.room.member", member, story.bob.user_id)
    await story.say("after")
    assert await story.seen(story.bob) == ["before", "after"]


async def test_forgotten_rooms_are_closed(server: Server) -> None:
    story = await _story(server, "shared")
    await story.bob.join(story.room_id)
    await story.say("hello")
    await story.bob.leave(story.room_id)
    assert await story.seen(story.bob) == ["hello"]
    await story.bob.post(("rooms", story.room_id, "forget"))
    await _refused(story.bob, story)


async def test_guests_peek_into_world_readable_rooms(server: Server) -> None:
    story = await _story(server, "world_readable")
    await story.say("hello")
    guest = await server.guest()
    assert await story.seen(guest) == ["hello"]
    state = await guest.get(("rooms", story.room_id, "state"))
    assert "m.room.create" in [event["type"] for event in state]
    assert await guest.state(story.room_id, "m.room.history_visibility") == {"history_visibility": "world_readable"}
    members = await guest.get(("rooms", story.room_id, "members"))
    assert [event["state_key"] for event in members["chunk"]] == [story.alice.user_id]
    page = await guest.messages(story.room_id, limit=1)
    assert page["chunk"][0]["unsigned"]["membership"] == "leave"


async def test_peeking_ends_when_the_room_is_closed_again(server: Server) -> None:
    story = await _story(server, "world_readable")
    await story.say("public")
    await story.alice.set_state(story.room_id, "m.room.history_visibility", {"history_visibility": "shared"})
    await story.say("private")
    await _refused(story.bob, story)


async def test_words_of_erased_users_stay_with_those_who_heard_them(server: Server) -> None:
    story = await _story(server, "shared")
    carol = await server.register("carol")
    await carol.join(story.room_id)
    await story.say("for carol only")
    await story.bob.join(story.room_id)
    await story.say("for both")
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}}
    auth["password"] = story.alice.password
    await story.alice.post("account/deactivate", {"auth": auth, "erase": True})

    async def contents(client: Client) -> list[Any]:
        page = await client.messages(story.room_id, limit=100, filter=json.dumps({"types": ["m.room.message"]}))
        return [event["content"].get("body") for event in page["chunk"]]

    assert await contents(carol) == ["for both", "for carol only"]
    assert await contents(story.bob) == ["for both", None]
    event = await story.bob.get(("rooms", story.room_id, "event", story.said["for carol only"]))
    assert event["content"] == {}
