"""Mallory talks nonsense on her WebSocket for as long as it is wanted."""

from __future__ import annotations

from random import Random

from livekit.protocol import models, rtc

from tests.voice.hostile.nonsense import KINDS, mutated_text, request
from tests.voice.rooms.stage import Person, Stage, set_stage, settled

ENDING = {"leave", "simulate"}
LOOK_EVERY = 20


def words_of(*people: Person) -> list[str]:
    """Names that mean something in this room."""
    found = ["kitchen", "audio0", "0", "1", "2", "org.voicechat.priority"]
    for person in people:
        participant = person.session.participant
        found += [participant.sid, participant.identity, *person.tracks, person.sdp()]
        found += [track.cid for track in participant.publications]
    return found


def assert_alice_still_reaches_bob(alice: Person, bob: Person) -> None:
    """A new track of hers finds its way to him."""
    sid = alice.publishes()
    bob.offers()
    assert sid
    assert sid in bob.hears()


async def babble(seed: int, *, single: bool, requests: int) -> None:
    """Requests of every kind with random fields, while Alice and Bob are in a call."""
    stage, random = set_stage(), Random(seed)
    alice, bob = stage.in_a_call("alice", "bob")
    alice.publishes()
    bob.offers()
    mallory = stage.joins("mallory", single=single)
    for number in range(requests):
        if mallory.session.participant.gone:
            mallory = stage.joins("mallory", single=single)
        kind = random.choice(KINDS)
        if kind in ENDING and random.random() < 0.7:
            continue
        mallory.session.handle(request(kind, random, words_of(alice, bob, mallory)))
        if number % LOOK_EVERY == 0:
            await _time_goes_by(stage, alice, bob, mallory)
    await settled()
    assert not alice.signal.closed
    assert_alice_still_reaches_bob(alice, bob)


async def _time_goes_by(stage: Stage, *people: Person) -> None:
    await settled()
    stage.time.advance(500)
    for person in people:
        person.media()
    stage.server.rounds.sweep()
    stage.server.rounds.tell_speakers()
    stage.server.rounds.tell_qualities()


async def mumble(seed: int, *, descriptions: int) -> int:
    """Broken offers and answers in every state of a session: new, negotiated, publishing, connected. How many ended one."""
    stage, random = set_stage(), Random(seed)
    alice, bob = stage.in_a_call("alice", "bob")
    alice.publishes()
    bob.publishes("video", models.CAMERA)
    ended = 0
    for number in range(descriptions):
        mallory = _somewhere_on_her_way(stage, number)
        if mallory.session.participant.gone:
            continue
        broken = mutated_text(random, mallory.sdp())
        description = rtc.SessionDescription(type=random.choice(("offer", "answer", "")), sdp=broken, id=number)
        mallory.asks(**{random.choice(("offer", "offer", "answer")): description})
        ended += mallory.session.participant.gone
    await settled()
    assert_alice_still_reaches_bob(alice, bob)
    return ended


def _somewhere_on_her_way(stage: Stage, number: int) -> Person:
    mallory = stage.joins("mallory", single=number % 2 == 0)
    mallory.listens(audio=1, video=1)
    if number % 3:
        mallory.offers()
    if number % 5 == 0:
        mallory.publishes()
        mallory.connects()
    return mallory
