"""m.room.server_acl: nobody shuts his own server out of a room by mistake, for nobody of it could undo that."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from homeserver.protocol.errors import BadJson
from homeserver.protocol.identifiers import parse_server_name
from homeserver.protocol.server_acl import check_server_acl, server_is_allowed

SERVER_ACL = "m.room.server_acl"


def check_own_acl(content: dict[str, Any], server_name: str) -> None:
    """`server_name`: of this server. Raises BadJson."""
    check_server_acl(content)
    if not server_is_allowed(server_name, content) and not _is_one_of_a_machine(server_name):
        raise BadJson("This would shut this server out of the room")


def _is_one_of_a_machine(server_name: str) -> bool:
    """Whether this server and all that it can talk to are of one machine, told apart by ports.

    Lists of servers name hosts ("excluding any port information"): there, any other server is named by our name, too.
    """
    address = parse_server_name(server_name)
    is_loopback = address.host == "localhost" or (address.is_ip_literal and ip_address(address.host).is_loopback)
    return is_loopback and address.port is not None
