"""What the catalogue's attacks have in common: how each is listed, and who does it."""

from collections.abc import Callable
from dataclasses import dataclass

from attacks.world import World

Done = Callable[[World], set[str]]


@dataclass(frozen=True)
class Attack:
    """says: the code, or the names, that the auditor sees. proves: what she can show to others."""

    name: str
    who: str
    mechanism: str
    says: str
    proves: str
    do: Done


ATTACKS: list[Attack] = []

HOLDERS = ("department", "leader", "majority")
"""Those who hold valid keys of the ledger and use them."""

THE_LEDGER = "the copy: anyone verifies it again"
THE_NAMES = "an evidence file with both signatures"
THE_RECORDS = "both signed records, each with a proof file"
THE_CHECK = "nothing is left to show: the file is refused"


def attack(who: str, mechanism: str, says: str, proves: str) -> Callable[[Done], Done]:
    """Puts a function into the catalogue; its docstring is what is done."""

    def put(do: Done) -> Done:
        name = (do.__doc__ or "").strip().rstrip(".")
        ATTACKS.append(Attack(name, who, mechanism, says, proves, do))
        return do

    return put


def flipped(value: bytes, place: int) -> bytes:
    changed = bytearray(value)
    changed[place] ^= 1
    return bytes(changed)
