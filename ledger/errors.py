"""What can be wrong with bytes from outside: one tree, each with a word on what to do.

All are faults of whoever made the bytes. A caller's own mistake is a TypeError or ValueError, a
broken promise of ours an AssertionError.
"""


class LedgerError(Exception):
    """Base of every fault that the ledger's formats and proofs can find.

    what: the thing at fault, as a person knows it. why: what is wrong with it.
    """

    remedy = "Ask whoever gave it to you for the original."

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")
        self.what = what
        self.why = why


class Malformed(LedgerError):
    """Bytes that are not the one accepted spelling of their format."""

    remedy = "It was damaged on its way or made by other software: fetch it again."


class BadKey(LedgerError):
    """A public key outside the signature rule: a low order, a second spelling, no point at all."""

    remedy = "Make a new key with `concordat-node init` or `concordat-node key`."


class BadSignature(LedgerError):
    """A signature that is missing, or is not the named key's over these bytes."""

    remedy = "Compare fingerprints with the signer by telephone and ask for the file again."


class ProofMismatch(LedgerError):
    """A proof that does not lead from what it should prove to the root it should end in."""

    remedy = "Do not rely on it; ask another node for a proof under the same checkpoint."


class CertificateRefused(LedgerError):
    """Signatures that do not make a certificate of this ledger."""

    remedy = "Do not rely on it; ask another node for its newest certificate."


class SignatureRuleViolated(LedgerError):
    """This machine's cryptographic library judges a known signature differently than the rule."""

    remedy = "Do not run a node here: install the library versions of requirements.lock."
