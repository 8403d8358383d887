"""`audit.proofs.check`: what a proof that shows nothing is refused for, word for word.

Each file is spelled as it has to be and its certificate holds, so that the check which is named is
the one that refuses.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from branches import cosign
from builders import START_MS
from recorded import grant_request, receipts
from vectors.proof_files import EXCHANGE, golden_branch, shown_by

from audit.proofs.build import Prover
from audit.proofs.check import check_proof, check_tlog_proof, moment
from audit.proofs.format import (
    PROOF_BYTES_MAX,
    HeldGrant,
    ListedDataset,
    Proof,
    ProofRefused,
    RecordPart,
    StatePart,
    accept_one_spelling,
    parse_proof,
)
from audit.proofs.trust import Trust
from contracts.grants import GrantApprove
from contracts.state import dataset_key, department_key, grant_key, held_list, receipts_list
from ledger.notes import Note, NoteSignature
from ledger.tlog_proofs import TlogProof, parse_tlog_proof

PROOF_REMEDY = "Do not rely on it; ask for another proof, best from another department's node."
NODE_REMEDY = "Do not rely on it; ask another node for a proof under the same checkpoint."
GENESIS_REMEDY = "Give the genesis of the ledger that it is about; compare the fingerprint."
FILE_REMEDY = "It was damaged on its way or made by other software: ask for the file again."


class Forger:
    """Makes proofs of the golden ledger, and others of the same parts."""

    def __init__(self) -> None:
        self.branch, self.granted, self.revoked = golden_branch()
        consortium = self.branch.consortium
        asked = grant_request(consortium, "civil-affairs", "health", "addresses")
        self.other = asked.record_id
        approval = GrantApprove(self.other)
        self.branch.block(asked)
        self.branch.block(
            consortium.record("health", "grant.approve", approval, created_ms=START_MS + 9_000)
        )
        for first in (50, 60):
            self.branch.block(receipts(consortium, "health", self.other, range(first, first + 3)))
        self.branch.certify(consortium.departments)
        self.genesis = self.branch.genesis
        self.prover = Prover(self.genesis, self.branch)

    def state(self, key: bytes) -> StatePart:
        return self.prover._state_part(key)

    def held(self, grant_id: bytes) -> HeldGrant:
        return HeldGrant(grant_id.hex(), self.state(grant_key(grant_id)))

    def record(self, record_id: bytes) -> RecordPart:
        return parse_proof(self.prover.record(record_id)).statement.record

    def absence(self, **changes: object) -> bytes:
        return changed(self.prover.absence("housing", "health", "addresses"), **changes)

    def grant(self, **changes: object) -> bytes:
        return changed(self.prover.grant(self.granted), **changes)

    def receipt(self, **changes: object) -> bytes:
        return changed(self.prover.receipt(EXCHANGE), **changes)

    def receipts(self, **changes: object) -> bytes:
        return changed(self.prover.receipts(self.granted), **changes)

    def grants(self, **changes: object) -> bytes:
        return changed(self.prover.grants("health", "vaccinations"), **changes)

    def datasets(self, **changes: object) -> bytes:
        return changed(self.prover.datasets("health"), **changes)

    def emergencies(self, **changes: object) -> bytes:
        return changed(self.prover.emergencies(), **changes)

    def unlisted(self) -> bytes:
        """A receipts proof for one grant with the records of another's."""
        records = parse_proof(self.prover.receipts(self.granted)).statement.records
        return changed(self.prover.receipts(self.other), records=records)

    def disordered(self) -> bytes:
        """A receipts proof whose records stand in another order."""
        records = parse_proof(self.prover.receipts(self.granted)).statement.records
        return self.receipts(records=records[::-1])

    def renamed(self) -> bytes:
        """A datasets proof whose list names one that there is not, with the state to it."""
        listed = parse_proof(self.prover.datasets("health")).statement.datasets
        none = ListedDataset("none", self.state(dataset_key("health", "none")))
        return self.datasets(datasets=(none, *listed[1:]))

    def letting_through(self) -> bytes:
        """An absence proof of a grant that holds."""
        return self.absence(
            dataset="vaccinations",
            offered=self.state(dataset_key("health", "vaccinations")),
            held=self.state(held_list("housing", "health", "vaccinations")),
            grants=(self.held(self.granted),),
        )


