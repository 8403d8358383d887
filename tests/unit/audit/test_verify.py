"""`audit.verify`: one bad ledger for each finding, and the auditor names the reason."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import plyvel
import pytest
from builders import Consortium
from recorded import record_ledger

from audit.findings import FINDINGS
from audit.memory import CheckpointMemory, MemoryDamaged
from audit.verify import Audit, Level, Report, Unreadable
from ledger import store_keys
from ledger.blocks import parse_block_header
from ledger.certificates import parse_certificate
from ledger.checkpoints import Checkpoint
from ledger.codec import encode
from ledger.genesis import GenesisFile
from ledger.types import Height, LeafIndex


class Memory:
    """A whole store in memory, to be tampered with by whoever can fix every checksum."""

    whole = True

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values
        self.damages: list[tuple[str, str]] = []

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self.values):
            if start <= key < stop:
                yield key, self.values[key]

    def damage(self) -> Iterable[tuple[str, str]]:
        return self.damages


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[bytes, bytes], Consortium]:
    folder = tmp_path_factory.mktemp("recorded") / "data"
    consortium = record_ledger(folder)
    with plyvel.DB(str(folder)) as db:
        return dict(db), consortium


@pytest.fixture
def store(recorded: tuple[dict[bytes, bytes], Consortium]) -> Memory:
    return Memory(dict(recorded[0]))


@pytest.fixture
def genesis(recorded: tuple[dict[bytes, bytes], Consortium]) -> GenesisFile:
    return recorded[1].genesis_file


def audited(store: Memory, genesis: GenesisFile, seen: Checkpoint | None = None) -> Report:
    return Audit(genesis, store, remembered=seen).run()


def flipped(value: bytes, place: int = -1) -> bytes:
    changed = bytearray(value)
    changed[place] ^= 1
    return bytes(changed)


def first(store: Memory, prefix: bytes) -> bytes:
    return next(key for key in sorted(store.values) if key.startswith(prefix))


LEAF_1 = store_keys.leaf_key(LeafIndex(1))


def change(prefix: bytes) -> Callable[[Memory], None]:
    def tamper(store: Memory) -> None:
        key = first(store, prefix)
        store.values[key] = flipped(store.values[key])

    return tamper


def remove(prefix: bytes) -> Callable[[Memory], None]:
    def tamper(store: Memory) -> None:
        del store.values[first(store, prefix)]

    return tamper


def add(key: bytes) -> Callable[[Memory], None]:
    def tamper(store: Memory) -> None:
        store.values[key] = b"\x00" * 8

    return tamper


def set_value(key: bytes, value: bytes) -> Callable[[Memory], None]:
    def tamper(store: Memory) -> None:
        store.values[key] = value

    return tamper


def drop_last_block(store: Memory) -> None:
    leaves = [key for key in sorted(store.values) if key.startswith(b"l")]
    del store.values[leaves[-1]]


def swap_two_records(store: Memory) -> None:
    one, other = store_keys.leaf_key(LeafIndex(1)), store_keys.leaf_key(LeafIndex(3))
    store.values[one], store.values[other] = store.values[other], store.values[one]


def rewrite_header(store: Memory, **changes: bytes) -> None:
    """Block 1's header, which is leaf 0, with other content in canonical bytes."""
    key = store_keys.leaf_key(LeafIndex(0))
    header = msgspec.structs.replace(parse_block_header(store.values[key]), **changes)
    store.values[key] = header.to_bytes()


def relink(store: Memory) -> None:
    rewrite_header(store, previous_hash=bytes(32))


def other_state(store: Memory) -> None:
    rewrite_header(store, state_root=bytes(32))


def add_damage(store: Memory) -> None:
    store.damages.append(("file 000003.log, byte 7", "a record's checksum does not fit"))


def remove_certificates(store: Memory) -> None:
    for key in [key for key in store.values if key.startswith(b"c")]:
        del store.values[key]


def move_certificate(store: Memory) -> None:
    key = first(store, b"c")
    value = store.values.pop(key)
    store.values[store_keys.certificate_key(Height(3))] = value


