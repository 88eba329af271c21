"""Alice at alpha cleans up after Bob of another server."""

from __future__ import annotations

import pytest

from tests.federation.conftest import Home
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer
from tests.federation.shared_rooms import BOB, shared_room
from tests.voice.waiting import until

MSC4194 = "/_matrix/client/unstable/org.matrix.msc4194"


@pytest.fixture
def foreign(peer: Peer) -> ForeignServer:
    return ForeignServer(peer)


async def test_what_came_after_the_ban_is_redacted_too(alpha: Home, foreign: ForeignServer) -> None:
    alice, room = await shared_room(alpha, foreign)
    seen = room.send(BOB, "spam")
    await foreign.send(alpha.server, [seen])
    await alice.ban(room.room_id, BOB)
    # Built where Bob was still in the room: allowed there, not shown here.
    late = room.send(BOB, "more spam")
    await foreign.send(alpha.server, [late])
    assert "more spam" not in str(await alice.messages(room.room_id))
    answer = await alice.post(f"{MSC4194}/rooms/{room.room_id}/redact/user/{BOB}", {"reason": "spam"})
    # The join, too.
    assert answer == {"is_more_events": False, "redacted_events": {"total": 3, "soft_failed": 1}}
    again = await alice.post(f"{MSC4194}/rooms/{room.room_id}/redact/user/{BOB}", {})
    assert again["redacted_events"] == {"total": 0, "soft_failed": 0}
    chunk = (await alice.messages(room.room_id, limit=100))["chunk"]
    redacted = {event.get("redacts") for event in chunk if event["type"] == "m.room.redaction"}
    assert {seen.event_id, late.event_id} <= redacted
    await until(lambda: foreign.received)
