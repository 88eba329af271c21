"""`split_dns.py FILE ...` is `python -m homeserver ...` with a DNS of its own: each server finds the others at the ways that
lead from it to them. FILE: name of a server -> port on this machine, in JSON.

Everything else is as it is at home. SRV records say where, so that names of servers need no port and certificates are
for names.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import homeserver.composition.federation as composition
from homeserver.federation.dns import Service, Services, SocketAddress

SERVICE = "_matrix-fed._tcp."


@dataclass(frozen=True, slots=True)
class SplitDns:
    """What this server is told. Nobody has a web server: there is no delegation."""

    ports: Mapping[str, int]

    async def addresses(self, host: str, port: int) -> Sequence[SocketAddress]:
        if self.ports.get(host) != port:
            raise OSError(f"there is no {host}:{port} in this test")
        return [SocketAddress("127.0.0.1", port)]

    async def services(self, name: str) -> Services:
        port = self.ports.get(name.removeprefix(SERVICE))
        host = name.removeprefix(SERVICE)
        return Services(() if port is None else (Service(host, port),), 300)

    def close(self) -> None:
        """Nothing is open."""


def main() -> None:
    ports = json.loads(Path(sys.argv.pop(1)).read_text())
    composition.SystemDns = lambda: SplitDns(ports)  # type: ignore[assignment,misc]
    runpy.run_module("homeserver", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
