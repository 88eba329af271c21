"""DTLS over memory: datagrams in, datagrams out, keys at the end of the handshake."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass

from OpenSSL import SSL

from voice.sfu.embedded.transport.certificate import fingerprint_of
from voice.sfu.embedded.transport.limits import DTLS_MTU, MAX_DATAGRAM
from voice.sfu.embedded.transport.srtp import SRTP_LABEL, Profile, profile_named

_RECORD_HEADER = 13
_MAX_PENDING = 64 * 1024
_WANTS_MORE = (SSL.WantReadError, SSL.WantWriteError, SSL.WantX509LookupError)


class DtlsFailed(Exception):  # noqa: N818 - reads like what happened
    """The handshake or the connection is over. The message is for our log, not for the peer."""


class DtlsClosed(DtlsFailed):
    """The peer said goodbye (close_notify)."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """What both sides encrypt media with."""

    profile: Profile
    client: bytes
    server: bytes


@dataclass(slots=True, eq=False)
class DtlsEndpoint:
    """One side of one association. Sends nothing itself: what wants to leave is taken with `outgoing`."""

    _connection: SSL.Connection
    connected: bool = False

    def handshake(self, datagram: bytes = b"") -> bool:
        """Take a datagram of the handshake; True once it is complete. Raises DtlsFailed.

        The peer's certificate is not looked at: `verify` and `keys` are for afterwards.
        """
        if datagram:
            self._connection.bio_write(datagram)
        try:
            self._connection.do_handshake()
        except _WANTS_MORE:
            return False
        except SSL.Error as error:
            raise DtlsFailed(_described(error)) from error
        self.connected = True
        return True

    def timeout(self) -> float | None:
        """Seconds until `handle_timeout`; None where nothing waits for an answer."""
        return None if self.connected else self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Repeat what may be lost. Raises DtlsFailed after too many times."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise DtlsFailed(_described(error)) from error

    def verify(self, algorithm: str, fingerprint: str) -> bool:
        """Whether the peer's certificate is the one of its description (RFC 8122 section 6)."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return False
        try:
            actual = fingerprint_of(certificate, algorithm.lower())
        except KeyError:
            return False
        return hmac.compare_digest(actual.encode(), fingerprint.strip().upper().encode())

    def keys(self) -> SrtpKeys | None:
        """None where the peer agreed to no profile of ours: it has only data to send."""
        profile = profile_named(self._connection.get_selected_srtp_profile())
        if profile is None:
            return None
        material = self._connection.export_keying_material(SRTP_LABEL, profile.material_bytes)
        return SrtpKeys(profile, profile.key_and_salt(material, 0), profile.key_and_salt(material, 1))

    def receive(self, datagram: bytes) -> Iterator[bytes]:
        """Application data of a datagram. Raises DtlsClosed and DtlsFailed; forged records are dropped silently.

        An empty datagram: what came with the end of the handshake.
        """
        if datagram:
            self._connection.bio_write(datagram)
        while True:
            try:
                yield self._connection.recv(MAX_DATAGRAM)
            except _WANTS_MORE:
                return
            except SSL.ZeroReturnError as error:
                raise DtlsClosed("Closed by the peer.") from error
            except SSL.Error as error:
                raise DtlsFailed(_described(error)) from error

    def send(self, data: bytes) -> bool:
        """Application data; False where it did not fit a record or the connection is over."""
        try:
            self._connection.send(data)
        except SSL.Error:
            return False
        return True

    def close(self) -> None:
        """Queue a close_notify."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            # In the middle of a handshake there is nobody to say goodbye to.
            return

    def outgoing(self) -> list[bytes]:
        """What wants to leave, as datagrams of at most the MTU where records allow it."""
        try:
            pending = self._connection.bio_read(_MAX_PENDING)
        except SSL.Error:
            return []
        return list(_datagrams(pending))


def _described(error: SSL.Error) -> str:
    reasons = [part for entry in error.args for part in _reasons(entry)]
    return f"DTLS: {'; '.join(reasons) or 'error'}."


def _reasons(entry: object) -> list[str]:
    """pyOpenSSL gives a list of (library, function, reason)."""
    if not isinstance(entry, list):
        return []
    return [str(item[-1]) for item in entry if isinstance(item, tuple) and item]


def _datagrams(pending: bytes) -> Iterator[bytes]:
    """A memory BIO forgets where datagrams ended; records tell (RFC 6347 section 4.1), and may share one."""
    start = end = 0
    while end < len(pending):
        record = _RECORD_HEADER + int.from_bytes(pending[end + 11 : end + 13], "big")
        if end > start and end + record - start > DTLS_MTU:
            yield pending[start:end]
            start = end
        end += record
    yield pending[start:]


def new_endpoint(context: SSL.Context, *, server: bool = True) -> DtlsEndpoint:
    connection = SSL.Connection(context)
    if server:
        connection.set_accept_state()
    else:
        connection.set_connect_state()
    connection.set_ciphertext_mtu(DTLS_MTU)
    return DtlsEndpoint(connection)
