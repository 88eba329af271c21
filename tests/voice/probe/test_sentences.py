"""What a call means for the operator."""

from __future__ import annotations

from typing import Literal

from voice.participant.paths import RemoteCandidate
from voice.probe.call import Call, Failure, Sound, Stage
from voice.probe.finding import Finding, Mark
from voice.probe.reach import Reached
from voice.probe.sentences import Scene, of_addresses, of_path, of_ports, of_signalling, of_sound

HOME = Scene("http://localhost:8008", ["127.0.0.1"])
PUBLIC = Scene("https://matrix.example.org", ["8.8.8.8"])


def sound(sent: int = 150, received: int = 150, jitter_ms: float = 2.0) -> Sound:
    return Sound(sent, received, 20, 30, jitter_ms)


def at(host: str, *, answers: bool, told: bool = True, protocol: Literal["udp", "tcp"] = "udp") -> Reached:
    return Reached(RemoteCandidate(protocol, (host, 10_000)), told, answers)


def failed(stage: Stage, *reached: Reached, heard: bool = False, reason: str = "") -> Call:
    return Call(failure=Failure(stage, reason), heard_by_sfu=heard, reached=reached)


def only(call: Call, scene: Scene = PUBLIC) -> Finding:
    (finding,) = of_path("UDP", call, scene)
    return finding


def test_two_in_a_hundred_may_be_lost() -> None:
    assert of_sound("UDP", sound(received=147)).mark is Mark.OK
    lossy = of_sound("UDP", sound(received=120))
    assert lossy.mark is Mark.WRONG
    assert lossy.sentence.startswith("UDP loses 20 % of the sound: 120 of 150 packets arrived")


def test_jitter_is_heard_from_thirty_milliseconds_on() -> None:
    assert of_sound("UDP", sound(jitter_ms=30)).mark is Mark.OK
    assert of_sound("UDP", sound(jitter_ms=31)).sentence.startswith("UDP is unsteady")


def test_private_addresses_behind_a_public_name_are_the_reason() -> None:
    finding = only(failed(Stage.ICE, at("10.0.0.5", answers=False)))
    assert "clients are told 10.0.0.5, which the Internet does not reach" in finding.sentence
    assert "set voice.advertise" in finding.sentence


def test_private_addresses_are_wrong_also_where_the_test_reached_them() -> None:
    call = Call(sound=sound(), reached=[at("192.168.1.5", answers=True)])
    assert only(call).mark is Mark.OK
    (finding,) = of_addresses(call.reached, PUBLIC)
    assert finding.mark is Mark.WRONG
    assert finding.sentence.startswith("From elsewhere nobody is heard: clients are told 192.168.1.5")


def test_a_server_for_the_house_may_be_private() -> None:
    (finding,) = of_addresses([at("192.168.1.5", answers=True)], HOME)
    assert finding.mark is Mark.NOTE
    assert "public_baseurl" in finding.sentence


def test_voice_may_be_elsewhere_than_the_proxy() -> None:
    assert list(of_addresses([at("8.8.8.8", answers=True), at("10.0.0.5", answers=True)], PUBLIC)) == []
    (finding,) = of_addresses([at("9.9.9.9", answers=True)], PUBLIC)
    assert finding.mark is Mark.NOTE
    assert "Clients are told 9.9.9.9 for voice, while https://matrix.example.org is at 8.8.8.8" in finding.sentence


def test_a_router_that_does_not_lead_its_own_address_back() -> None:
    call = failed(Stage.ICE, at("8.8.8.8", answers=False), at("10.0.0.5", answers=True, told=False))
    sentence = only(call).sentence
    assert "UDP port 10000 cannot be reached from here at 8.8.8.8:10000" in sentence
    assert "it answers at 10.0.0.5:10000" in sentence
    assert "test from another network" in sentence


def test_a_public_address_that_is_silent_beside_a_private_one_that_answers() -> None:
    call = Call(sound=sound(), reached=[at("8.8.8.8", answers=False), at("10.0.0.5", answers=True)])
    works, doubt = of_path("UDP", call, PUBLIC)
    assert works.mark is Mark.OK
    assert doubt.mark is Mark.NOTE
    assert "UDP at 8.8.8.8:10000 does not answer from here" in doubt.sentence


def test_sound_that_goes_one_way_only() -> None:
    assert "does not come back" in only(failed(Stage.MEDIA, heard=True)).sentence
    assert "no sound gets through" in only(failed(Stage.MEDIA)).sentence


def test_encryption_that_does_not_come_about() -> None:
    sentence = only(failed(Stage.DTLS, at("8.8.8.8", answers=True), reason="DTLS: Error()")).sentence
    assert sentence.startswith("UDP answers, but encryption (DTLS) does not come about (DTLS: Error())")


def test_a_path_that_answers_now_and_then() -> None:
    assert "only now and then" in only(failed(Stage.ICE, at("8.8.8.8", answers=True))).sentence


def test_no_address_at_all() -> None:
    assert only(failed(Stage.ICE)).sentence.startswith("Clients are told of no UDP address at all")


def test_only_ports_that_were_not_tested_are_named() -> None:
    tested = [at("8.8.8.8", answers=True)]
    assert list(of_ports([10_000], tested)) == []
    assert list(of_ports([], tested)) == []
    (finding,) = of_ports([10_000, 10_001], tested)
    assert "port 10001, UDP and TCP" in finding.sentence


def test_a_proxy_that_takes_short_addresses_only() -> None:
    finding = of_signalling("wss://matrix.example.org/livekit/sfu/0", Failure(Stage.SIGNALLING, "", 414))
    assert "large_client_header_buffers" in finding.sentence
