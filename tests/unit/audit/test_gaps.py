"""`audit.gaps`: exactly the exchanges whose halves do not fit are named, whatever does not fit."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from attacks.world import World, force
from branches import Branch, write_store
from builders import START_MS, Consortium
from click.testing import CliRunner
from recorded import RIGHT, dataset, grant_request

from audit.gaps import GAPS, Reconciliation, reconcile
from audit.verify import Audit
from cli.main import main
from contracts import exchanges as forms
from contracts.grants import GrantAmend, GrantApprove, GrantRequest
from contracts.limits import Hours, Limits
from contracts.registry import CONTRACTS
from ledger import store_keys
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.records import Record
from ledger.types import LeafIndex

HOUR_MS = 3_600_000


def number(value: int, what: str = "exchange") -> bytes:
    return sha256(f"{what} {value}".encode()).digest()


class Book:
    """A ledger between a provider and a consumer, who may each write what they like."""

    def __init__(self) -> None:
        self.consortium = Consortium(("health", "housing"), voter_count=1)
        self.branch = Branch(self.consortium)
        self.branch.block(dataset(self.consortium, "health", "table"))
        self.asked = grant_request(self.consortium, "housing", "health", "table")
        self.branch.block(self.asked)
        self.branch.block(self.record("health", "grant.approve", GrantApprove(self.grant), ()))
        self.receipts: dict[int, Record] = {}

    @property
    def grant(self) -> bytes:
        return self.asked.record_id

    def record(self, by: str, kind: str, body: object, items: tuple[bytes, ...]) -> Record:
        return self.consortium.record(by, kind, body, items=items, created_ms=START_MS + 9_000)

    def receipt(self, value: int, *, sealed: bool = False) -> forms.Receipt:
        return forms.Receipt(
            exchange_id=number(value),
            request=number(value, "request"),
            response=number(value, "response"),
            case=bytes(32),
            rows=2,
            size_bytes=30,
            subjects=0,
            subjects_root=bytes(32),
            key_commitment=number(value, "key") if sealed else None,
        )

    def provide(
        self,
        values: Sequence[int],
        *,
        rows: int | None = None,
        items: tuple[bytes, ...] = (),
        sealed: bool = False,
    ) -> None:
        """A batch of receipts in a block; rows: what the line says, if not the truth."""
        items = items or tuple(encode(self.receipt(value, sealed=sealed)) for value in values)
        said = 2 * len(items) if rows is None else rows
        counts = (len(items), said, 30 * len(items))
        line = forms.ReceiptLine(self.grant, *RIGHT, *counts, items_root(items), sealed)
        record = self.record("health", "exchange.receipts", forms.Receipts((line,)), items)
        self.branch.block(record)
        self.receipts = dict.fromkeys(values, record) | self.receipts

    def acknowledge(self, values: Sequence[int], **changes: bytes) -> None:
        """A batch of acknowledgements; changes: other content than the receipts'."""
        items = []
        for value in values:
            receipt = self.receipt(value)
            known = self.receipts.get(value)
            fields = {
                "exchange_id": receipt.exchange_id,
                "receipt_record": bytes(32) if known is None else known.record_id,
                "request": receipt.request,
                "response": receipt.response,
            }
            items.append(encode(forms.Acknowledgement(**(fields | changes))))
        line = forms.Line(self.grant, len(items), items_root(items))
        body = forms.Acknowledgements((line,))
        self.branch.block(self.record("housing", "exchange.acknowledgements", body, tuple(items)))

    def hand_over(self, values: Sequence[int]) -> None:
        """A batch of keys."""
        items = tuple(encode(forms.Key(number(value), bytes(32), bytes(80))) for value in values)
        line = forms.Line(self.grant, len(items), items_root(items))
        self.branch.block(self.record("health", "exchange.keys", forms.Keys((line,)), items))

    def void(self, values: Sequence[int], delivered_bytes: int = 0) -> None:
        items = tuple(
            encode(
                forms.Void(
                    number(value),
                    self.receipts[value].record_id if value in self.receipts else bytes(32),
                    delivered_bytes,
                    "cut off",
                )
            )
            for value in values
        )
        line = forms.Line(self.grant, len(items), items_root(items))
        self.branch.block(self.record("health", "exchange.voids", forms.Voids((line,)), items))

    def later(self, hours: int = 2) -> Reconciliation:
        """What is found when so much time has gone by."""
        self.branch.block(time_ms=START_MS + 100_000 + hours * HOUR_MS)
        return reconcile(self.branch)


