"""Hashes of the state's prefix tree, and checking what a proof says about a key.

The tree is a binary trie over SHA-256(key), as in the IETF's KEYTRANS prefix tree:

    nothing       EMPTY, 32 zero bytes
    one key       SHA-256(0x01 ‖ SHA-256(key) ‖ SHA-256(value)), wherever its prefix is unique
    two or more   SHA-256(0x02 ‖ left ‖ right), by the next bit of the key's hash

A proof walks from the root along the key's bits. It ends at the key's own leaf (presence), at
nothing, or at another key's leaf (absence, since two keys there would have made a fork).
"""

from hashlib import sha256
from typing import Annotated

from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.errors import ProofMismatch
from ledger.types import Hash

EMPTY = bytes(32)
"""Commitment to nothing."""

DEPTH_MAX = 256


def leaf_commitment(key_hash: bytes, value_hash: bytes) -> bytes:
    """Hash of a subtree with one key, 32 bytes."""
    return sha256(b"\x01" + key_hash + value_hash).digest()


def fork_commitment(left: bytes, right: bytes) -> bytes:
    """Hash of a subtree with two keys or more, 32 bytes."""
    return sha256(b"\x02" + left + right).digest()


class OtherLeaf(Format, frozen=True):
    """The only key of the subtree where a missing key would be."""

    key_hash: Hash
    value_hash: Hash


class StateProof(Format, frozen=True):
    """A walk from the root: the sibling at each depth, root's first; `other` ends an absence."""

    siblings: Annotated[tuple[Hash, ...], Meta(max_length=DEPTH_MAX)]
    other: OtherLeaf | None

    def to_bytes(self) -> bytes:
        """The proof as it is sent."""
        return encode(self)


_PROOF: Decoder[StateProof] = Decoder(StateProof, what="state proof", bytes_max=16 * 1024)


def parse_state_proof(data: bytes) -> StateProof:
    """A proof from its bytes. Raises Malformed."""
    return _PROOF.decode(data)


def check_presence(root: bytes, key: bytes, value: bytes, proof: StateProof) -> None:
    """The state with this root gives `key` the value `value`. Raises ProofMismatch otherwise."""
    if proof.other is not None:
        raise ProofMismatch("state proof", "it proves an absence")
    key_hash = sha256(key).digest()
    leaf = leaf_commitment(key_hash, sha256(value).digest())
    if _climb(key_hash, leaf, proof.siblings) != root:
        raise ProofMismatch("state proof", "it does not lead to this root")


def check_absence(root: bytes, key: bytes, proof: StateProof) -> None:
    """The state with this root has no such key. Raises ProofMismatch otherwise."""
    key_hash = sha256(key).digest()
    end = EMPTY
    if proof.other is not None:
        depth = len(proof.siblings)
        if proof.other.key_hash == key_hash or _prefix(proof.other.key_hash, depth) != _prefix(
            key_hash, depth
        ):
            raise ProofMismatch("state proof", "its other key does not stand in this key's place")
        end = leaf_commitment(proof.other.key_hash, proof.other.value_hash)
    if _climb(key_hash, end, proof.siblings) != root:
        raise ProofMismatch("state proof", "it does not lead to this root")


def _climb(key_hash: bytes, end: bytes, siblings: tuple[bytes, ...]) -> bytes:
    bits = int.from_bytes(key_hash, "big")
    derived = end
    for depth in range(len(siblings) - 1, -1, -1):
        if bits >> (DEPTH_MAX - 1 - depth) & 1:
            derived = fork_commitment(siblings[depth], derived)
        else:
            derived = fork_commitment(derived, siblings[depth])
    return derived


def _prefix(key_hash: bytes, depth: int) -> int:
    return int.from_bytes(key_hash, "big") >> (DEPTH_MAX - depth)