@pytest.fixture(scope="module")
def forger() -> Forger:
    return Forger()


def changed(data: bytes, **changes: object) -> bytes:
    """A proof file with other members in its statement."""
    proof = parse_proof(data)
    statement = msgspec.structs.replace(proof.statement, **changes)
    return msgspec.structs.replace(proof, statement=statement).to_json()


NOBODY = bytes(32)
WHOLE_GRANTS = "they are not the whole list of the dataset's grants"
WHOLE_DATASETS = "they are not the whole list of the department's datasets"
ANOTHER = "its records do not make the list that the state commits to"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda it: it.receipt(line=1), "receipt: its record has no line 1"),
        (lambda it: it.receipt(line=7), "receipt: its record has no line 7"),
        (
            lambda it: it.receipt(record=it.record(it.revoked)),
            "record: it is a grant.request and holds no receipts",
        ),
        (
            lambda it: it.grant(grant_id=NOBODY.hex(), state=it.state(grant_key(NOBODY))),
            "grant: the proof shows that there is none with this id",
        ),
        (
            lambda it: it.absence(
                consumer="tourism", consumer_state=it.state(department_key("tourism"))
            ),
            "absence: tourism is no department of this ledger",
        ),
        (
            lambda it: it.absence(
                publisher="housing", publisher_state=it.state(department_key("housing"))
            ),
            "absence: housing needs no grant to read its own dataset",
        ),
        (
            lambda it: it.absence(dataset="none", offered=it.state(dataset_key("health", "none"))),
            "absence: there is no dataset health/none",
        ),
        (
            lambda it: it.absence(grants=()),
            "absence: its grants are not the whole list of the consumer's grants",
        ),
        (
            lambda it: it.letting_through(),
            "absence: grant {granted} does let the consumer read",
        ),
        (
            lambda it: it.receipts(records=()),
            "receipts: the list has 2 items, the proof 0 records",
        ),
        (lambda it: it.disordered(), f"receipts: {ANOTHER}"),
        (lambda it: it.unlisted(), "receipts: a record has no line of grant {other}"),
        (
            lambda it: it.grants(dataset="none", offered=it.state(dataset_key("health", "none"))),
            "grants: there is no dataset health/none",
        ),
        (lambda it: it.grants(grants=()), f"grants: {WHOLE_GRANTS}"),
        (lambda it: it.grants(grants=(it.held(it.revoked),)), f"grants: {WHOLE_GRANTS}"),
        (
            lambda it: it.datasets(
                department="tourism", member=it.state(department_key("tourism"))
            ),
            "datasets: tourism is no department of this ledger",
        ),
        (lambda it: it.datasets(datasets=()), f"datasets: {WHOLE_DATASETS}"),
        (lambda it: it.renamed(), f"datasets: {WHOLE_DATASETS}"),
        (
            lambda it: it.emergencies(grants=(it.held(it.granted),)),
            "emergencies: they are not the whole list of emergencies",
        ),
    ],
)
def test_what_does_not_follow_is_refused_by_the_check_that_it_fails(
    make: Callable[[Forger], bytes], why: str, forger: Forger
) -> None:
    with pytest.raises(ProofRefused) as caught:
        check_proof(make(forger), forger.genesis)
    named = why.format(granted=forger.granted.hex(), other=forger.other.hex())
    assert (str(caught.value), caught.value.remedy) == (named, PROOF_REMEDY)


def test_what_the_ledgers_own_checks_refuse_keeps_their_words(forger: Forger) -> None:
    for data, why in (
        (forger.receipt(item_index=0), "inclusion proof: it leads to another root"),
        (forger.grant(grant_id=forger.revoked.hex()), "state proof: it does not lead to this root"),
        (
            forger.receipts(head=forger.state(receipts_list(forger.revoked))),
            "state proof: its other key does not stand in this key's place",
        ),
    ):
        with pytest.raises(ProofRefused) as caught:
            check_proof(data, forger.genesis)
        assert (str(caught.value), caught.value.remedy) == (why, NODE_REMEDY)


