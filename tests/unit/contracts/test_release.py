"""The release gate's rules, one by one, on the contracts' ledger in memory."""

from harness import PROVIDER, Stage

from node.exchange.release import Endings, Moment, Release


def moment(stage: Stage, **changes: int) -> Moment:
    given = {"certified_height": 10, "now_ms": stage.time_ms, "monotonic_ms": 9_000} | changes
    return Moment(view=stage.state, **given)


def opened(stage: Stage) -> Release:
    return Release(stage.grant_id, submitted_ms=1_000, height=10)


def code(stage: Stage, release: Release, endings: Endings | None = None, **changes: int) -> str:
    stop = release.take(100, moment(stage, **changes), endings or Endings())
    return "" if stop is None else stop.code


def test_a_chunk_leaves_under_a_certified_receipt_within_the_window(stage: Stage) -> None:
    release = opened(stage)
    assert code(stage, release, monotonic_ms=11_000) == ""
    assert release.delivered_bytes == 100


def test_nothing_leaves_after_the_window_nor_before_the_certificate(stage: Stage) -> None:
    assert code(stage, opened(stage), monotonic_ms=11_001) == "release-window-over"
    assert code(stage, opened(stage), certified_height=9) == "not-certified"
    assert code(stage, Release(stage.grant_id, 1_000)) == "not-certified"


def test_nothing_leaves_once_the_grant_has_ended_by_state_or_by_clock(stage: Stage) -> None:
    release = opened(stage)
    assert code(stage, release) == ""
    expired = stage.grant().request.valid_until_ms
    assert code(stage, opened(stage), now_ms=expired) == "grant-expired"
    stage.accept(stage.decide(PROVIDER, "revoke"))
    assert code(stage, release) == "grant-revoked"
    assert release.delivered_bytes == 100


def test_nothing_leaves_while_an_ending_is_under_way_and_a_stop_is_final(stage: Stage) -> None:
    endings, release, later = Endings(), opened(stage), opened(stage)
    endings.begin(stage.grant_id)
    endings.begin(stage.grant_id)
    endings.end(stage.grant_id)
    assert code(stage, release, endings) == "grant-revoked"
    endings.end(stage.grant_id)
    assert code(stage, later, endings) == ""
    assert code(stage, release, endings) == "grant-revoked"
