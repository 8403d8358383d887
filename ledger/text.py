"""Which text may stand in a record: one answer on every replica, on every Python.

Rule 1. Unicode Normalization Form C (UAX #15), so that two spellings of one name cannot differ.
Rule 2. Only code points that Unicode 14.0 assigns. Normalisation of assigned characters never
        changes (UAX #15 §3, stability), but Python 3.11 ships Unicode 14.0 and Python 3.12 ships
        15.0: without a pinned repertoire two honest nodes could judge one text differently.
Rule 3. No control characters but line feed and tab, so that what is printed is what was signed.
"""

import unicodedata
from bisect import bisect_right

# First and last code points that Unicode 15.0 assigned (UCD DerivedAge.txt, age 15.0). They are
# unassigned for Python 3.11 and must be refused by Python 3.12 as well.
_ASSIGNED_IN_15: tuple[tuple[int, int], ...] = (
    (0xCF3, 0xCF3), (0xECE, 0xECE), (0x10EFD, 0x10EFF), (0x1123F, 0x11241),
    (0x11B00, 0x11B09), (0x11F00, 0x11F10), (0x11F12, 0x11F3A), (0x11F3E, 0x11F59),
    (0x1342F, 0x1342F), (0x13439, 0x13455), (0x1B132, 0x1B132), (0x1B155, 0x1B155),
    (0x1D2C0, 0x1D2D3), (0x1DF25, 0x1DF2A), (0x1E030, 0x1E06D), (0x1E08F, 0x1E08F),
    (0x1E4D0, 0x1E4F9), (0x1F6DC, 0x1F6DC), (0x1F774, 0x1F776), (0x1F77B, 0x1F77F),
    (0x1F7D9, 0x1F7D9), (0x1FA75, 0x1FA77), (0x1FA87, 0x1FA88), (0x1FAAD, 0x1FAAF),
    (0x1FABB, 0x1FABD), (0x1FABF, 0x1FABF), (0x1FACE, 0x1FACF), (0x1FADA, 0x1FADB),
    (0x1FAE8, 0x1FAE8), (0x1FAF7, 0x1FAF8), (0x2B739, 0x2B739), (0x31350, 0x323AF),
)  # fmt: skip
_STARTS = tuple(first for first, _ in _ASSIGNED_IN_15)
_PLAIN_ASCII = frozenset(map(chr, range(0x20, 0x7F))) | {"\n", "\t"}


def text_fault(text: str) -> str | None:
    """What is wrong with `text` under the three rules, as words; None if nothing is."""
    if text.isascii():
        if text.isprintable() or _PLAIN_ASCII.issuperset(text):
            return None
        return "it contains a control character"
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc" and character not in _PLAIN_ASCII:
            return "it contains a control character"
        if category in ("Cn", "Cs") or _is_later_than_14(ord(character)):
            return f"U+{ord(character):04X} is not a character of Unicode 14.0"
    if not unicodedata.is_normalized("NFC", text):
        return "it is not in Unicode Normalization Form C"
    return None


def _is_later_than_14(code_point: int) -> bool:
    place = bisect_right(_STARTS, code_point) - 1
    return place >= 0 and code_point <= _ASSIGNED_IN_15[place][1]
