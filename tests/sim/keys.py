"""Keys of simulated nodes: a fast stand-in for Ed25519 or the real thing, and who watches them.

The stand-in signature is a digest of public key and message: whoever has the message can compute
it, so runs with a lying node never rest on it being unforgeable; a liar signs with its own keys.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256

from builders import Consortium, signer

from ledger.signatures import Signer, verify

DEPARTMENTS = (
    "civil-affairs",
    "education",
    "health",
    "housing",
    "tourism",
    "transport",
    "water",
)


@cache
def consortium(nodes: int, voters: int) -> Consortium:
    """The consortium of that many departments; its genesis is made once."""
    found = Consortium(DEPARTMENTS[:nodes], voter_count=voters)
    assert found.genesis_file.ledger_id
    return found


def fast_sign(public_key: bytes, message: bytes) -> bytes:
    """A stand-in's signature, 64 bytes."""
    return 2 * sha256(public_key + message).digest()


def fast_check(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether it is a stand-in's signature, or a real one."""
    return signature == fast_sign(public_key, message) or verify(public_key, message, signature)


class FastRecordSigner(Signer):
    """A department's record key that signs with the stand-in."""

    def sign(self, message: bytes) -> bytes:
        """The stand-in's signature."""
        return fast_sign(self.public_key, message)


@cache
def record_signer(department: str, *, number: int = 0, real: bool) -> Signer:
    """A department's record key; number 0 is the one that genesis names."""
    name = f"{department}/records" if number == 0 else f"{department}/records/{number}"
    seed = sha256(b"concordat test key " + name.encode()).digest()
    return Signer(seed) if real else FastRecordSigner(seed)


class NodeKeys:
    """A node's checkpoint and proposal keys; each statement is shown to `seen` as it is signed."""

    __slots__ = ("_checkpoint", "_proposal", "_seen")

    def __init__(
        self,
        department: str,
        *,
        number: int = 0,
        real: bool,
        seen: Callable[[str, bytes], None] | None,
    ) -> None:
        kind = Signer if real else FastRecordSigner
        names = (f"{department}/{number}/{purpose}" for purpose in ("checkpoint", "proposal"))
        self._checkpoint, self._proposal = (
            signer(name) if real else _fast(kind, name) for name in names
        )
        self._seen = seen

    def sign_checkpoint(self, message: bytes) -> bytes:
        """The checkpoint key's signature."""
        if self._seen is not None:
            self._seen("checkpoint", message)
        return self._checkpoint.sign(message)

    def sign_proposal(self, message: bytes) -> bytes:
        """The proposal key's signature."""
        if self._seen is not None:
            self._seen("proposal", message)
        return self._proposal.sign(message)


@cache
def _fast(kind: type[Signer], name: str) -> Signer:
    return kind(sha256(b"concordat test key " + name.encode()).digest())
