"""How many SQL statements a transaction of another server takes: as many for fifty events as for one."""

from __future__ import annotations

from tests.federation.conftest import Home
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer
from tests.federation.shared_rooms import BOB, shared_room

TRANSACTION = 5
"""Two are for repetitions, one asks what is known, one what receiving needs to know, one writes."""


async def test_messages_of_a_room(alpha: Home, peer: Peer) -> None:
    bobs = ForeignServer(peer)
    _, room = await shared_room(alpha, bobs)
    await bobs.send(alpha.server, [room.send(BOB, "the first one also fetches the key")])
    database = alpha.server.application.base.database
    taken = []
    for count in (1, 10, 50):
        events = [room.send(BOB, str(number)) for number in range(count)]
        before = database.statements
        answer = await bobs.send(alpha.server, events)
        assert answer == {event.event_id: {} for event in events}
        taken.append(database.statements - before)
    assert taken[0] == taken[1] == taken[2] <= TRANSACTION, taken


async def test_a_transaction_without_news(alpha: Home, peer: Peer) -> None:
    bobs = ForeignServer(peer)
    _, room = await shared_room(alpha, bobs)
    event = room.send(BOB, "hello")
    await bobs.send(alpha.server, [event])
    database = alpha.server.application.base.database
    before = database.statements
    await bobs.send(alpha.server, [event])
    assert database.statements - before == 3
    await bobs.send(alpha.server, [], txn_id="again")
    before = database.statements
    await bobs.send(alpha.server, [], txn_id="again")
    assert database.statements - before == 1
