"""Asking a directory: bind, search, bind as who was found. Blocking: runs in threads, see ask.py.

Referrals are not followed: they would take the password to a server of somebody else's choice.
"""

from __future__ import annotations

import logging
import math
import queue
import secrets
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from homeserver.services.ldap.directory import (
    Directory,
    Entry,
    claims_of,
    group_search,
    id_of,
    id_search,
    texts_of,
    user_search,
)

INVALID_CREDENTIALS: Final = 49
SIZE_LIMIT_EXCEEDED: Final = 4
SUCCESS: Final = 0
NO_SUCH_OBJECT: Final = 32
MAX_GROUPS: Final = 10_000
# A server that closes what is idle says so only when it is asked.
IDLE_S: Final = 60.0

log = logging.getLogger(__name__)
T = TypeVar("T")


class DirectoryDown(Exception):  # noqa: N818
    """It cannot be asked now, or refuses to be asked by us."""


@dataclass(frozen=True, slots=True)
class LdapClient:
    """Holds at most `kept` connections that are idle. Safe to be used by several threads."""

    directory: Directory
    kept: int = 4
    _idle: queue.LifoQueue[tuple[Any, float]] = field(default_factory=queue.LifoQueue)

    def check(self, name: str, external_id: str | None, password: str) -> Entry | None:
        """Whoever calls himself `name` (or has `external_id`), if the password is his. Raises DirectoryDown.

        Somebody who is not there costs as much as a wrong password: a bind.
        """
        if not password:
            # "Servers SHOULD by default fail Unauthenticated Bind requests", but many let them succeed (RFC 4513 5.1.2).
            return None
        wanted = user_search(self.directory, name) if external_id is None else id_search(self.directory, external_id)
        found = self._as_reader(lambda connection: self._find(connection, wanted))
        dn, raw = found if found is not None else (f"cn={secrets.token_hex(8)},{self.directory.base_dn}", {})
        is_right = self._is_password(dn, password)
        if found is None or not is_right:
            return None
        own_id = id_of(self.directory, raw)
        if own_id is None:
            log.warning("%s has no %s: nobody without one signs in", dn, self.directory.id_attribute)
            return None
        groups = self._as_reader(lambda connection: self._groups(connection, dn, name))
        return Entry(dn, own_id, claims_of(self.directory, raw, groups))

    def close(self) -> None:
        """Let all connections go."""
        while (connection := self._take()) is not None:
            _unbind(connection)

    def _as_reader(self, work: Callable[[Any], T]) -> T:
        """With a connection that may search. One that was idle may be dead: then once more, with a new one."""
        import ldap3.core.exceptions as ldap_errors

        idle = self._take()
        if idle is not None:
            try:
                return self._work(idle, work)
            except (ldap_errors.LDAPExceptionError, OSError):
                pass
        try:
            return self._work(self._new_reader(), work)
        except (ldap_errors.LDAPExceptionError, OSError) as error:
            raise DirectoryDown(type(error).__name__) from error

    def _work(self, connection: Any, work: Callable[[Any], T]) -> T:
        try:
            result = work(connection)
        except BaseException:
            _unbind(connection)
            raise
        self._give_back(connection)
        return result

    def _new_reader(self) -> Any:
        directory = self.directory
        connection = self._connect(directory.bind_dn, directory.bind_password)
        try:
            bound = connection.bind()
        except BaseException:
            _unbind(connection)
            raise
        if not bound:
            _unbind(connection)
            raise DirectoryDown(f"it refuses bind_dn: {connection.result.get('description')}")
        return connection

    def _is_password(self, dn: str, password: str) -> bool:
        import ldap3.core.exceptions as ldap_errors

        try:
            connection = self._connect(dn, password)
            try:
                is_right = bool(connection.bind())
                code = connection.result.get("result")
            finally:
                _unbind(connection)
        except (ldap_errors.LDAPExceptionError, OSError) as error:
            raise DirectoryDown(type(error).__name__) from error
        if not is_right and code != INVALID_CREDENTIALS:
            # Expired, locked, not allowed to sign in now.
            log.info("the directory does not let %s in: code %s", dn, code)
        return is_right

    def _connect(self, dn: str | None, password: str | None) -> Any:
        """A connection with TLS where it is wanted, not bound yet."""
        import ldap3

        transport = self.directory.transport
        verify = ssl.CERT_REQUIRED if transport.verify_tls else ssl.CERT_NONE
        ca_file = None if transport.ca_file is None else str(transport.ca_file)
        server = ldap3.Server(
            transport.url,
            get_info=ldap3.NONE,
            connect_timeout=transport.timeout_s,
            tls=ldap3.Tls(validate=verify, ca_certs_file=ca_file),
            allowed_referral_hosts=[],
        )
        connection = ldap3.Connection(
            server,
            dn,
            password,
            authentication=ldap3.ANONYMOUS if dn is None else ldap3.SIMPLE,
            auto_bind=ldap3.AUTO_BIND_NONE,
            auto_referrals=False,
            check_names=False,
            # Whole seconds: it becomes a socket option.
            receive_timeout=math.ceil(transport.timeout_s),
        )
        connection.open(read_server_info=False)
        if transport.start_tls and not transport.url.startswith("ldaps:") and not connection.start_tls(False):
            _unbind(connection)
            raise DirectoryDown("it takes no StartTLS")
        return connection

    def _find(self, connection: Any, wanted: str) -> tuple[str, Mapping[str, Sequence[bytes]]] | None:
        directory = self.directory
        names = [*directory.attributes, directory.id_attribute, *filter(None, [directory.member_of])]
        # Two are as many as it takes to know that a name is not one person's.
        entries = _search(connection, directory.base_dn, wanted, names, 2, directory.transport.timeout_s)
        if len(entries) > 1:
            log.warning("several entries of the directory fit %r: nobody of them signs in", wanted)
        return (entries[0]["dn"], entries[0]["raw_attributes"]) if len(entries) == 1 else None

    def _groups(self, connection: Any, dn: str, name: str) -> list[str]:
        directory = self.directory
        if directory.group_base_dn is None:
            return []
        wanted, attribute = group_search(directory, dn, name), directory.group_attribute
        entries = _search(
            connection, directory.group_base_dn, wanted, [attribute], MAX_GROUPS, directory.transport.timeout_s
        )
        return [text for each in entries for text in texts_of(each["raw_attributes"], attribute)]

    def _take(self) -> Any | None:
        while True:
            try:
                connection, since = self._idle.get_nowait()
            except queue.Empty:
                return None
            if time.monotonic() - since < IDLE_S:
                return connection
            _unbind(connection)

    def _give_back(self, connection: Any) -> None:
        if self._idle.qsize() < self.kept:
            self._idle.put((connection, time.monotonic()))
        else:
            _unbind(connection)


def _search(
    connection: Any, base_dn: str, wanted: str, names: Sequence[str], size_limit: int, timeout_s: float
) -> list[Any]:
    """Entries, without references to other servers. Raises DirectoryDown where it does not answer the question."""
    connection.search(base_dn, wanted, attributes=list(names), size_limit=size_limit, time_limit=math.ceil(timeout_s))
    code = connection.result.get("result")
    if code not in (SUCCESS, SIZE_LIMIT_EXCEEDED, NO_SUCH_OBJECT):
        raise DirectoryDown(f"it does not search: {connection.result.get('description')}")
    return [each for each in connection.response or () if each.get("type") == "searchResEntry"]


def _unbind(connection: Any) -> None:
    try:
        connection.unbind()
    except Exception as error:
        log.debug("closing a connection to the directory: %s", error)
