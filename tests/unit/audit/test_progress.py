"""`audit.progress`: an audit that was broken off is continued, by its auditor and on its ledger."""

from pathlib import Path

import pytest
from branches import Branch
from builders import START_MS, Consortium
from recorded import dataset, grant_request, receipts

from audit import verify
from audit.memory import CheckpointMemory, MemoryDamaged
from audit.progress import MARK, ProgressRefused
from audit.segments import judge_at_once
from audit.sources.scratch_folder import ScratchFolder
from audit.verify import Audit, Report, Unreadable
from contracts.grants import GrantApprove
from ledger import store_keys
from ledger.types import LeafIndex

SECRET = bytes(31) + b"1"


class BrokenOff(Exception):
    """The power went."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is written after every fourth leaf at the latest."""
    monkeypatch.setattr(verify, "PROGRESS_LEAVES", 4)
    monkeypatch.setattr("audit.reading.SEGMENT_LEAVES", 3)


@pytest.fixture(scope="module")
def made() -> Branch:
    consortium = Consortium(("health", "housing"), voter_count=1)
    branch = Branch(consortium)
    for number in range(4):
        branch.block(dataset(consortium, "health", f"table-{number}"))
    asked = grant_request(consortium, "housing", "health", "table-0")
    branch.block(asked)
    approval = GrantApprove(asked.record_id)
    branch.block(consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9))
    for start in range(8):
        branch.block(receipts(consortium, "health", asked.record_id, range(start, start + 1)))
    branch.certify(("health",))
    return branch


@pytest.fixture
def branch(made: Branch) -> Branch:
    return made.copy()


@pytest.fixture
def folder(tmp_path: Path, branch: Branch) -> Path:
    """The scratch store of an audit that was broken off before the end."""
    kept = tmp_path / "kept"

    def break_off(_: str, done: int) -> None:
        if done >= 15:
            raise BrokenOff

    with ScratchFolder(kept) as scratch, pytest.raises(BrokenOff):
        Audit(
            branch.genesis,
            branch,
            scratch=scratch,
            secret=SECRET,
            judge=judge_at_once,
            progress=break_off,
        ).run()
    return kept


def continued(folder: Path, branch: Branch, secret: bytes = SECRET) -> Report:
    with ScratchFolder(folder) as scratch:
        return Audit(branch.genesis, branch, scratch=scratch, secret=secret).run()


def test_an_audit_goes_on_where_it_was_broken_off_and_says_the_same(
    folder: Path, branch: Branch
) -> None:
    report = continued(folder, branch)
    assert report.holds, report.findings
    assert 5 <= report.resumed_height <= 7
    report.resumed_height = 0
    assert report == Audit(branch.genesis, branch).run()


def test_what_comes_after_the_progress_is_judged(folder: Path, branch: Branch) -> None:
    tip = branch.replay.tip
    key = store_keys.leaf_key(LeafIndex(tip.tree_size - 2))
    branch.values[key] = branch.values[key][:-1] + bytes([branch.values[key][-1] ^ 1])
    report = continued(folder, branch)
    assert report.resumed_height
    assert [finding.code for finding in report.findings][:1] == ["bad-signature"]


def test_a_ledger_that_grew_meanwhile_is_continued(folder: Path, branch: Branch) -> None:
    assert continued(folder, branch).holds
    branch.block(dataset(branch.consortium, "housing", "later"))
    branch.certify(("health",))
    report = continued(folder, branch)
    assert report.holds
    assert report.height == branch.replay.tip.height
    assert report.certified == branch.checkpoint


def tampered(folder: Path, prefix: bytes) -> None:
    with ScratchFolder(folder) as scratch:
        key, value = next(scratch.scan(prefix, bytes([prefix[0] + 1])))
        scratch.write({key: value[:-1] + bytes([value[-1] ^ 1])})


@pytest.mark.parametrize(
    "prefix", [MARK, store_keys.STATE_VALUE, store_keys.NONCE, store_keys.BLOCK]
)
def test_a_progress_that_was_changed_is_refused(
    prefix: bytes, folder: Path, branch: Branch
) -> None:
    tampered(folder, prefix)
    with pytest.raises(ProgressRefused):
        continued(folder, branch)


def test_pages_that_were_changed_are_made_again(folder: Path, branch: Branch) -> None:
    tampered(folder, store_keys.STATE_PAGE)
    assert continued(folder, branch).holds


def test_another_auditors_progress_is_refused(folder: Path, branch: Branch) -> None:
    with pytest.raises(ProgressRefused, match="sealed"):
        continued(folder, branch, secret=bytes(32))


def test_a_progress_of_another_branch_is_refused(folder: Path, branch: Branch) -> None:
    other = Branch(branch.consortium)
    for number in range(30):
        other.block(dataset(branch.consortium, "housing", f"other-{number}"))
    with pytest.raises(ProgressRefused, match="another"):
        continued(folder, other)
    with pytest.raises(ProgressRefused, match="another"):
        continued(folder, Branch(branch.consortium))


def test_what_was_found_is_found_again(folder: Path, branch: Branch, tmp_path: Path) -> None:
    key = store_keys.attached_key(LeafIndex(0))
    branch.values[key] += b"more"
    for _ in range(2):
        report = continued(tmp_path / "other", branch)
        assert report.resumed_height == 0
        assert "attachment-mismatch" in [finding.code for finding in report.findings]


def test_no_folder_of_another_kind_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    with pytest.raises(Unreadable, match="neither empty nor"):
        ScratchFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_the_secret_is_drawn_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    memory = CheckpointMemory(tmp_path / "memory")
    secret = memory.secret()
    assert len(secret) == 32
    assert CheckpointMemory(tmp_path / "memory").secret() == secret
    path = tmp_path / "memory" / "progress.key"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(MemoryDamaged, match="5 bytes"):
        memory.secret()
