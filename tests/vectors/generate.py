"""Writes the golden vectors of the ledger's formats, or checks that they are as they would be.

    python tests/vectors/generate.py [--check]

`ledger.json` is a list with one vector on each line: name, format, description, fields of the
format, and `hex`, the bytes. A vector with `refused` must be refused, for the reason it gives. Keys
and times are fixed, so every run writes the same file. `proofs/` has a proof file of each kind, an
evidence file and their genesis, likewise; `shown.json` says what each of them shows.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
if str(FOLDER.parent) not in sys.path:
    sys.path.insert(0, str(FOLDER.parent))

from vectors.accepted import accepted_vectors  # noqa: E402
from vectors.proof_files import golden_proofs, golden_shown  # noqa: E402
from vectors.refused import refused_vectors  # noqa: E402

GOLDEN = FOLDER / "ledger.json"
PROOFS = FOLDER / "proofs"
SHOWN = FOLDER / "shown.json"


def golden_text() -> str:
    """The golden file's content. Raises ValueError if two vectors share a name."""
    vectors = [*accepted_vectors(), *refused_vectors()]
    names = [vector["name"] for vector in vectors]
    if len(names) != len(set(names)):
        raise ValueError("two vectors share a name")
    return "[\n" + ",\n".join(json.dumps(vector) for vector in vectors) + "\n]\n"


def golden_files() -> dict[Path, bytes]:
    """Every golden file's path and content."""
    proofs = golden_proofs()
    files = {PROOFS / name: data for name, data in proofs.items()}
    return {GOLDEN: golden_text().encode("ascii"), SHOWN: golden_shown(proofs), **files}


def main(arguments: list[str]) -> int:
    """Write the golden files, or with --check compare: 0 if nothing differs, 1 otherwise."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    files = golden_files()
    if not arguments:
        PROOFS.mkdir(exist_ok=True)
        for path, data in files.items():
            path.write_bytes(data)
        return 0
    differing = [
        path for path, data in files.items() if not path.is_file() or path.read_bytes() != data
    ]
    for path in differing:
        print(f"{path.name} differs from what generate.py would write", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
