"""RFC 9162 §2.1.3.2 and §2.1.4.2 against the proof cases of a public collection."""

import base64
import json
from pathlib import Path

from ledger.errors import ProofMismatch
from ledger.proofs import check_consistency, check_inclusion
from ledger.types import LeafIndex, TreeSize


def raw(text: str | None) -> bytes:
    return base64.b64decode(text) if text else b""


def cases(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))]


def test_every_inclusion_case_is_judged_as_it_says(shared: Path) -> None:
    judged = 0
    for case in cases(shared / "vectors/merkle-testdata/testdata/inclusion"):
        try:
            check_inclusion(
                leaf_hash=raw(case["leafHash"]),
                leaf_index=LeafIndex(case["leafIdx"]),
                tree_size=TreeSize(case["treeSize"]),
                proof=[raw(item) for item in case["proof"] or ()],
                root=raw(case["root"]),
            )
            refused = False
        except ProofMismatch:
            refused = True
        assert refused is case["wantErr"], case["desc"]
        judged += 1
    assert judged == 98


def test_every_consistency_case_is_judged_as_it_says(shared: Path) -> None:
    judged = 0
    for case in cases(shared / "vectors/merkle-testdata/testdata/consistency"):
        try:
            check_consistency(
                old_size=TreeSize(case["size1"]),
                old_root=raw(case["root1"]),
                new_size=TreeSize(case["size2"]),
                new_root=raw(case["root2"]),
                proof=[raw(item) for item in case["proof"] or ()],
            )
            refused = False
        except ProofMismatch:
            refused = True
        assert refused is case["wantErr"], case["desc"]
        judged += 1
    assert judged == 98
