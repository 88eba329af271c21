"""Data packets: who gets them, and who they are from."""

from __future__ import annotations

from dataclasses import replace

from livekit.protocol import models

from tests.voice.rooms.stage import LIMITS, ROOM, Person, set_stage


def sends(person: Person, packet: models.DataPacket | bytes, label: str = "_reliable") -> None:
    payload = packet if isinstance(packet, bytes) else packet.SerializeToString()
    person.transports[0].observer.data_arrived(label, payload)


def got(person: Person) -> list[models.DataPacket]:
    return [models.DataPacket.FromString(payload) for _, payload in person.transports[-1].data]


def hello(**more: object) -> models.DataPacket:
    return models.DataPacket(user=models.UserPacket(payload=b"hello", topic="chat"), **more)  # type: ignore[arg-type]


async def test_mallory_cannot_speak_for_alice() -> None:
    stage = set_stage()
    alice, mallory, bob = stage.in_a_call("alice", "mallory", "bob")
    forged = hello(participant_identity="alice", participant_sid=alice.sid, kind=models.DataPacket.LOSSY, sequence=9)
    forged.user.participant_identity = "alice"

    sends(mallory, forged)

    (packet,) = got(bob)
    assert (packet.participant_identity, packet.participant_sid) == ("mallory", mallory.sid)
    assert (packet.user.participant_identity, packet.user.participant_sid) == ("mallory", mallory.sid)
    assert (packet.kind, packet.sequence, packet.user.payload) == (models.DataPacket.RELIABLE, 9, b"hello")
    assert got(mallory) == []


async def test_it_goes_to_those_it_is_meant_for() -> None:
    stage = set_stage()
    alice, bob, carol = stage.in_a_call("alice", "bob", "carol")

    sends(alice, hello(destination_identities=["bob"]))
    to_carol = hello()
    to_carol.user.destination_sids.append(carol.sid)
    sends(alice, to_carol, "_lossy")

    assert [label for label, _ in bob.transports[0].data] == ["_reliable"]
    assert [label for label, _ in carol.transports[0].data] == ["_lossy"]


async def test_what_is_no_packet_of_a_client_goes_nowhere() -> None:
    stage = set_stage()
    mallory, bob = stage.in_a_call("mallory", "bob")

    sends(mallory, b"\xff\xff")
    sends(mallory, models.DataPacket())
    sends(mallory, models.DataPacket(speaker=models.ActiveSpeakerUpdate()))
    sends(mallory, hello(), "_data_track")
    sends(mallory, models.DataPacket(user=models.UserPacket(payload=bytes(20_000))))

    assert got(bob) == []


async def test_who_may_not_send_data_sends_none() -> None:
    stage = set_stage()
    bob, mallory = stage.in_a_call("bob", "mallory", grant={"can_publish_data": False})

    sends(mallory, hello())

    assert got(bob) == []


async def test_a_flood_is_cut() -> None:
    stage = set_stage(replace(LIMITS, data_packets_per_second=10, data_burst_seconds=1))
    mallory, bob = stage.in_a_call("mallory", "bob")

    for _ in range(100):
        sends(mallory, hello())
    assert len(got(bob)) == 10
    stage.time.advance(500)
    for _ in range(100):
        sends(mallory, hello())

    assert len(got(bob)) == 15


async def test_the_server_speaks_to_all_or_to_some() -> None:
    stage = set_stage()
    alice, bob = stage.in_a_call("alice", "bob")

    stage.server.send_data(ROOM, "notice", b"to all")
    stage.server.send_data(ROOM, "notice", b"to bob", ["bob"])
    stage.server.send_data("cellar", "notice", b"to nobody")

    assert [packet.user.payload for packet in got(alice)] == [b"to all"]
    assert [packet.user.payload for packet in got(bob)] == [b"to all", b"to bob"]
    assert (got(bob)[0].user.topic, got(bob)[0].participant_identity) == ("notice", "")
