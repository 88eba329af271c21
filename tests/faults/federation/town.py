"""Three of our servers, each a process with a database, a certificate and a name; between them ways that can be cut.

The databases are in one PostgreSQL, which nobody kills: `tests/faults/test_kills.py` does, and three of them take long to start.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from homeserver.commands.signing_key import DEFAULT_NAME, read_signing_key
from tests.cast import Server
from tests.faults.federation.roads import LOOPBACK, Roads
from tests.faults.process import ServerProcess, free_port
from tests.federation.asker import Asker
from tests.federation.authority import Authority
from tests.postgres import TestServer

ALPHA, BETA, GAMMA = NAMES = ("alpha.test", "beta.test", "gamma.test")
LAUNCHER = "tests.faults.federation.split_dns"
# Time, level, logger; then for a request its id, method, path and status. 502 and 504 are what servers that are away are.
COMPLAINT = re.compile(r"\S+ +(ERROR|CRITICAL) |\S+ +\w+ +requests \S+ \S+ \S+ 50[013] ")


@dataclass(slots=True)
class Town:
    """`seed` decides everything that is left to chance."""

    folder: Path
    authority: Authority
    postgres: TestServer
    seed: int
    databases: dict[str, str] = field(default_factory=dict)
    roads: Roads = field(init=False)
    processes: dict[str, ServerProcess] = field(default_factory=dict)

    def start(self) -> None:
        self.roads = Roads(random.Random(self.seed))
        ports = {name: free_port() for name in NAMES}
        self.roads.start(ports)
        for name, port in ports.items():
            self.databases[name] = asyncio.run(self.postgres.clone())
            self.processes[name] = self._process(name, port)
        with ThreadPoolExecutor() as threads:
            list(threads.map(ServerProcess.start, self.processes.values()))

    def _process(self, name: str, federation_port: int) -> ServerProcess:
        folder = self.folder / name
        folder.mkdir()
        (folder / "roads.json").write_text(json.dumps(self.roads.ports_of(name)))
        tls, client_port = self.authority.issue(name), free_port()
        certificate = {"certificate": str(tls.certificate), "private_key": str(tls.private_key)}
        # Federation beside clients is for the tests, which ask what one server tells another.
        here = {"bind": LOOPBACK, "port": client_port, "resources": ["client", "media", "federation"]}
        others = {"bind": LOOPBACK, "port": federation_port, "resources": ["federation", "keys"], "tls": certificate}
        settings: dict[str, object] = {
            "server_name": name,
            "database": {"url": self.dsn(name)},
            "listeners": [here, others],
            # How long a server that failed is left alone is what it is at home: the heal has to be quick with that.
            "federation": {"ca_file": str(self.authority.ca_file), "ip_denylist": []},
        }
        program = ("-m", LAUNCHER, str(folder / "roads.json"))
        return ServerProcess(folder, client_port, settings=settings, program=program)

    def stop(self) -> None:
        """Politely; nothing may have been cut meanwhile."""
        self.roads.heal()
        with ThreadPoolExecutor() as threads:
            list(threads.map(ServerProcess.stop, self.processes.values()))
        self.roads.stop()
        for database in self.databases.values():
            asyncio.run(self.postgres.drop(database))

    def dsn(self, name: str) -> str:
        """The database of a server."""
        return self.postgres.dsn_of(self.databases[name])

    def server(self, name: str, session: aiohttp.ClientSession) -> Server:
        """For its users."""
        return Server(session, self.processes[name].base_url, name)

    def asker(self, asker: str, server: Server) -> Asker:
        """One server of the town asks another; on a way of its own that is never cut."""
        return Asker(server, asker, read_signing_key(self.processes[asker].data_dir / DEFAULT_NAME))

    def complaints(self) -> list[str]:
        """Errors in the logs, and answers that say so."""
        lines = [line for each in self.processes.values() for line in each.log.read_text(errors="replace").splitlines()]
        return [line for line in lines if COMPLAINT.match(line)]
