"""Records' signatures: each checked once, from the moment its bytes are first seen.

Records arrive many times (from a client, forwarded, in an append, again after a change of leader).
They are known here by their whole bytes, so a copy with another signature is another record. What
is known is kept in order of arrival, up to a limit; whatever was dropped is checked again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from contracts.machine import Candidate, candidate
from node.ports import SignatureJob


@dataclass(slots=True)
class _Known:
    candidate: Candidate
    checked: bool


class Verification:
    """Candidates by their records' bytes.

    Invariant: at most `records_max` are kept that nobody waits for.
    """

    __slots__ = ("_known", "_records_max")

    def __init__(self, *, records_max: int) -> None:
        self._known: dict[bytes, _Known] = {}
        self._records_max = records_max

    def prepare(self, raws: Iterable[bytes]) -> list[tuple[bytes, SignatureJob]]:
        """Parses what is new; the signatures to check for it, with the bytes each belongs to."""
        jobs: list[tuple[bytes, SignatureJob]] = []
        for raw in raws:
            if raw in self._known:
                continue
            jobs += self.adopt(raw, candidate(raw))
        return jobs

    def adopt(self, raw: bytes, parsed: Candidate) -> list[tuple[bytes, SignatureJob]]:
        """Takes what was parsed elsewhere; its signature to check, unless that is known."""
        if raw in self._known:
            return []
        record = parsed.record
        self._known[raw] = _Known(parsed, checked=record is None)
        if record is None:
            return []
        return [(raw, SignatureJob(record.header.key, record.statement(), record.signature))]

    def result(self, raw: bytes, *, valid: bool) -> None:
        """A job's outcome."""
        known = self._known.get(raw)
        if known is not None:
            known.candidate = msgspec.structs.replace(known.candidate, signature_valid=valid)
            known.checked = True

    def checked(self, raw: bytes) -> Candidate | None:
        """The candidate of these bytes once its signature was checked; None until then."""
        known = self._known.get(raw)
        return known.candidate if known is not None and known.checked else None

    def all_checked(self, raws: Iterable[bytes]) -> list[Candidate] | None:
        """The candidates of all these bytes, None while one is missing."""
        found: list[Candidate] = []
        for raw in raws:
            known = self._known.get(raw)
            if known is None or not known.checked:
                return None
            found.append(known.candidate)
        return found

    def forget(self, raws: Iterable[bytes]) -> None:
        """These are executed: nobody will ask for them again, or it is checked anew."""
        for raw in raws:
            self._known.pop(raw, None)

    def trim(self) -> None:
        """Keeps within the limit; the oldest checked ones go first."""
        excess = len(self._known) - self._records_max
        if excess > 0:
            for raw in [raw for raw, known in self._known.items() if known.checked][:excess]:
                del self._known[raw]
