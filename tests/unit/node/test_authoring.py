"""`node.authoring`: a retry meets its first try, also after a restart."""

from pathlib import Path

import pytest
from builders import START_MS

from contracts.grants import GrantApprove, GrantDecision
from ledger import store_keys
from ledger.signatures import verify
from node.authoring import Author, Draft, KeyReused
from node.identity import Identity, create_identity


class _Store:
    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)


class _Clock:
    def __init__(self) -> None:
        self.time_ms = START_MS

    def now_ms(self) -> int:
        return self.time_ms


def author(identity: Identity, store: _Store, clock: _Clock) -> Author:
    return Author(
        ledger_id=bytes(32),
        department="housing",
        identity=identity,
        clock=clock,
        store=store,  # type: ignore[arg-type]
        valid_ms=1_000,
    )


def draft(number: int) -> Draft:
    return Draft("grant.approve", GrantApprove(bytes([number]) * 32), "clerk")


def test_a_key_stands_for_one_record(tmp_path: Path) -> None:
    identity, store, clock = create_identity(tmp_path / "keys"), _Store(), _Clock()
    made = author(identity, store, clock)
    first = made.build(draft(1), idempotency=("app", "k"))
    assert verify(identity.record_key, first.statement(), first.signature)
    clock.time_ms += 500
    assert made.build(draft(1), idempotency=("app", "k")) is first
    assert made.build(draft(1), idempotency=("app", "other")).record_id != first.record_id
    assert made.build(draft(1), idempotency=("desk", "k")).record_id != first.record_id
    assert made.build(draft(1)).header.nonce != made.build(draft(1)).header.nonce
    with pytest.raises(KeyReused):
        made.build(draft(2), idempotency=("app", "k"))


def test_a_key_is_known_after_a_restart_from_the_ledger(tmp_path: Path) -> None:
    identity, store, clock = create_identity(tmp_path / "keys"), _Store(), _Clock()
    first = author(identity, store, clock).build(draft(1), idempotency=("app", "k"))
    nonce = store_keys.nonce_key(identity.record_key, first.header.nonce)
    store.values[nonce] = (7).to_bytes(8, "big")
    store.values[b"l" + (7).to_bytes(8, "big")] = first.leaf_bytes
    clock.time_ms += 10_000
    again = author(identity, store, clock)
    assert again.build(draft(1), idempotency=("app", "k")).record_id == first.record_id
    for other in (draft(2), Draft("grant.revoke", GrantDecision(bytes(32), "no"), "clerk")):
        with pytest.raises(KeyReused):
            again.build(other, idempotency=("app", "k"))


def test_the_ledger_counts_more_than_what_was_built_since_a_restart(tmp_path: Path) -> None:
    identity, store, clock = create_identity(tmp_path / "keys"), _Store(), _Clock()
    first = author(identity, store, clock).build(draft(1), idempotency=("app", "k"))
    clock.time_ms += 10
    again = author(identity, store, clock)
    assert again.build(draft(1), idempotency=("app", "k")).record_id != first.record_id
    nonce = store_keys.nonce_key(identity.record_key, first.header.nonce)
    store.values[nonce] = (7).to_bytes(8, "big")
    store.values[b"l" + (7).to_bytes(8, "big")] = first.leaf_bytes
    assert again.build(draft(1), idempotency=("app", "k")).record_id == first.record_id
    with pytest.raises(KeyReused):
        again.build(draft(2), idempotency=("app", "k"))


def test_an_expired_try_that_never_arrived_is_built_anew(tmp_path: Path) -> None:
    identity, store, clock = create_identity(tmp_path / "keys"), _Store(), _Clock()
    made = author(identity, store, clock)
    first = made.build(draft(1), idempotency=("app", "k"))
    clock.time_ms += 2_000
    second = made.build(draft(1), idempotency=("app", "k"))
    assert second.record_id != first.record_id and second.header.nonce == first.header.nonce


def test_documents_and_items_are_part_of_the_content(tmp_path: Path) -> None:
    identity, store, clock = create_identity(tmp_path / "keys"), _Store(), _Clock()
    made = author(identity, store, clock)
    body = GrantApprove(bytes(32))
    made.build(Draft("a.b", body, "x", document=b"1"), idempotency=("app", "d"))
    with pytest.raises(KeyReused):
        made.build(Draft("a.b", body, "x", document=b"2"), idempotency=("app", "d"))
    made.build(Draft("a.b", body, "x", items=(b"1",)), idempotency=("app", "i"))
    with pytest.raises(KeyReused):
        made.build(Draft("a.b", body, "x", items=(b"1", b"2")), idempotency=("app", "i"))
