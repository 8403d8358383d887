"""`node.peers.tls`: a key that the ledger names gets through, every other one is refused."""

import asyncio
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as new_p256_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from loopback import on_the_products_loop, tls_key, tls_seed, vouched_for, with_chain

from node.peers.tls import anchor, make_context, own_certificate, peer_key


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after a handshake in memory. Raises SSLError of whichever side refuses."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = list(ends)
    while waiting:
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
    return ends[0], ends[1]


def client_with(pem: bytes) -> ssl.SSLContext:
    """A client that trusts node "server" and shows this certificate."""
    return with_chain(make_context(tls_seed("unused"), [tls_key("server")], server=False), pem)


def forged(name_of: str, key: str, *, issued_by: str | None = None) -> ssl.SSLContext:
    """A client with a certificate in one node's name, over another's key."""
    return client_with(vouched_for(name_of, key, issued_by=issued_by or key))


def server_for(*names: str) -> ssl.SSLContext:
    return make_context(tls_seed("server"), [tls_key(name) for name in names], server=True)


def client_of(name: str, server: str = "server") -> ssl.SSLContext:
    return make_context(tls_seed(name), [tls_key(server)], server=False)


def test_two_nodes_that_know_each_other_agree_and_each_learns_the_others_key() -> None:
    client, server = shake_hands(client_of("b"), server_for("a", "b", "c"))
    assert peer_key(client) == tls_key("server")
    assert peer_key(server) == tls_key("b")
    assert client.version() == server.version() == "TLSv1.3"


def test_a_server_with_another_key_is_refused_by_the_client() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_of("a", server="another"), server_for("a"))


def test_a_client_with_another_key_is_refused_by_the_server() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_of("stranger"), server_for("a", "b"))


def test_a_server_that_knows_nobody_takes_nobody() -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(client_of("a"), server_for())


def test_a_certificate_in_a_members_name_over_a_strangers_key_is_refused() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(forged("a", "stranger"), server_for("a", "b"))


def test_a_certificate_in_a_members_name_that_another_member_issued_is_refused() -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(forged("a", "b", issued_by="b"), server_for("a", "b"))


def test_a_key_that_a_member_vouches_for_is_not_taken_for_the_members() -> None:
    _, server = shake_hands(forged("a", "stranger", issued_by="a"), server_for("a"))
    assert peer_key(server) == tls_key("stranger")


def test_a_member_with_a_key_of_another_kind_has_no_key_of_ours() -> None:
    pem = vouched_for("a", new_p256_key(SECP256R1()), issued_by="a")
    _, server = shake_hands(client_with(pem), server_for("a"))
    assert peer_key(server) == b""


def test_a_client_without_a_certificate_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=anchor(tls_key("server")).decode())
    with pytest.raises(ssl.SSLError, match="(?i)peer did not return a certificate"):
        shake_hands(context, server_for("a"))


def test_an_older_protocol_is_refused() -> None:
    context = client_of("a")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        shake_hands(context, server_for("a"))


def test_contexts_check_both_sides_and_leave_no_tickets() -> None:
    server, client = server_for("a"), client_of("a")
    for context in (server, client):
        assert context.verify_mode is ssl.CERT_REQUIRED and not context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert server.num_tickets == 0
    assert len(server.get_ca_certs()) == len(client.get_ca_certs()) == 1


def test_a_certificate_is_the_same_each_time_and_names_its_key_as_issuer() -> None:
    certificate, key = own_certificate(tls_seed("a"))
    assert (certificate, key) == own_certificate(tls_seed("a"))
    parsed = x509.load_pem_x509_certificate(certificate)
    private = load_pem_private_key(key, None)
    assert isinstance(private, Ed25519PrivateKey)
    assert private.private_bytes_raw() == tls_seed("a")
    (name,) = parsed.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert tls_key("a").hex().startswith(str(name.value).removeprefix("concordat "))
    assert len(name.value) <= 64
    assert parsed.not_valid_before_utc.year == 2020 and parsed.not_valid_after_utc.year == 9999
    other = x509.load_pem_x509_certificate(own_certificate(tls_seed("b"))[0])
    assert other.issuer != parsed.issuer


def test_an_anchor_has_the_issuers_name_and_the_ledgers_key() -> None:
    trusted = x509.load_pem_x509_certificate(anchor(tls_key("a")))
    own = x509.load_pem_x509_certificate(own_certificate(tls_seed("a"))[0])
    assert trusted.subject == trusted.issuer == own.issuer
    assert trusted.public_key() == own.public_key()


@on_the_products_loop
async def test_a_key_is_learnt_from_a_connection_of_the_loop() -> None:
    learnt: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        learnt.set_result(peer_key(writer.get_extra_info("ssl_object")))
        writer.close()

    context = server_for("a", "b")
    listener = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_of("a"))
    assert peer_key(writer.get_extra_info("ssl_object")) == tls_key("server")
    assert await learnt == tls_key("a")
    writer.close()
    await writer.wait_closed()
    listener.close()
    await listener.wait_closed()
