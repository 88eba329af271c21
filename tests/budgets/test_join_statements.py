"""How many SQL statements somebody of another server takes to come in: as many into a large room as into a small one."""

from __future__ import annotations

from tests.federation.asker import member, stores
from tests.federation.conftest import Home
from tests.federation.doors import hand_in, made, make, open_room
from tests.federation.foreign_servers import ForeignServer
from tests.federation.peers import Peer

BOB = "@bob:peer.example"
TEMPLATE = 0
JOIN = 12
"""Four let it in (those of a transaction); four are for the answer: two find the state before the join, one what allowed it,
one all PDUs. One says that what we knew of the newcomer's devices may be old. Up to three are of the sender, who brings the
join to others, and may have begun before the answer is there.
"""


async def test_a_join(alpha: Home, peer: Peer) -> None:
    bob = ForeignServer(peer)
    alice = await alpha.server.register("alice")
    database = alpha.server.application.base.database
    taken = []
    for members in (1, 300):
        room_id = await open_room(alice)
        others = [member(f"@user{number}:other.example", "join") for number in range(members)]
        await stores(alpha.server, room_id, *others)
        await make(bob, alpha, "join", room_id, "@first:peer.example")  # also fetches the key
        before = database.statements
        join = await made(bob, alpha, "join", room_id, BOB)
        assert database.statements - before == TEMPLATE
        answer = await hand_in(bob, alpha, join)
        assert len(answer["state"]) > members
        taken.append(database.statements - before)
    assert max(taken) <= JOIN, taken
