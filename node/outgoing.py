"""What the replica hands to the shell: each effect in order, once what it rests on is durable.

    now ────────────────────────────────────────> effects
    later: gathering ── batch taken ──> flying ── batch durable ──> effects

A certificate is told of as soon as it is assembled, if its block is durable here: it says nothing
of this node's own, and can be assembled again after any loss, because each signature in it left its
signer only once it was durable there. It is itself written with the next batch. One of a change of
voters waits for that: what this node does afterwards rests on it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from ledger.certificates import Certificate
from ledger.types import Height
from node import ports


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a batch brings the store: its last block and its newest certificate."""

    height: int
    certificate: Certificate | None


class Outgoing:
    """Effects, and how far the store is.

    durable: of the store. shown: the newest certificate that was told of; its block is durable.
    Invariant: what is in `_assembled` is newer than `shown`; each with whether it waits.
    """

    __slots__ = (
        "_assembled",
        "_effects",
        "_flying",
        "_flying_to",
        "_gathering",
        "durable",
        "shown",
    )

    def __init__(self, reached: Reached) -> None:
        self.durable = reached
        self.shown = reached.certificate
        self._flying_to = reached
        self._effects: list[ports.Effect] = []
        self._gathering: list[ports.Effect] = []
        self._flying: list[ports.Effect] = []
        self._assembled: deque[tuple[Certificate, bool]] = deque()

    @property
    def gathers(self) -> bool:
        """Whether an effect waits for the batch that gathers."""
        return bool(self._gathering)

    def now(self, effect: ports.Effect) -> None:
        """Rests on nothing, or on what is durable."""
        self._effects.append(effect)

    def all_now(self, effects: Iterable[ports.Effect]) -> None:
        """Each as `now`."""
        self._effects += effects

    def later(self, effect: ports.Effect) -> None:
        """Rests on what gathers for the next batch."""
        self._gathering.append(effect)

    def certified(self, certificate: Certificate, *, waits: bool) -> None:
        """The newest certificate was assembled here. waits: to be told of once it is durable."""
        self._assembled.append((certificate, waits))
        self._tell()

    def taken(self, batch: ports.Batch, reached: Reached) -> None:
        """A batch is to be written, and all that waits for what gathered waits for it."""
        self._flying, self._gathering = self._gathering, []
        self._flying_to = reached
        self._effects.append(ports.Persist(batch))

    def landed(self) -> None:
        """The batch is durable."""
        first = Height(self.durable.height + 1)
        self.durable = self._flying_to
        if self.durable.height >= first:
            self._effects.append(ports.Executed(first, Height(self.durable.height)))
        self._effects += self._flying
        self._flying = []
        self._tell()
        kept = self.durable.certificate
        if kept is not None and (self.shown is None or self.shown.height < kept.height):
            self.shown = kept

    def release(self) -> bool:
        """Nothing is left to write: what waits rests on durable things. Whether anything did."""
        waiting, self._gathering = self._gathering, []
        self._effects += waiting
        return bool(waiting)

    def take(self) -> list[ports.Effect]:
        """What the shell has to do now; each effect is handed out once."""
        effects, self._effects = self._effects, []
        return effects

    def _tell(self) -> None:
        newest = None
        kept = 0 if self.durable.certificate is None else self.durable.certificate.height
        while self._assembled:
            certificate, waits = self._assembled[0]
            if certificate.height > (kept if waits else self.durable.height):
                break
            newest = certificate
            self._assembled.popleft()
        if newest is not None:
            self.shown = newest
            self._effects.append(ports.Certified(Height(newest.height)))
