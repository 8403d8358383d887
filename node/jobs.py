"""Signatures that are being checked outside, and what each check is for."""

from dataclasses import dataclass

from ledger.types import NodeId
from node.messages import SignedCheckpoint
from node.ports import SignatureJob, Verify


@dataclass(frozen=True, slots=True)
class Job:
    """What a `Verify` effect is for: records by their bytes, or cosignatures."""

    raws: tuple[bytes, ...]
    cosigned: tuple[tuple[NodeId, SignedCheckpoint], ...]


class Jobs:
    """Those under way, by token."""

    __slots__ = ("_next_token", "_under_way")

    def __init__(self) -> None:
        self._under_way: dict[int, Job] = {}
        self._next_token = 1

    def begin(self, job: Job, signatures: tuple[SignatureJob, ...]) -> Verify:
        """The effect that has the signatures checked."""
        token = self._next_token
        self._next_token += 1
        self._under_way[token] = job
        return Verify(token, signatures)

    def done(self, token: int) -> Job:
        """What the answered effect was for."""
        return self._under_way.pop(token)
