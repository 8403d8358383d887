"""This node's own checkpoints, cosigned by witnesses elsewhere (c2sp.org/tlog-witness).

Every `witness.interval_ms` the newest certificate, as a note with this node's log signature, goes
to each witness with a consistency proof from the size that the witness saw last; a witness that
knows another size says which (status 409) and is asked again, three times in all. What
comes back is checked under the witness's configured keys. A witness that is silent, slow or wrong
costs its cosignature and nothing else: no certificate depends on one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx2
import structlog
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from ledger.certificates import Certificate
from ledger.checkpoints import origin
from ledger.errors import Malformed
from ledger.notes import ED25519_TYPE, Note, NoteSignature, key_id
from ledger.signatures import verify
from ledger.tree import consistency_proof
from ledger.types import TreeSize
from ledger.witnesses import (
    ML_DSA_44_TYPE,
    SIGNATURE_BYTES,
    AddCheckpoint,
    LogCheckpoint,
    VerifierKey,
    cosigned_message,
    cosigned_text,
    parse_cosignatures,
    parse_log_checkpoint,
    timestamp_of,
)
from node.runtime import Node
from node.stored_tree import stored_nodes

ATTEMPTS_MAX = 3
"""How often one witness is asked in a round, each time by the size that it names."""

ANSWER_BYTES_MAX = 16 * 1024
"""Limit of a witness's answer."""

HELD_ROUNDS = 3
"""A cosigned checkpoint is shown instead of a newer one for at most so many intervals."""

log = structlog.get_logger("concordat")


def published_note(node: Node, certificate: Certificate) -> Note:
    """A certificate as a note that also this node's publication key has signed, in front."""
    note = certificate.to_note()
    name = origin(node.ledger_id)
    identity = node.identity
    line = NoteSignature(
        name,
        key_id(name, ED25519_TYPE, identity.publication_key),
        identity.sign_publication(note.text),
    )
    return Note(note.text, (line, *note.signatures))


@dataclass(frozen=True, slots=True)
class _Cosigned:
    """A note with witnesses' cosignatures. at_ms: when they came, by this node's clock."""

    note: Note
    tree_size: int
    at_ms: int


class Witnessed:
    """Asks witnesses, by URL with their keys, and keeps the newest note they cosigned."""

    def __init__(self, node: Node, witnesses: Mapping[str, Sequence[VerifierKey]]) -> None:
        self._node = node
        self._witnesses = dict(witnesses)
        self._sizes = dict.fromkeys(self._witnesses, 0)
        self._newest: _Cosigned | None = None
        self._last_size = 0
        self._shown_size = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to ask, if there is anybody to ask."""
        if self._witnesses:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends; what was asked for is forgotten."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def shown(self, certificate: Certificate) -> Note:
        """What this node shows of its log: never a smaller tree than it showed before.

        The newest note that a witness cosigned, unless that is too old; else the certificate.
        """
        found = self._newest
        if found is not None and found.tree_size >= self._shown_size:
            held_ms = HELD_ROUNDS * self._node.config.witness.interval_ms
            fresh = self._node.clock.now_ms() - found.at_ms <= held_ms
            if fresh or found.tree_size == certificate.tree_size:
                self._shown_size = found.tree_size
                return found.note
        self._shown_size = max(self._shown_size, certificate.tree_size)
        return published_note(self._node, certificate)

    async def _run(self) -> None:
        settings = self._node.config.witness
        async with httpx2.AsyncClient(
            timeout=settings.timeout_ms / 1_000, follow_redirects=False, trust_env=False
        ) as http:
            while True:
                certificate = self._node.certificate
                if certificate is not None and certificate.tree_size > self._last_size:
                    await self._round(http, certificate)
                await asyncio.sleep(settings.interval_ms / 1_000)

    async def _round(self, http: httpx2.AsyncClient, certificate: Certificate) -> None:
        """Asks all at once for one checkpoint."""
        note = published_note(self._node, certificate)
        asked = (self._ask(http, url, note, certificate) for url in self._witnesses)
        answers = await asyncio.gather(*asked)
        lines = tuple(line for answer in answers for line in answer)
        if all(answers):
            self._last_size = certificate.tree_size
        if lines:
            cosigned = Note(note.text, (*note.signatures, *lines))
            self._newest = _Cosigned(cosigned, certificate.tree_size, self._node.clock.now_ms())

    async def _ask(
        self, http: httpx2.AsyncClient, url: str, note: Note, certificate: Certificate
    ) -> tuple[NoteSignature, ...]:
        """A witness's cosignatures; none if it gives no good one."""
        try:
            for _ in range(ATTEMPTS_MAX):
                old = self._sizes[url]
                if old > certificate.tree_size:
                    return ()
                status, body = await self._post(http, url, self._request(note, certificate, old))
                if status == 200:
                    self._sizes[url] = certificate.tree_size
                    return _good_lines(body, note, self._witnesses[url])
                if status != 409:
                    raise Malformed("answer", f"status {status}")
                self._sizes[url] = _size(body)
        except (httpx2.HTTPError, Malformed) as error:
            log.warning("a witness does not cosign", witness=url, why=str(error) or repr(error))
        return ()

    def _request(self, note: Note, certificate: Certificate, old: int) -> bytes:
        proof: Sequence[bytes] = ()
        if 0 < old < certificate.tree_size:
            size = TreeSize(certificate.tree_size)
            nodes = stored_nodes(self._node.store, size, self._node.tile_roots)
            proof = consistency_proof(nodes, old_size=TreeSize(old), new_size=size)
        return AddCheckpoint(old, tuple(proof), note).to_bytes()

    @staticmethod
    async def _post(http: httpx2.AsyncClient, url: str, content: bytes) -> tuple[int, bytes]:
        async with http.stream("POST", f"{url}/add-checkpoint", content=content) as answer:
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > ANSWER_BYTES_MAX:
                    raise Malformed("answer", f"more than {ANSWER_BYTES_MAX} bytes")
            return answer.status_code, body


def _size(body: bytes) -> int:
    text = body.removesuffix(b"\n")
    if not text.isdigit() or len(text) > 18:
        raise Malformed("answer", "a conflict without a size")
    return int(text)


def _good_lines(body: bytes, note: Note, keys: Sequence[VerifierKey]) -> tuple[NoteSignature, ...]:
    """The lines that one of the keys made. Raises Malformed if there is none."""
    checkpoint = parse_log_checkpoint(note.text)
    good = tuple(
        line
        for line in parse_cosignatures(body)
        if any(known.made(line) and holds(line, note.text, checkpoint, known) for known in keys)
    )
    if not good:
        raise Malformed("answer", "no cosignature by a key that is configured for it")
    return good


def holds(line: NoteSignature, text: bytes, checkpoint: LogCheckpoint, known: VerifierKey) -> bool:
    """Whether a cosignature is the key's on this checkpoint."""
    if len(line.signature) != SIGNATURE_BYTES[known.signature_type]:
        return False
    timestamp_s, signature = timestamp_of(line), line.signature[8:]
    if timestamp_s >= 2**63:
        return False
    if known.signature_type != ML_DSA_44_TYPE:
        message = cosigned_text(text, timestamp_s=timestamp_s)
        return verify(known.public_key, message, signature)
    message = cosigned_message(known.name, checkpoint, timestamp_s=timestamp_s)
    try:
        MLDSA44PublicKey.from_public_bytes(known.public_key).verify(signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