def forge_certificate(store: Memory) -> None:
    key = first(store, b"c")
    certificate = parse_certificate(store.values[key])
    entry = certificate.signers[0]
    forged = type(entry)(entry.node_id, entry.timestamp_s + 1, entry.signature)
    store.values[key] = encode(
        type(certificate)(
            certificate.ledger_id,
            certificate.height,
            certificate.tree_size,
            certificate.root,
            (forged,),
        )
    )


CASES: dict[str, tuple[Callable[[Memory], None], set[str]]] = {
    "another genesis": (set_value(store_keys.GENESIS_MARK, b"x"), {"other-ledger"}),
    "no ledger at all": (remove(store_keys.GENESIS_MARK), {"other-ledger"}),
    "a file's checksum": (add_damage, {"file-damaged"}),
    "a leaf's bytes": (set_value(LEAF_1, b"\x93\x01"), {"malformed-leaf"}),
    "a record's signature": (change(LEAF_1), {"bad-signature"}),
    "a missing leaf": (remove(LEAF_1), {"key-missing"}),
    "two records swapped": (swap_two_records, {"attachment-mismatch", "record-refused"}),
    "a block's link": (relink, {"broken-link"}),
    "a block's state root": (other_state, {"wrong-block"}),
    "a block cut off": (drop_last_block, {"incomplete-block"}),
    "a document": (change(b"a"), {"attachment-mismatch"}),
    "a state value": (change(b"vgrant/"), {"key-differs"}),
    "a state value gone": (remove(b"vgrant/"), {"key-missing"}),
    "a state value more": (add(b"vgrant/x"), {"key-unexpected"}),
    "a state page": (change(b"p"), {"key-differs"}),
    "a block's place": (change(b"b"), {"key-differs"}),
    "a block's place more": (add(store_keys.block_key(Height(10**6))), {"key-unexpected"}),
    "a record's place": (change(b"r"), {"key-differs"}),
    "a record's place gone": (remove(b"r"), {"key-missing"}),
    "a nonce more": (add(b"n" + bytes(48)), {"key-unexpected"}),
    "a tile": (change(b"t"), {"key-differs"}),
    "a list item": (change(b"i"), {"key-differs"}),
    "a document's place": (change(b"d"), {"key-differs"}),
    "an unknown kind of key": (add(b"zz"), {"key-unexpected"}),
    "the tip": (change(store_keys.TIP_MARK), {"mark-invalid"}),
    "a Raft entry": (change(b"e"), {"entry-invalid"}),
    "a Raft entry gone": (remove(b"e"), {"entry-invalid"}),
    "a Raft entry unreadable": (
        set_value(store_keys.entry_key(1), b"\xc1"),
        {"entry-invalid"},
    ),
    "no certificate": (remove_certificates, {"certificate-missing"}),
    "a certificate moved": (move_certificate, {"certificate-invalid", "certificate-missing"}),
    "a certificate forged": (forge_certificate, {"certificate-invalid", "certificate-missing"}),
    "an own signature": (
        set_value(store_keys.own_signature_key(Height(2)), encode((2, 9, bytes(32), 1, bytes(64)))),
        {"mark-invalid"},
    ),
    "an own signature unreadable": (
        set_value(store_keys.own_signature_key(Height(2)), b"\xc1"),
        {"mark-invalid"},
    ),
}


def test_an_untouched_store_holds(store: Memory, genesis: GenesisFile) -> None:
    report = audited(store, genesis)
    assert report.findings == [] and report.holds
    assert set(report.steps) >= {"genesis", "leaves", "blocks", "contracts", "store", "agreement"}


@pytest.mark.parametrize("name", CASES)
def test_what_was_done_is_found_and_named(name: str, store: Memory, genesis: GenesisFile) -> None:
    tamper, codes = CASES[name]
    tamper(store)
    report = audited(store, genesis)
    found = {finding.code for finding in report.findings}
    assert codes <= found, report.findings
    assert report.findings[0].code in codes
    assert all(finding.place and finding.explanation.remedy for finding in report.findings)


