"""Mutual TLS 1.3 between nodes whose keys the ledger pins; no certificate authority.

Python's `ssl` has no verification callback and refuses an unknown self-signed peer. So each node
issues its own certificate under an issuer name of its own, and whoever verifies it makes an anchor
locally: a certificate with that name and the public key that the ledger names, trusted for this
connection alone. Only a certificate signed by that very key leads to that anchor.
"""

import ssl
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_UNTIL = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def own_certificate(tls_seed: bytes) -> tuple[bytes, bytes]:
    """A node's certificate and its key, both as PEM. tls_seed: 32 bytes."""
    key = Ed25519PrivateKey.from_private_bytes(tls_seed)
    public = key.public_key()
    certificate = _builder(_name("node"), _issuer(public), public, is_anchor=False).sign(key, None)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def anchor(tls_key: bytes) -> bytes:
    """The PEM under which a peer with this public key (32 bytes) is trusted.

    An anchor's own signature means nothing, so a key drawn for the moment makes it.
    """
    public = Ed25519PublicKey.from_public_bytes(tls_key)
    name = _issuer(public)
    signed = _builder(name, name, public, is_anchor=True).sign(Ed25519PrivateKey.generate(), None)
    return signed.public_bytes(serialization.Encoding.PEM)


def make_context(tls_seed: bytes, peers: Iterable[bytes], *, server: bool) -> ssl.SSLContext:
    """A context that speaks TLS 1.3 only and trusts exactly these peers' public keys."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if server:
        context.num_tickets = 0
    certificate, key = own_certificate(tls_seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.pem"
        path.touch(mode=0o600)
        path.write_bytes(certificate + key)
        context.load_cert_chain(path)
    anchors = b"".join(anchor(peer) for peer in peers)
    if anchors:
        context.load_verify_locations(cadata=anchors.decode("ascii"))
    return context


def add_anchor(context: ssl.SSLContext, tls_key: bytes) -> None:
    """Trusts one more peer's public key, for handshakes from now on."""
    context.load_verify_locations(cadata=anchor(tls_key).decode("ascii"))


def peer_key(connection: ssl.SSLObject) -> bytes:
    """The public key, 32 bytes, that the peer has proved to hold; empty if it is none of ours."""
    certificate = connection.getpeercert(binary_form=True)
    if certificate is None:
        return b""
    try:
        public = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return b""
    if not isinstance(public, Ed25519PublicKey):
        return b""
    return public.public_bytes_raw()


def _issuer(public: Ed25519PublicKey) -> x509.Name:
    return _name("concordat " + public.public_bytes_raw().hex()[:48])


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: Ed25519PublicKey, *, is_anchor: bool
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(1 if is_anchor else 2)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=is_anchor, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_anchor,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=is_anchor,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
