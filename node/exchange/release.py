"""What may leave a provider's node now. The one place that decides it; pure.

    submitted ── placed, certified ──> open ── each chunk asks ──> complete
        │                               └─ refused once ─> stopped: a void says what had left
        └─ refused ─> nothing left, nothing to void

A chunk leaves only if all of this holds at the moment of writing it (promise P2):

    1. the receipt stands in the ledger that this node has executed, and is certified;
    2. no more than `release-window-ms` have passed since the receipt was submitted, by the node's
       monotonic clock: so a node that is cut off falls silent, and a restart closes every window;
    3. this node is not submitting the end of the grant itself;
    4. the grant lets exchanges through by the state that this node has *executed*, durable or not,
       and by its own clock.

The first refusal is final: nothing leaves later, whatever becomes of the grant. Whoever drives this
(`node.exchange.provider`, and the simulator's race in `tests/sim`) writes each chunk in the same
turn in which it was let through.
"""

from dataclasses import dataclass, field

from contracts.consortium import setting
from contracts.grants import grant, standing
from contracts.state import View


@dataclass(frozen=True, slots=True)
class Stop:
    """Why nothing leaves. code: of a refusal, `release-window-over` or `not-certified`."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Moment:
    """What a node knows as it is about to send.

    view: the state it has executed. certified_height: up to which its ledger is certified. now_ms:
    Unix time, monotonic_ms: of a clock that only runs forward; both in milliseconds.
    """

    view: View
    certified_height: int
    now_ms: int
    monotonic_ms: int


@dataclass(slots=True)
class Endings:
    """Grants whose end this node is submitting, each with how many such records are on their way.

    The order of the ledger is not waited for: the provider's own will counts from here on.
    """

    _under_way: dict[bytes, int] = field(default_factory=dict)

    def begin(self, grant_id: bytes) -> None:
        """Before the record that ends or suspends the grant is submitted."""
        self._under_way[grant_id] = self._under_way.get(grant_id, 0) + 1

    def end(self, grant_id: bytes) -> None:
        """The record was executed, so that the state says it, or was refused."""
        left = self._under_way.pop(grant_id, 1) - 1
        if left > 0:
            self._under_way[grant_id] = left

    def under_way(self, grant_id: bytes) -> bool:
        """Whether the grant is being ended."""
        return grant_id in self._under_way


@dataclass(slots=True)
class Release:
    """One exchange's release. submitted_ms: of the monotonic clock, not after the submission.

    height: of the block with its receipt, None before that is known. delivered_bytes: what was let
    through. stopped: why nothing more leaves; None while it may.
    """

    grant_id: bytes
    submitted_ms: int
    height: int | None = None
    delivered_bytes: int = 0
    stopped: Stop | None = None

    def take(self, size_bytes: int, moment: Moment, endings: Endings) -> Stop | None:
        """Whether so many bytes may leave in this very turn; they count as delivered if so."""
        if self.stopped is None:
            self.stopped = self._stop(moment, endings)
        if self.stopped is None:
            self.delivered_bytes += size_bytes
        return self.stopped

    def end(self, stop: Stop) -> None:
        """Nothing leaves any more; an earlier reason stays."""
        self.stopped = self.stopped or stop

    def _stop(self, moment: Moment, endings: Endings) -> Stop | None:
        if self.height is None or self.height > moment.certified_height:
            return Stop("not-certified", "the receipt is not certified at this node")
        window_ms = setting(moment.view, "release-window-ms")
        if moment.monotonic_ms - self.submitted_ms > window_ms:
            return Stop("release-window-over", "it took too long; ask again")
        if endings.under_way(self.grant_id):
            return Stop("grant-revoked", "the revocation is on its way to the ledger")
        known = grant(moment.view, self.grant_id)
        assert known is not None, "a receipt on the ledger has its grant"
        refusal = standing(moment.view, known, time_ms=moment.now_ms)
        return None if refusal is None else Stop(refusal.code, refusal.detail)