def named(found: Reconciliation) -> list[tuple[str, bytes]]:
    return [(gap.code, gap.exchange_id) for gap in found.gaps]


def test_of_a_thousand_exchanges_exactly_the_five_that_do_not_fit_are_named() -> None:
    """Two acknowledgements and a receipt are suppressed, two digests altered."""
    book = Book()
    suppressed, ghost, altered = {137, 803}, 1_000, {411: "request", 907: "response"}
    for start in range(0, 1_000, 50):
        book.provide(range(start, start + 50))
    for start in range(0, 1_000, 50):
        values = [value for value in range(start, start + 50) if value not in suppressed]
        book.acknowledge([value for value in values if value not in altered])
    for value, field in altered.items():
        book.acknowledge([value], **{field: bytes(32)})
    book.acknowledge([ghost])
    report = Audit(book.branch.genesis, book.branch).run()
    assert [finding.code for finding in report.findings] == ["certificate-missing"]
    found = book.later()
    assert sorted(named(found)) == sorted(
        [
            ("unacknowledged", number(137)),
            ("unacknowledged", number(803)),
            ("without-receipt", number(1_000)),
            ("other-request", number(411)),
            ("other-response", number(907)),
        ]
    )
    assert (found.receipts, found.acknowledgements, found.open) == (1_000, 999, 0)
    assert {(gap.provider, gap.consumer) for gap in found.gaps} == {("health", "housing")}


def test_complete_and_voided_exchanges_leave_no_gap() -> None:
    book = Book()
    book.provide(range(10))
    book.acknowledge(range(6))
    book.void(range(6, 10))
    found = book.later()
    assert named(found) == [] and (found.receipts, found.acknowledgements, found.voids) == (
        10,
        6,
        4,
    )


def test_a_receipt_is_open_until_its_grace_is_over() -> None:
    book = Book()
    book.provide([1])
    assert book.later(0).open == 1
    assert named(book.later(3)) == [("unacknowledged", number(1))]
    patient = reconcile(book.branch, grace_ms=10 * HOUR_MS)
    assert (named(patient), patient.open) == ([], 1)


def test_each_other_gap_is_found_by_its_code() -> None:
    book = Book()
    book.provide([1, 2, 3, 4, 5, 6])
    book.provide([1])
    book.acknowledge([2], receipt_record=bytes(32))
    book.acknowledge([3])
    book.acknowledge([3, 1])
    book.acknowledge([4])
    book.void([4], delivered_bytes=12)
    book.void([7])
    book.provide([8], rows=99)
    book.acknowledge([8])
    book.void([5, 6])
    book.void([6], delivered_bytes=1)
    void = encode(forms.Void(number(9), bytes(32), 0, "none"))
    book.provide([], items=(void,), rows=0)
    found = book.later()
    assert sorted(named(found)) == sorted(
        [
            ("receipted-twice", number(1)),
            ("other-receipt", number(2)),
            ("acknowledged-twice", number(3)),
            ("voided-and-acknowledged", number(4)),
            ("void-without-receipt", number(7)),
            ("voided-twice", number(6)),
            ("other-counts", b""),
            ("wrong-item", number(9)),
            ("other-counts", b""),
        ]
    )


def test_sealed_exchanges_that_end_half_way_are_gaps() -> None:
    book = Book()
    book.provide([1, 2, 3, 4], sealed=True)
    book.provide([5])
    book.acknowledge([1, 2, 3, 5])
    book.hand_over([1, 9])
    book.hand_over([4])
    book.void([3])
    assert sorted(named(book.later())) == sorted(
        [
            ("key-missing", number(2)),
            ("key-withheld", number(3)),
            ("key-without-acknowledgement", number(4)),
            ("unacknowledged", number(4)),
            ("key-without-receipt", number(9)),
        ]
    )


def test_every_code_is_provoked_by_some_test() -> None:
    provoked = {"unacknowledged", "without-receipt", "other-request", "other-response"}
    provoked |= {"receipted-twice", "other-receipt", "acknowledged-twice", "other-counts"}
    provoked |= {"voided-and-acknowledged", "void-without-receipt", "wrong-item", "outside-hours"}
    provoked |= {"voided-twice", "key-missing", "key-withheld"}
    provoked |= {"key-without-acknowledgement", "key-without-receipt"}
    provoked |= {"too-many-subjects", "subjects-unsaid"}
    assert set(GAPS) == provoked


