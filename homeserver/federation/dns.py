"""Questions to the DNS. Addresses come from the operating system, which knows hosts files too; SRV from dnspython."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import dns.asyncresolver
import dns.exception
import dns.rdtypes.IN.SRV
import dns.resolver

LOOKUP_THREADS: Final = 64
"""Threads of their own: names that take long to answer must not keep other work from its threads."""
SERVICE_LIFETIME_S: Final = 5.0
NOT_FOUND_TTL_S: Final = 300
FAILED_TTL_S: Final = 60


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where to connect to."""

    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record (RFC 2782). The target "." says that there is no such service."""

    target: str
    port: int
    priority: int = 0
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Services:
    """The SRV records of a name; none where there is no such name. They may be remembered for `ttl_s` seconds."""

    records: Sequence[Service]
    ttl_s: int


class Dns(Protocol):
    """What the resolver asks."""

    async def addresses(self, host: str, port: int) -> Sequence[SocketAddress]:
        """A and AAAA, CNAMEs followed. Raises OSError where there are none."""
        ...

    async def services(self, name: str) -> Services:
        """SRV. A DNS server that fails is as good as one that has none: a certificate decides in the end."""
        ...

    def close(self) -> None:
        """No more questions."""
        ...


def _lookup_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="dns")


@dataclass(slots=True)
class SystemDns:
    """The DNS as this machine is configured to use it."""

    _threads: ThreadPoolExecutor = field(default_factory=_lookup_threads)

    async def addresses(self, host: str, port: int) -> Sequence[SocketAddress]:
        def look_up() -> list[SocketAddress]:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            return [SocketAddress(str(address[0]), int(address[1])) for *_, address in found]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)

    async def services(self, name: str) -> Services:
        try:
            answer = await dns.asyncresolver.resolve(name, "SRV", lifetime=SERVICE_LIFETIME_S)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Services((), NOT_FOUND_TTL_S)
        except (dns.exception.DNSException, OSError):
            return Services((), FAILED_TTL_S)
        records = [_service(cast(dns.rdtypes.IN.SRV.SRV, record)) for record in answer]
        return Services(records, answer.rrset.ttl if answer.rrset is not None else NOT_FOUND_TTL_S)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._threads.shutdown(wait=False, cancel_futures=True)


def _service(record: dns.rdtypes.IN.SRV.SRV) -> Service:
    return Service(record.target.to_text(omit_final_dot=True) or ".", record.port, record.priority, record.weight)
