"""`node.store.watermark`: survives a torn write, and tells when a store went backwards."""

from pathlib import Path

import pytest

from node.errors import IdentityInvalid, StoreBehind, Unavailable
from node.ports import Watermark
from node.store.watermark import WatermarkFile, check_not_behind


def mark(number: int, *, vote: bytes | None = None) -> Watermark:
    return Watermark(batch_number=number, term=number, vote=vote, signed_height=2 * number)


def test_the_newest_whole_mark_is_read(tmp_path: Path) -> None:
    file = WatermarkFile(tmp_path / "watermark")
    assert file.read().batch_number == 0
    for number in range(1, 6):
        file.write(mark(number, vote=bytes([number]) * 32 if number % 2 else None))
        assert file.read() == mark(number, vote=bytes([number]) * 32 if number % 2 else None)
    file.close()
    assert (tmp_path / "watermark").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", [0, 1, 40, 55])
def test_a_torn_write_leaves_the_mark_before(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "watermark"
    file = WatermarkFile(path)
    file.write(mark(1))
    before = path.read_bytes()
    file.write(mark(2))
    after = path.read_bytes()
    path.write_bytes(after[:kept] + before[kept : len(before)])
    path.write_bytes(after[:kept] + bytes(89 - kept) + after[89:])
    assert file.read() == mark(1)
    file.close()


def test_others_may_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "watermark"
    path.write_bytes(b"")
    path.chmod(0o644)
    with pytest.raises(IdentityInvalid, match="read by others"):
        WatermarkFile(path)
    with pytest.raises(Unavailable):
        WatermarkFile(tmp_path / "none" / "watermark")


@pytest.mark.parametrize(
    ("batch_number", "term", "signed_height"), [(4, 5, 10), (5, 4, 10), (5, 5, 9)]
)
def test_any_step_back_is_refused(batch_number: int, term: int, signed_height: int) -> None:
    check_not_behind(mark(5), batch_number=5, term=5, signed_height=10)
    with pytest.raises(StoreBehind, match="this node had reached batch 5"):
        check_not_behind(mark(5), batch_number=batch_number, term=term, signed_height=signed_height)
