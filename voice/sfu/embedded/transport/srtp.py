"""SRTP in place, on buffers that are used again.

`pylibsrtp`'s class copies each packet twice and makes a new length each time; the functions of its binding take the
caller's buffer at half the price (decision 0012). The binding is no public interface: where it is missing, functions
with the same signature wrap the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cffi
import pylibsrtp
from pylibsrtp import Policy, Session

from voice.sfu.embedded.transport.limits import REPLAY_WINDOW

ffi = cffi.FFI()

InPlace = Callable[[Any, Any, Any], int]
"""(context, pointer to the packet, pointer to its length as int): not 0 where it was refused, then the packet is void."""

SRTP_LABEL = b"EXTRACTOR-dtls_srtp"
TRAILER = 16 + 4 + 128
"""Bytes a packet may grow by: the longest tag, the SRTCP index, the longest MKI."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A protection profile of DTLS-SRTP (RFC 5764 section 4.1.2, RFC 7714 section 14.2)."""

    name: bytes
    number: int
    key_bytes: int
    salt_bytes: int

    @property
    def material_bytes(self) -> int:
        return 2 * (self.key_bytes + self.salt_bytes)

    def key_and_salt(self, material: bytes, side: int) -> bytes:
        """Of the client (0) or the server (1): both keys come before both salts (RFC 5764 section 4.2)."""
        salts = 2 * self.key_bytes
        key = material[side * self.key_bytes : (side + 1) * self.key_bytes]
        return key + material[salts + side * self.salt_bytes : salts + (side + 1) * self.salt_bytes]


# 128 before 256: half the rounds for each packet, and no known attack tells them apart.
_ALL_PROFILES = (
    Profile(b"SRTP_AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    Profile(b"SRTP_AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    Profile(b"SRTP_AES128_CM_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
)


def _is_built_in(profile: Profile) -> bool:
    """libsrtp may be built without AES-GCM."""
    try:
        Policy(srtp_profile=profile.number)
    except pylibsrtp.Error:
        return False
    return True


PROFILES = tuple(profile for profile in _ALL_PROFILES if _is_built_in(profile))


def profile_named(name: bytes) -> Profile | None:
    return next((profile for profile in PROFILES if profile.name == name), None)


@dataclass(frozen=True, slots=True)
class SrtpFunctions:
    """One way to call libsrtp."""

    protect: InPlace
    unprotect: InPlace
    protect_rtcp: InPlace
    unprotect_rtcp: InPlace
    context: Callable[[Session], Any]
    """What the functions take first."""


def _from_binding() -> SrtpFunctions:
    from pylibsrtp._binding import lib

    return SrtpFunctions(
        lib.srtp_protect,
        lib.srtp_unprotect,
        lib.srtp_protect_rtcp,
        lib.srtp_unprotect_rtcp,
        lambda session: session._srtp[0],
    )


def wrapping_sessions() -> SrtpFunctions:
    """Through the public class alone."""
    return SrtpFunctions(
        _copying(Session.protect),
        _copying(Session.unprotect),
        _copying(Session.protect_rtcp),
        _copying(Session.unprotect_rtcp),
        lambda session: session,
    )


def _copying(method: Callable[[Session, bytes], bytes]) -> InPlace:
    def in_place(session: Session, packet: Any, length: Any) -> int:
        try:
            result = method(session, ffi.buffer(packet, length[0])[:])
        except (pylibsrtp.Error, ValueError):
            return 1
        ffi.memmove(packet, result, len(result))
        length[0] = len(result)
        return 0

    return in_place


def best_functions() -> SrtpFunctions:
    try:
        functions = _from_binding()
        functions.context(Session())
    except (ImportError, AttributeError, TypeError):
        return wrapping_sessions()
    return functions


def outgoing(profile: Profile, key_and_salt: bytes) -> Session:
    return _session(profile, key_and_salt, Policy.SSRC_ANY_OUTBOUND)


def incoming(profile: Profile, key_and_salt: bytes) -> Session:
    return _session(profile, key_and_salt, Policy.SSRC_ANY_INBOUND)


def _session(profile: Profile, key_and_salt: bytes, ssrcs: int) -> Session:
    policy = Policy(key=key_and_salt, ssrc_type=ssrcs, srtp_profile=profile.number)
    policy.window_size = REPLAY_WINDOW
    # Repairs of lost packets are sent again as they were, under the same index.
    policy.allow_repeat_tx = True
    return Session(policy)