def test_each_level_checks_what_it_says_and_no_more(store: Memory, genesis: GenesisFile) -> None:
    def found(level: Level) -> set[str]:
        report = Audit(genesis, store, level=level).run()
        return {finding.code for finding in report.findings}

    assert found("structure") == found("signatures") == found("full") == set()
    shallow, deep = (Audit(genesis, store, level=level).run() for level in ("structure", "full"))
    assert (shallow.height, shallow.root, shallow.records, shallow.certified) == (
        deep.height,
        deep.root,
        deep.records,
        deep.certified,
    )
    assert "contracts" not in shallow.steps and "store" not in shallow.steps
    kept = dict(store.values)
    change(b"a")(store)
    assert found("structure") == set() and "attachment-mismatch" in found("signatures")
    store.values = dict(kept)
    change(b"vgrant/")(store)
    assert found("signatures") == set() and "key-differs" in found("full")
    store.values = dict(kept)
    change(LEAF_1)(store)
    assert "bad-signature" in found("signatures") and "broken-link" in found("structure")
    store.values = dict(kept)
    remove_certificates(store)
    assert found("structure") == {"certificate-missing"}


def test_what_is_wrong_further_on_hides_nothing_before_it(
    store: Memory, genesis: GenesisFile
) -> None:
    """Leaves are read ahead; a leaf that nobody can read ends the audit only in its turn."""
    last = max(key for key in store.values if key[:1] == store_keys.LEAF)
    store.values[last] = b"\xc1"
    store.values[LEAF_1] = flipped(store.values[LEAF_1])
    codes = [finding.code for finding in audited(store, genesis).findings]
    assert codes[0] == "bad-signature" or codes[0] == "broken-link"


def test_a_genesis_without_a_founder_is_no_trust(store: Memory, genesis: GenesisFile) -> None:
    less = GenesisFile(genesis.genesis, genesis.genesis_bytes, genesis.signatures[1:])
    assert [f.code for f in audited(store, less).findings] == ["genesis-invalid"]


def test_the_last_checkpoint_seen_has_to_be_continued(store: Memory, genesis: GenesisFile) -> None:
    seen = audited(store, genesis).certified
    assert seen is not None and audited(store, genesis, seen).holds
    later = Checkpoint(seen.ledger_id, seen.height + 5, seen.tree_size + 9, seen.root)
    assert [f.code for f in audited(store, genesis, later).findings] == ["ledger-shorter"]
    other = Checkpoint(seen.ledger_id, seen.height, seen.tree_size, bytes(32))
    assert [f.code for f in audited(store, genesis, other).findings] == ["ledger-forked"]


def test_a_source_that_fails_says_what_to_do_now() -> None:
    assert Unreadable("the disk is gone").remedy == Unreadable.remedy
    assert Unreadable("the disk is gone", "Mend it.").remedy == "Mend it."


def test_a_source_that_fails_is_a_finding(store: Memory, genesis: GenesisFile) -> None:
    class Failing(Memory):
        def get(self, key: bytes) -> bytes | None:
            raise Unreadable("the disk is gone")

    report = audited(Failing(store.values), genesis)
    assert [f.code for f in report.findings] == ["store-unreadable"]


def test_every_finding_is_provoked_by_some_case() -> None:
    provoked = {code for _, codes in CASES.values() for code in codes}
    provoked |= {"genesis-invalid", "ledger-shorter", "ledger-forked", "store-unreadable"}
    provoked |= {"voter-change-uncertified"}  # in test_voter_changes
    assert set(FINDINGS) == provoked


def test_memory_only_goes_forward_and_says_when_it_is_damaged(tmp_path: Path) -> None:
    memory = CheckpointMemory(tmp_path)
    assert memory.recall(bytes(32)) is None
    memory.remember(Checkpoint(bytes(32), 5, 9, b"r" * 32))
    memory.remember(Checkpoint(bytes(32), 4, 8, b"s" * 32))
    assert memory.recall(bytes(32)) == Checkpoint(bytes(32), 5, 9, b"r" * 32)
    next(tmp_path.iterdir()).write_text("{")
    with pytest.raises(MemoryDamaged):
        memory.recall(bytes(32))
