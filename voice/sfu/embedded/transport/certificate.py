"""The self-signed certificate of a port, and what its DTLS agrees to."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from voice.sfu.embedded.transport.srtp import PROFILES

_DTLS1_2_VERSION = 0xFEFD
_CIPHERS = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
_LIFETIME = datetime.timedelta(days=365)
"""Longer than a worker lives; nobody checks it, as what is trusted is the fingerprint."""
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha-256": hashes.SHA256(),
    "sha-384": hashes.SHA384(),
    "sha-512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Certificate, key and the context made of them; one for each port, new at every start."""

    context: SSL.Context
    fingerprint: str
    """sha-256, as in a=fingerprint."""


def new_identity() -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(key)
    return Identity(_context(key, certificate), fingerprint_of(certificate, "sha-256"))


def fingerprint_of(certificate: x509.Certificate, algorithm: str) -> str:
    """Upper case hexadecimal with colons (RFC 8122 section 5). Raises KeyError for a hash we do not trust."""
    return certificate.fingerprint(_HASHES[algorithm]).hex(":").upper()


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(8))])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(days=1),
        not_valid_after=now + _LIFETIME,
    )
    return builder.sign(key, hashes.SHA256())


def _context(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_min_proto_version(_DTLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_TICKET
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_COMPRESSION
        | SSL.OP_NO_QUERY_MTU
        | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_CIPHERS)
    # Certificates of browsers are self-signed: what is compared is the fingerprint of the description (RFC 8827).
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    context.set_tlsext_use_srtp(b":".join(profile.name for profile in PROFILES))
    return context
