"""Peers that are no lite agents, as LiveKit's server: they check us too, and tell their candidates one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from aioice import stun

from voice.participant.connection import Connection
from voice.participant.ice import Credentials, IceAgent
from voice.participant.paths import Address, Arrived, RemoteCandidate
from voice.sfu.embedded.sdp import Description, parse

OURS, THEIRS = Credentials("ours", "o" * 32), Credentials("theirs", "t" * 32)
SFU: Address = ("192.0.2.7", 4000)
ANSWER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 1
a=fingerprint:sha-256 {fingerprint}
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=setup:passive
a=mid:1
a=ice-ufrag:theirs
a=ice-pwd:{password}
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=sendonly
"""


def check(password: str) -> stun.Message:
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = "ours:theirs"
    request.attributes["ICE-CONTROLLED"] = 1
    request.add_message_integrity(password.encode())
    request.add_fingerprint()
    return request


def agent(sent: list[tuple[bytes, Address]]) -> IceAgent:
    return IceAgent(OURS, THEIRS, [SFU], lambda packet, to: sent.append((packet, to)), lambda: None)


def test_a_check_is_answered_with_our_password() -> None:
    sent: list[tuple[bytes, Address]] = []
    request = check(OURS.password)
    agent(sent).arrived(bytes(request))
    ((packet, to),) = sent
    answer = stun.parse_message(packet)
    assert (answer.message_class, answer.transaction_id, to) == (stun.Class.RESPONSE, request.transaction_id, SFU)
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == SFU
    assert answer.check_message_integrity(OURS.password.encode())


@pytest.mark.parametrize("password", ["m" * 32, THEIRS.password])
def test_mallorys_check_is_not_answered(password: str) -> None:
    sent: list[tuple[bytes, Address]] = []
    agent(sent).arrived(bytes(check(password)))
    assert sent == []


@dataclass
class RecordedPath:
    opened: list[Sequence[RemoteCandidate]] = field(default_factory=list)

    async def open(self, candidates: Sequence[RemoteCandidate], arrived: Arrived) -> Sequence[Address]:
        self.opened.append(candidates)
        return [candidate.address for candidate in candidates]

    def send(self, packet: bytes, to: Address) -> None: ...

    def close(self) -> None: ...


def answer() -> Description:
    text = ANSWER.format(fingerprint=":".join(["AB"] * 32), password="t" * 32)
    return parse(text.replace("\n", "\r\n"))


async def test_trickled_candidates_are_waited_for_until_the_last() -> None:
    path = RecordedPath()
    connection = Connection(path, lambda: None, lambda _: None, lambda _: None, lambda _: None)
    connection.remote(answer())
    connection.trickled("1 1 udp 2130706431 2001:db8::7 4000 typ host", final=False)
    await asyncio.sleep(0)
    assert path.opened == []
    connection.trickled("2 1 udp 2130706431 192.0.2.7 4000 typ host", final=True)
    await asyncio.sleep(0)
    assert [[candidate.address[0] for candidate in one] for one in path.opened] == [["2001:db8::7", "192.0.2.7"]]
    connection.close()


async def test_candidates_may_come_before_the_answer() -> None:
    path = RecordedPath()
    connection = Connection(path, lambda: None, lambda _: None, lambda _: None, lambda _: None)
    connection.trickled("2 1 udp 2130706431 192.0.2.7 4000 typ host", final=True)
    connection.remote(answer())
    await asyncio.sleep(0)
    assert len(path.opened) == 1
    connection.close()
