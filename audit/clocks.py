"""Each certified block's time beside the clocks of the nodes that signed it. Pure.

A block's time is its leader's, and voters take an entry up to two seconds from their own future
only; how far in the past it lies nobody can refuse, for an entry may wait for its majority. Each
cosignature carries its signer's clock, so a time far from their median shows: a leader's clock that
is wrong, a majority that backdates, or an entry that was committed late. It accuses nobody.

Only certificates that are kept can be looked at: those of voter changes, one of each day, and the
newest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median_low

from audit.forks import Readable, leaves
from audit.signed import Signatories
from ledger import store_keys
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.certificates import Certificate, parse_certificate
from ledger.errors import Malformed

APART_MS = 60_000
"""Default of how far a block's time may be from its signers' median, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One certified block. block_ms: its time; median_s: of its signers' clocks, Unix seconds.

    furthest: the signer whose clock is furthest from the median, and by how many seconds.
    """

    height: int
    block_ms: int
    median_s: int
    signers: int
    furthest: tuple[str, int]

    @property
    def apart_ms(self) -> int:
        """How far the block's time is before (< 0) or after its signers' median."""
        return self.block_ms - 1_000 * self.median_s


def readings(source: Readable, signatories: Signatories) -> Iterator[Reading]:
    """Every kept certificate whose block is there, in order.

    signatories: whose each signature is; others' are passed over.
    """
    certificates: dict[int, Certificate] = {}
    stop = bytes([store_keys.CERTIFICATE[0] + 1])
    for _, value in source.scan(store_keys.CERTIFICATE, stop):
        try:
            certificate = parse_certificate(value)
        except Malformed:
            continue
        certificates[certificate.height] = certificate
    for data in leaves(source):
        leaf = parse_any_leaf(data)
        if isinstance(leaf, BlockHeader) and leaf.height in certificates:
            found = _reading(leaf, certificates[leaf.height], signatories)
            if found is not None:
                yield found


def _reading(
    header: BlockHeader, certificate: Certificate, signatories: Signatories
) -> Reading | None:
    clocks = sorted(
        (signatories[entry.node_id].department, entry.timestamp_s)
        for entry in certificate.cosignatures
        if entry.node_id in signatories
    )
    if not clocks:
        return None
    median_s = median_low(clock_s for _, clock_s in clocks)
    name, furthest_s = max(clocks, key=lambda each: abs(each[1] - median_s))
    return Reading(
        height=header.height,
        block_ms=header.time_ms,
        median_s=median_s,
        signers=len(clocks),
        furthest=(name, furthest_s - median_s),
    )