def test_what_is_not_held_is_counted_and_accuses_nobody() -> None:
    book = Book()
    book.provide([1])
    place = book.branch.checkpoint.tree_size
    book.acknowledge([1])
    del book.branch.values[store_keys.attached_key(LeafIndex(place))]
    found = book.later()
    assert (named(found), found.unheld) == ([], 1)


@pytest.mark.parametrize("grace", ["0", "600"])
def test_the_command_names_gaps_and_says_so_by_its_exit_code(tmp_path: Path, grace: str) -> None:
    book = Book()
    book.provide([1, 2])
    book.acknowledge([1])
    book.later()
    folder = str(write_store(book.branch, tmp_path / "data"))
    done = CliRunner().invoke(main, ["audit", "gaps", folder, "--grace-minutes", grace])
    shown = CliRunner().invoke(main, ["audit", "gaps", folder, "--grace-minutes", grace, "--json"])
    gaps = json.loads(shown.output)["gaps"]
    if grace == "0":
        assert done.exit_code == shown.exit_code == 1
        assert number(2).hex() in done.output and [gap["code"] for gap in gaps] == [
            "unacknowledged"
        ]
    else:
        assert done.exit_code == shown.exit_code == 0 and gaps == [] and "1 open" in done.output


def asked_for(hours: Hours | None = None, **limits: Any) -> GrantRequest:
    asked = grant_request(
        Consortium(("health", "housing"), voter_count=1), "housing", "health", "table"
    )
    body = CONTRACTS["grant.request"].body.decode(bytes(asked.header.body))
    return msgspec.structs.replace(body, limits=Limits(hours=hours, **limits))


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ({"subjects_max": 3}, ["subjects-unsaid", "too-many-subjects"]),
        ({"subjects_named": True}, ["subjects-unsaid"]),
        ({"rows_max": 100}, []),
    ],
)
def test_receipts_beyond_what_a_grant_allows_of_data_subjects_are_named(
    limits: dict[str, Any], codes: list[str]
) -> None:
    """A provider's node refuses them; a provider that runs other software may receipt them."""
    book = Book()
    book.asked = book.record("housing", "grant.request", asked_for(**limits), ())
    book.branch.block(book.asked)
    book.branch.block(book.record("health", "grant.approve", GrantApprove(book.grant), ()))
    counted = {1: (2, 0), 2: (2, 2), 3: (4, 4), 4: (0, 0)}
    items = tuple(
        encode(msgspec.structs.replace(book.receipt(value), rows=rows, subjects=subjects))
        for value, (rows, subjects) in counted.items()
    )
    book.provide([], rows=8, items=items)
    found = reconcile(book.branch, grace_ms=HOUR_MS)
    assert [gap.code for gap in found.gaps] == codes
    assert [gap.exchange_id for gap in found.gaps] == [number(1), number(3)][: len(codes)]


def test_receipts_outside_the_hours_of_their_version_are_named() -> None:
    """The contracts refuse such receipts; a majority that lies may certify them all the same."""
    book = Book()
    minute = START_MS % 86_400_000 // 60_000
    hours = Hours(minute, minute + 60, "+00:00")
    asked = book.record("housing", "grant.request", asked_for(hours), ())
    book.branch.block(asked)
    book.asked = asked
    book.branch.block(book.record("health", "grant.approve", GrantApprove(book.grant), ()))
    book.provide([1])
    amend = book.record("housing", "grant.amend", GrantAmend(book.grant, asked_for(None)), ())
    book.branch.block(amend)
    book.branch.block(book.record("health", "grant.approve", GrantApprove(book.grant, 2), ()))
    world = World(book.consortium, book.branch, book.grant, b"", b"")
    night_ms = START_MS + 3 * HOUR_MS
    for version, value in ((2, 2), (1, 3)):
        items = (encode(book.receipt(value)),)
        right = (version, *RIGHT[1:])
        line = forms.ReceiptLine(book.grant, *right, 1, 2, 30, items_root(items))
        record = book.record("health", "exchange.receipts", forms.Receipts((line,)), items)
        force(world, record, time_ms=night_ms)
    found = reconcile(book.branch, grace_ms=10 * HOUR_MS)
    assert [(gap.code, gap.record_id) for gap in found.gaps] == [
        ("outside-hours", record.record_id)
    ]
    assert (found.receipts, found.gaps[0].provider) == (3, "health")
