"""A node's private keys and secret: one small file each, mode 0600, never shown, never backed up.

| file              | what for                                                       |
|-------------------|----------------------------------------------------------------|
| `checkpoint.key`  | signs checkpoints; its public key *is* the node                |
| `proposal.key`    | signs proposals while the node leads                           |
| `record.key`      | signs the department's records                                 |
| `record.next.key` | the key that will, while it is being rotated                   |
| `tls.key`         | identifies the node to its peers                               |
| `publication.key` | the node's own transparency-log signature                      |
| `witness.key`     | witnesses other logs                                           |
| `secret.key`      | derives nonces, and encrypts what the node keeps for itself    |

Each holds 32 bytes in hexadecimal: an Ed25519 seed (RFC 8032 §5.1.5), or the secret. Beside them
`spent.json` says, once it is there, that and why these keys must never take part again.
"""

import hmac
import json
import os
import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from ledger.genesis import NodeDescription
from ledger.signatures import Signer
from ledger.statements import record_key_statement
from node.errors import IdentityInvalid, Unavailable

_SIGNING = ("checkpoint", "proposal", "record", "tls", "publication", "witness")
_ALL = (*_SIGNING, "secret")
_NEXT_RECORD_KEY = "record.next.key"
_KEPT_BY_DEPARTMENT = ("record", "secret")


class Identity:
    """The keys, loaded. Signs; shows public keys only."""

    __slots__ = ("_secret", "_seeds", "_signers")

    def __init__(self, seeds: dict[str, bytes]) -> None:
        self._seeds = seeds
        self._signers = {name: Signer(seeds[name]) for name in _SIGNING}
        self._secret = seeds["secret"]

    def __repr__(self) -> str:
        return f"Identity({self.node_id.hex()[:16]}…)"

    @property
    def node_id(self) -> bytes:
        """The checkpoint key's public half: who this node is."""
        return self._signers["checkpoint"].public_key

    @property
    def record_key(self) -> bytes:
        """The public key with which this node signs its department's records."""
        return self._signers["record"].public_key

    @property
    def tls_seed(self) -> bytes:
        """The TLS key's seed, for the TLS library alone."""
        return self._seeds["tls"]

    def sign_checkpoint(self, message: bytes) -> bytes:
        """Signature by the checkpoint key."""
        return self._signers["checkpoint"].sign(message)

    def sign_proposal(self, message: bytes) -> bytes:
        """Signature by the proposal key."""
        return self._signers["proposal"].sign(message)

    def sign_record(self, message: bytes) -> bytes:
        """Signature by the record key."""
        return self._signers["record"].sign(message)

    @property
    def publication_key(self) -> bytes:
        """The public key of this node's own claims for transparency-log tools."""
        return self._signers["publication"].public_key

    def sign_publication(self, message: bytes) -> bytes:
        """Signature by the publication key."""
        return self._signers["publication"].sign(message)

    @property
    def witness_key(self) -> bytes:
        """The public key with which this node witnesses other ledgers."""
        return self._signers["witness"].public_key

    def sign_witness(self, message: bytes) -> bytes:
        """Signature by the witness key."""
        return self._signers["witness"].sign(message)

    def post_quantum_witness_seed(self) -> bytes:
        """The seed of the ML-DSA-44 key (FIPS 204) that witnesses beside it, 32 bytes."""
        return hmac.new(self._seeds["witness"], b"ml-dsa-44", sha256).digest()

    def sign_all(self, message: bytes) -> tuple[bytes, ...]:
        """Each key's signature, in the order of `Department.keys()` for one node."""
        order = ("record", "checkpoint", "proposal", "tls", "publication", "witness")
        return tuple(self._signers[name].sign(message) for name in order)

    def derive(self, purpose: str, *parts: bytes) -> bytes:
        """32 secret bytes for one purpose, the same for the same parts."""
        message = purpose.encode() + b"\x00"
        for part in parts:
            message += len(part).to_bytes(4, "big") + part
        return hmac.new(self._secret, message, sha256).digest()

    def description(self, *, rpc_address: str) -> NodeDescription:
        """The node as its department enrols it."""
        return NodeDescription(
            node_id=self.node_id,
            proposal_key=self._signers["proposal"].public_key,
            tls_key=self._signers["tls"].public_key,
            publication_key=self._signers["publication"].public_key,
            witness_key=self._signers["witness"].public_key,
            rpc_address=rpc_address,
        )