def test_another_ledgers_proof_says_what_to_give(forger: Forger) -> None:
    proof = parse_proof(forger.grant())
    renamed = msgspec.structs.replace(proof, ledger_id=NOBODY.hex()).to_json()
    with pytest.raises(ProofRefused) as caught:
        check_proof(renamed, forger.genesis)
    assert str(caught.value) == "proof file: it is about another ledger than this genesis'"
    assert caught.value.remedy == GENESIS_REMEDY


def test_a_file_is_refused_by_size_form_and_spelling(forger: Forger) -> None:
    data = forger.grant()

    def accept(data: bytes, bytes_max: int = PROOF_BYTES_MAX) -> Proof:
        return accept_one_spelling(data, Proof, what="proof file", bytes_max=bytes_max)

    assert accept(data, len(data)) == parse_proof(data)
    size = len(data)
    for refused, why, remedy in (
        (lambda: accept(data, size - 1), f"{size} bytes, at most {size - 1} are", PROOF_REMEDY),
        (lambda: accept(b"{"), "Input data was truncated", FILE_REMEDY),
        (lambda: accept(data[:-1]), "it is not the one accepted spelling of its", FILE_REMEDY),
        (lambda: parse_proof(data + b"\n"), "it is not the one accepted spelling", FILE_REMEDY),
    ):
        with pytest.raises(ProofRefused) as caught:
            refused()
        assert str(caught.value).startswith(f"proof file: {why}")
        assert caught.value.remedy == remedy
    with pytest.raises(ProofRefused) as caught:
        accept(data[:-1])
    assert caught.value.why == "it is not the one accepted spelling of its content"
    with pytest.raises(ProofRefused) as caught:
        parse_proof(bytes(PROOF_BYTES_MAX + 1))
    limit = f"{PROOF_BYTES_MAX + 1} bytes, at most {PROOF_BYTES_MAX} are allowed"
    assert str(caught.value) == f"proof file: {limit}"


def test_a_tlog_proof_shows_what_the_record_proof_shows_and_all_signers(forger: Forger) -> None:
    trust = Trust(forger.genesis)
    shown = shown_by(check_tlog_proof(forger.prover.tlog_proof(forger.granted), trust))
    proof = forger.prover.record(forger.granted)
    expected = shown_by(check_proof(proof, forger.genesis))
    newest = cosign(forger.branch.consortium, "health", forger.branch.checkpoint)
    everybody = list(forger.branch.consortium.departments)
    assert len(expected["signers"]) < len(everybody), "a file holds no more than a majority"
    assert shown == expected | {"time_ms": 1_000 * newest.timestamp_s, "signers": everybody}
    json.dumps(shown)


def test_a_tlog_proof_is_refused_without_its_leaf_or_with_a_strangers_signature(
    forger: Forger,
) -> None:
    trust = Trust(forger.genesis)
    good = parse_tlog_proof(forger.prover.tlog_proof(forger.granted))
    stranger = NoteSignature("stranger.example", bytes(4), bytes(72))
    signed = Note(good.note.text, (*good.note.signatures, stranger))
    for proof, why, remedy in (
        (
            TlogProof(good.index, good.path, good.note),
            "tlog-proof: it does not hold the record's leaf as `extra`",
            PROOF_REMEDY,
        ),
        (
            TlogProof(good.index, good.path, signed, good.extra),
            "tlog-proof: its note has other signatures than nodes'",
            PROOF_REMEDY,
        ),
        (
            TlogProof(good.index + 1, good.path, good.note, good.extra),
            "inclusion proof: it leads to another root",
            NODE_REMEDY,
        ),
    ):
        with pytest.raises(ProofRefused) as caught:
            check_tlog_proof(proof.to_bytes(), trust)
        assert (str(caught.value), caught.value.remedy) == (why, remedy)


def test_a_moment_is_said_in_utc_to_the_second_and_beyond_the_calendar_as_a_number() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert moment(0) == "1970-01-01 00:00:00 UTC"
    assert moment(1_700_000_000_999) == "2023-11-14 22:13:20 UTC"
    assert moment(int(last.timestamp()) * 1_000) == "9999-12-31 23:59:59 UTC"
    assert moment((int(last.timestamp()) + 1) * 1_000) == f"{253402300800000} ms"
