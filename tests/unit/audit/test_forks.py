"""`audit.forks`: same, prefix or fork, and where; paths made from leaves alone."""

import pytest
from branches import Branch
from builders import Consortium
from recorded import dataset

from audit.forks import compare, full_path, leaves, ledger_of, place, roots_at
from audit.verify import Audit
from ledger import store_keys
from ledger.checkpoints import Checkpoint, contradict
from ledger.tree import consistency_proof, leaf_hash, root_of
from ledger.types import LeafIndex, TreeSize


@pytest.fixture(scope="module")
def consortium() -> Consortium:
    return Consortium()


@pytest.fixture(scope="module")
def trunk(consortium: Consortium) -> Branch:
    branch = Branch(consortium)
    for number in range(9):
        branch.block(dataset(consortium, "health", f"table-{number}"))
    branch.certify(consortium.departments)
    return branch


def test_a_branch_made_for_tests_is_a_ledger_that_the_auditor_accepts(trunk: Branch) -> None:
    report = Audit(trunk.genesis, trunk).run()
    assert report.findings == [] and report.height == 9 and len(report.signers) == 5


def test_equal_ledgers_are_the_same(trunk: Branch) -> None:
    found = compare(trunk, trunk.copy())
    assert (found.relation, found.leaf_index, found.shorter) == ("same", None, None)
    assert found.common == found.ends[0] == found.ends[1]
    assert found.common.height == 9 and found.common.root == trunk.checkpoint.root


def test_a_ledger_that_ends_earlier_is_a_prefix(trunk: Branch) -> None:
    longer = trunk.copy()
    longer.block()
    for pair, shorter in (((trunk, longer), 0), ((longer, trunk), 1)):
        found = compare(*pair)
        assert (found.relation, found.shorter) == ("prefix", shorter)
        assert found.leaf_index == trunk.checkpoint.tree_size
        assert found.common.height == 9 and found.ends[1 - shorter].height == 10


def test_ledgers_that_go_on_differently_are_forked_where_they_part(
    trunk: Branch, consortium: Consortium
) -> None:
    one, other = trunk.copy(), trunk.copy()
    one.block(dataset(consortium, "health", "mine"))
    other.block(dataset(consortium, "health", "yours"))
    other.block()
    found = compare(one, other)
    assert (found.relation, found.shorter) == ("fork", None)
    assert found.common.height == 9 and found.leaf_index == trunk.checkpoint.tree_size
    assert [end.height for end in found.ends] == [10, 11]
    assert found.ends[0].root == one.checkpoint.root


def test_a_ledger_with_a_missing_leaf_ends_there(trunk: Branch) -> None:
    gap = trunk.copy()
    del gap.values[store_keys.leaf_key(LeafIndex(6))]
    found = compare(gap, trunk)
    assert (found.relation, found.shorter, found.leaf_index) == ("prefix", 0, 6)
    assert found.common.height == 3


def test_an_old_checkpoint_has_its_place(trunk: Branch) -> None:
    end = trunk.checkpoint
    earlier = Checkpoint(end.ledger_id, 4, 8, roots_at(trunk, [8])[8])
    assert place(end, trunk) == "same"
    assert place(earlier, trunk) == "prefix"
    assert place(Checkpoint(end.ledger_id, 4, 8, bytes(32)), trunk) == "fork"
    assert place(Checkpoint(end.ledger_id, 99, 999, bytes(32)), trunk) == "unknown"


def test_paths_from_leaves_are_those_of_the_tree(trunk: Branch) -> None:
    hashes = [leaf_hash(leaf) for leaf in leaves(trunk)]
    last = len(hashes)
    for old in range(1, last):
        path = full_path(trunk, old_size=old, new_size=last)
        known = consistency_proof(
            lambda level, index: root_of(hashes[index << level : (index + 1) << level]),
            old_size=TreeSize(old),
            new_size=TreeSize(last),
        )
        complete = old & (old - 1) == 0
        assert path == ((root_of(hashes[:old]), *known) if complete else known)
        end = Checkpoint(bytes(32), 100, last, root_of(hashes))
        right = Checkpoint(bytes(32), 50, old, root_of(hashes[:old]))
        wrong = Checkpoint(bytes(32), 50, old, bytes(32))
        assert not contradict(right, end, path)
        assert contradict(wrong, end, path)


def test_a_store_says_which_ledger_it_holds(trunk: Branch, consortium: Consortium) -> None:
    assert ledger_of(trunk) == consortium.ledger_id
    assert ledger_of(Branch(consortium)) is None
    assert compare(Branch(consortium), Branch(consortium)).relation == "same"
