"""Which of a ledger's certificates count: by the voters that the ledger itself names at each block.

    1. A certificate is a majority of the voters in force before its block; of a block that changes
       voters also of those after it; while joint of both sets (`ledger.certificates`).
    2. It is on this very ledger's block of that height.
    3. A ledger counts up to its first block that changes voters without a certificate: whoever
       votes after it was put there by nobody that counts.

The voters are those of executed block headers, which the contracts decided, from genesis on without
a gap.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from audit.findings import Finding
from contracts.consortium import step_between
from ledger import store_keys
from ledger.blocks import BlockHeader, VoterSets
from ledger.certificates import Certificate, check_certificate, parse_certificate, required_sets
from ledger.entries import Step
from ledger.errors import LedgerError
from ledger.types import Height, NodeId

BlockEnd = Callable[[int], tuple[int, bytes] | None]
"""Height → tree size and root after that block; None if there is no such block."""


class VoterHistory:
    """Who votes from which height on; takes block headers in order."""

    def __init__(self, sets: Sequence[VoterSets], heights: Sequence[int] = (0,)) -> None:
        """sets: those of genesis and after each change; heights: since when each is in force."""
        self._heights = list(heights)
        self._sets = list(sets)

    @property
    def sets(self) -> tuple[VoterSets, ...]:
        """Those of genesis and after each change."""
        return tuple(self._sets)

    @property
    def changes(self) -> tuple[int, ...]:
        """Heights of the blocks that changed voters, in order."""
        return tuple(self._heights[1:])

    def block(self, header: BlockHeader) -> None:
        """The next block."""
        if header.voters != self._sets[-1]:
            self._heights.append(header.height)
            self._sets.append(header.voters)

    def step_at(self, height: int) -> Step | None:
        """The configuration step that the block at `height` executed, None if none."""
        return step_between(self._at(height - 1), self._at(height))

    def required(self, height: int) -> tuple[tuple[NodeId, ...], ...]:
        """The sets of which each must have a majority in a certificate of that block, ≥ 1."""
        return required_sets(self._at(height - 1), self._at(height))

    def _at(self, height: int) -> VoterSets:
        """The voters in force after the block at `height`."""
        return self._sets[bisect_right(self._heights, height) - 1]


@dataclass(slots=True)
class Certified:
    """What a store's certificates amount to. newest: the highest one that counts."""

    newest: Certificate | None = None
    count: int = 0
    findings: list[Finding] = field(default_factory=list)


def judge_certificates(
    stored: Iterator[tuple[bytes, bytes]],
    *,
    ledger_id: bytes,
    history: VoterHistory,
    block_end: BlockEnd,
) -> Certified:
    """Judges certificates by their keys in order; block_end: tree size and root by height."""
    made = Certified()
    waiting = list(history.changes)
    for key, value in stored:
        place = f"certificate {int.from_bytes(key[1:], 'big')}"
        try:
            certificate = parse_certificate(value)
            _check_place(certificate, key, block_end)
            check_certificate(
                certificate,
                ledger_id=ledger_id,
                voter_sets=history.required(certificate.height),
            )
        except LedgerError as error:
            made.findings.append(Finding("certificate-invalid", place, str(error)))
            continue
        if waiting and certificate.height > waiting[0]:
            detail = (
                f"certificates above it, from height {certificate.height} on, count for nothing"
            )
            made.findings.append(Finding("voter-change-uncertified", f"block {waiting[0]}", detail))
            break
        if waiting and certificate.height == waiting[0]:
            del waiting[0]
        made.count += 1
        made.newest = certificate
    return made


class _Elsewhere(LedgerError):
    """A certificate of another ledger's block."""


def _check_place(certificate: Certificate, key: bytes, block_end: BlockEnd) -> None:
    end = block_end(certificate.height)
    if key != store_keys.certificate_key(Height(certificate.height)) or end != (
        certificate.tree_size,
        certificate.root,
    ):
        raise _Elsewhere("certificate", "it is on another ledger's block")