def create_identity(folder: Path, *, keep: Mapping[str, bytes] | None = None) -> Identity:
    """Draws new keys into `folder`, which must not hold any. Raises IdentityInvalid.

    keep: seeds by name that stay instead of being drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if any((folder / f"{name}.key").exists() for name in _ALL):
        raise IdentityInvalid(
            f"{folder} holds keys already", remedy="Keys are never overwritten: choose another."
        )
    for name in _ALL:
        _write_secret(folder / f"{name}.key", (keep or {}).get(name, secrets.token_bytes(32)))
    return load_identity(folder)


def _write_secret(path: Path, secret: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def draw_record_key(
    folder: Path, *, ledger_id: bytes, department: str, holder: str
) -> dict[str, str]:
    """Draws the next record key beside the present one; what a `key.add` record says of it.

    Hexadecimal key and signature, and who holds it. Raises IdentityInvalid if one was drawn before.
    """
    path = folder / _NEXT_RECORD_KEY
    if path.exists():
        raise IdentityInvalid(
            f"{path} is there already", remedy="Use it, or remove it if it was never added."
        )
    _write_secret(path, secrets.token_bytes(32))
    signer = Signer(read_secret(path))
    statement = record_key_statement(ledger_id, department=department, key=signer.public_key)
    return {
        "key": signer.public_key.hex(),
        "holder": holder,
        "signature": signer.sign(statement).hex(),
    }


def use_record_key(folder: Path) -> tuple[str, str]:
    """The next record key takes the place of the present one, which is destroyed.

    Both public keys in hexadecimal, the old one first. Raises IdentityInvalid if there is no next.
    """
    old = Signer(read_secret(folder / "record.key")).public_key
    new = Signer(read_secret(folder / _NEXT_RECORD_KEY)).public_key
    os.replace(folder / _NEXT_RECORD_KEY, folder / "record.key")
    return old.hex(), new.hex()


def load_identity(folder: Path) -> Identity:
    """The keys in `folder`. Raises IdentityInvalid naming the file that is wrong."""
    spent = read_spent(folder)
    if spent is not None and not (folder / "checkpoint.key").exists():
        raise IdentityInvalid(
            f"{spent[1]}: the keys in {folder} are destroyed",
            remedy="There is nothing to run any more; `concordat-node init` makes a new node.",
        )
    return Identity({name: read_secret(folder / f"{name}.key") for name in _ALL})


def read_secret(path: Path) -> bytes:
    """32 bytes from a file of mode 0600. Raises IdentityInvalid."""
    try:
        if path.stat().st_mode & 0o077:
            raise IdentityInvalid(f"{path} can be read by others", remedy=f"chmod 600 {path}")
        content = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise IdentityInvalid(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise IdentityInvalid(f"{path} is not 32 bytes in hexadecimal") from None
    if len(content) != 32:
        raise IdentityInvalid(f"{path} is not 32 bytes in hexadecimal")
    return content


def mark_spent(folder: Path, *, standing: str, detail: str) -> None:
    """Marks the keys in `folder` as never to be used again; durable when it returns.

    The first mark stays. Raises Unavailable if it cannot be written.
    """
    path = folder / "spent.json"
    if path.exists():
        return
    content = json.dumps({"standing": standing, "detail": detail}, indent=2) + "\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise Unavailable(
            f"cannot mark the keys as spent in {path}: {error.strerror}",
            remedy="Do not start this node again under these keys.",
        ) from None


def destroy_keys(folder: Path) -> None:
    """Destroys what a retired node signed with; record key and secret stay the department's."""
    for name in _ALL:
        path = folder / f"{name}.key"
        if name in _KEPT_BY_DEPARTMENT or not path.exists():
            continue
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()


def read_spent(folder: Path) -> tuple[str, str] | None:
    """Standing and detail if the keys are spent; None if not. A damaged mark counts as one."""
    path = folder / "spent.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["standing"]), str(content["detail"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "behind", f"{path} is there and cannot be read"
