"""The attack catalogue: what somebody does to real bytes, and what the auditor then says.

Each attack is a function that does it to a copy of a certified ledger and returns everything that
an auditor sees of it: codes of findings and refusals, gaps, names. They stand in `operators`,
`departments`, `powers` and `outsiders`, by who does them. docs/ATTACKS.md is written from here:
`python tests/attacks/catalogue.py` from the project's folder.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from attacks import departments, operators, outsiders, powers  # noqa: E402
from attacks.listing import ATTACKS  # noqa: E402

BY = {
    "operator": operators,
    "department": departments,
    "leader": powers,
    "majority": powers,
    "outsider": outsiders,
}
"""Where the attacks of each stand, in the order of the page."""

UNSEEN = (
    (
        "A provider hands over false data",
        "The ledger says what was handed over and never whether it was true.",
    ),
    (
        "Provider and consumer exchange without any receipt",
        "Both sides together need no ledger; one honest side is enough to prevent it.",
    ),
    (
        "A leader or a majority leaves a department's records out",
        "What is not in the ledger leaves no trace there; the department sees that nothing is "
        "certified, and keeps its signed record.",
    ),
    (
        "An app passes on what it received",
        "Rows in the app's hands are out of reach; whoever may have seen a field is in the "
        "receipts.",
    ),
    (
        "Somebody shows an old proof as if it were of today",
        "It is accepted, for it was true: it says the height and time it speaks of. Ask for one "
        "under a newer checkpoint.",
    ),
    (
        "A majority forks the ledger and nobody ever sees both sides",
        "Each side alone is whole. Auditors who compare checkpoints with each other find it.",
    ),
)
"""What no auditor of this ledger can see, and why."""


def page() -> str:
    """docs/ATTACKS.md."""
    lines = [
        "# Attack catalogue",
        "",
        "What each party could do, done to real bytes by `tests/attacks/`, and what "
        "the auditor then says: a code of [ERRORS.md](ERRORS.md), a",
        "refusal, or names. Written by `python tests/attacks/catalogue.py`. *Department*, *leader* "
        "and *majority* hold valid keys and use them.",
        "",
        "What the contracts refuse never comes into a ledger whose voters are honest. To show that "
        "nobody needs to trust them, such a record is put there anyway, in a block that",
        "everybody certifies; the auditor says the code for which the contracts refuse it.",
        "",
        "| who | what they do | mechanism | the auditor says | what she can show |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.who} | {each.name} | {each.mechanism} | {each.says} | {each.proves} |"
        for who in BY
        for each in ATTACKS
        if each.who == who
    ]
    lines += ["", "## What cannot be seen", "", "| what they do | why |", "|---|---|"]
    lines += [f"| {what} | {why} |" for what, why in UNSEEN]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "ATTACKS.md").write_text(page(), encoding="utf-8")
