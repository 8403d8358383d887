"""`audit.segments` and `audit.workers`: one function, the same answer wherever it runs."""

import gc
import importlib.util
import os

import pytest
from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request, receipts

from audit import workers
from audit.reading import SEGMENT_BYTES_MAX, judged_segments
from audit.segments import Judge, judge_at_once
from audit.verify import Audit, Report
from audit.workers import Cluster, Cores, Unjudged
from contracts.exchanges import ReceiptLine, Receipts
from contracts.grants import GrantApprove
from ledger import store_keys
from ledger.attachments import attach_items, items_root
from ledger.records import ATTACHED_BYTES_MAX
from ledger.types import LeafIndex


@pytest.fixture(scope="module")
def branch() -> Branch:
    """A certified ledger with a batch of receipts in each of eight blocks."""
    consortium = Consortium(("health", "housing"), voter_count=1)
    made = Branch(consortium)
    made.block(dataset(consortium, "health", "table"))
    asked = grant_request(consortium, "housing", "health", "table")
    made.block(asked)
    approval = GrantApprove(asked.record_id)
    made.block(consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9_000))
    for start in range(0, 80, 10):
        made.block(receipts(consortium, "health", asked.record_id, range(start, start + 10)))
    made.certify(("health",))
    return made


def flip(branch: Branch, key: bytes, place: int) -> None:
    value = bytearray(branch.values[key])
    value[place] ^= 1
    branch.values[key] = bytes(value)


def forged(branch: Branch) -> Branch:
    """A signature, an attachment and a leaf that are not what they were."""
    other = branch.copy()
    flip(other, store_keys.leaf_key(LeafIndex(6)), -1)
    flip(other, store_keys.attached_key(LeafIndex(8)), -1)
    flip(other, store_keys.leaf_key(LeafIndex(12)), 0)
    return other


def audited(branch: Branch, judge: Judge) -> Report:
    return Audit(branch.genesis, branch, judge=judge).run()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of three leaves, all judged in other processes."""
    monkeypatch.setattr("audit.reading.SEGMENT_LEAVES", 3)
    monkeypatch.setattr(workers, "SEGMENTS_ALONE", 0)


@pytest.mark.usefixtures("small")
def test_processes_find_what_one_function_finds(branch: Branch) -> None:
    bad = forged(branch)
    with Cores(2) as judge:
        assert audited(branch, judge).holds
        found = audited(bad, judge)
        assert 1 <= judge.processes <= 2
    assert found == audited(bad, judge_at_once)
    assert [finding.code for finding in found.findings] == ["bad-signature", "wrong-block"]


def test_the_garbage_collector_looks_as_often_afterwards_as_before() -> None:
    before = gc.get_threshold()
    with Cores(1):
        assert gc.get_threshold() == (workers.GARBAGE_ALLOCATIONS, *before[1:])
    assert gc.get_threshold() == before


@pytest.mark.usefixtures("small")
def test_a_process_that_ends_is_said(branch: Branch) -> None:
    with Cores(1) as judge:
        judge(next(segment for segment, _ in judged_segments(branch, judge_at_once)))()
        judge._started[0].kill()
        with pytest.raises(Unjudged, match="a judging process ended"):
            audited(branch, judge)


@pytest.mark.usefixtures("small")
@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_finds_what_one_function_finds(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("distributed") is None:
        assert os.environ.get("CI") != "true", "Dask is locked for development"
        pytest.skip("Dask is not installed")
    from distributed import LocalCluster

    bad = forged(branch)
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            host="127.0.0.1",
            dashboard_address=None,
            protocol="tcp",
        ) as cluster,
        Cluster(cluster.scheduler_address) as judge,
    ):
        assert audited(branch, judge).holds
        assert audited(bad, judge) == audited(bad, judge_at_once)
        monkeypatch.setattr(workers, "CLUSTER_PAUSE_S", 0.1)
        monkeypatch.setattr(workers, "CLUSTER_TIMEOUT_S", 0.3)
        cluster.scale(0)
        with pytest.raises(Unjudged, match=r"no worker of the Dask cluster at .* is left"):
            audited(branch, judge)
        with pytest.raises(Unjudged, match="has no worker"):
            Cluster(cluster.scheduler_address)


def test_a_small_ledger_starts_no_processes(branch: Branch) -> None:
    with Cores(2) as judge:
        assert audited(branch, judge).holds
        assert judge.processes == 0


def test_a_cluster_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("distributed") is None:
        assert os.environ.get("CI") != "true", "Dask is locked for development"
        pytest.skip("Dask is not installed")
    monkeypatch.setattr(workers, "CLUSTER_TIMEOUT_S", 0.3)
    with pytest.raises(Unjudged, match="host is no scheduler's address"):
        Cluster("host")
    with pytest.raises(Unjudged, match="no Dask scheduler answers at tcp://127.0.0.1:9"):
        Cluster("tcp://127.0.0.1:9")


def test_lacking_dask_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(Unjudged, match="Dask is not installed here") as caught:
        Cluster("tcp://127.0.0.1:9")
    assert "concordat-ledger[dask]" in caught.value.remedy


def test_a_segment_ends_where_it_holds_enough_bytes(branch: Branch) -> None:
    heavy = branch.copy()
    for index in range(14):
        heavy.values[store_keys.attached_key(LeafIndex(index))] = bytes(ATTACHED_BYTES_MAX)
    sizes = [len(each.leaves) for each, _ in judged_segments(heavy, judge_at_once)]
    assert sum(sizes) == branch.replay.tip.tree_size
    assert max(sizes[:-1]) * ATTACHED_BYTES_MAX <= SEGMENT_BYTES_MAX + ATTACHED_BYTES_MAX


def test_lines_of_several_grants_are_compared_with_their_items(branch: Branch) -> None:
    consortium = branch.consortium
    items = (b"one", b"two")
    lines = tuple(
        ReceiptLine(bytes(31) + bytes([at]), 1, "a:b", "a:b", 1, 1, 1, items_root((item,)))
        for at, item in enumerate(items)
    )
    attached, data = attach_items(items)
    for body, fault in ((lines, None), (lines[::-1], "attachment-mismatch")):
        record = consortium.record("health", "exchange.receipts", Receipts(body), items=items)
        assert record.header.attached == attached
        other = Branch(consortium)
        other.values[store_keys.leaf_key(LeafIndex(0))] = record.leaf_bytes
        other.values[store_keys.attached_key(LeafIndex(0))] = data
        [(_, judged)] = judged_segments(other, judge_at_once)
        assert [code for _, code, _ in judged.findings] == ([] if fault is None else [fault])
