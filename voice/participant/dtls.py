"""DTLS client (RFC 5764), whose only purpose are the keys of SRTP; what comes through it is read and forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from OpenSSL import SSL
from pylibsrtp import Session

from voice.sfu.embedded.sdp import Fingerprint
from voice.sfu.embedded.transport import srtp
from voice.sfu.embedded.transport.certificate import Identity, fingerprint_of

_MTU = 1200
_CLIENT, _SERVER = 0, 1


@dataclass(slots=True)
class DtlsClient:
    identity: Identity
    peer: Fingerprint
    send: Callable[[bytes], None]
    on_keys: Callable[[Session, Session], None]
    """With the session that protects what we send, and the one that opens what we receive."""
    on_failure: Callable[[str], None]
    _connection: SSL.Connection = field(init=False)
    _timer: asyncio.TimerHandle | None = None
    _done: bool = False

    def __post_init__(self) -> None:
        self._connection = SSL.Connection(self.identity.context)
        self._connection.set_ciphertext_mtu(_MTU)
        self._connection.set_connect_state()

    def start(self) -> None:
        self._handshake()

    def arrived(self, datagram: bytes) -> None:
        self._connection.bio_write(datagram)
        if not self._done:
            self._handshake()
        else:
            self._drain()

    def close(self) -> None:
        """Says goodbye to a peer we have keys with."""
        if self._timer is not None:
            self._timer.cancel()
        if self._done:
            try:
                self._connection.shutdown()
            except SSL.Error:
                return
            self._flush()

    # --- handshake ---------------------------------------------------------------------------------------------

    def _handshake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._flush()
            self._arm()
            return
        except SSL.Error as error:
            self._fail(f"DTLS: {error!r}")
            return
        self._flush()
        self._finish()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        pause = self._connection.DTLSv1_get_timeout()
        if pause is not None:
            self._timer = asyncio.get_running_loop().call_later(max(float(pause), 0.01), self._repeat)

    def _repeat(self) -> None:
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            self._fail(f"DTLS: {error!r}")
            return
        self._flush()
        self._arm()

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None or fingerprint_of(certificate, self.peer.algorithm) != self.peer.value:
            self._fail("The certificate is not the one of the answer.")
            return
        profile = srtp.profile_named(self._connection.get_selected_srtp_profile())
        if profile is None:
            self._fail("No SRTP profile was agreed on.")
            return
        self._done = True
        material = self._connection.export_keying_material(srtp.SRTP_LABEL, profile.material_bytes)
        self.on_keys(
            srtp.outgoing(profile, profile.key_and_salt(material, _CLIENT)),
            srtp.incoming(profile, profile.key_and_salt(material, _SERVER)),
        )

    def _fail(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.on_failure(reason)

    # --- records -----------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        try:
            while flight := self._connection.bio_read(65_536):
                self.send(flight)
        except SSL.WantReadError:
            return

    def _drain(self) -> None:
        try:
            while self._connection.recv(4096):
                pass
        except SSL.ZeroReturnError:
            self._done = False
            self._fail("The SFU closed the connection.")
        except SSL.Error:
            return
