"""Timelines and emergencies proved whole: nothing is left out, put in, or moved."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from branches import Branch, write_store
from builders import START_MS, Consortium
from click.testing import CliRunner
from recorded import dataset, grant_request, receipts
from test_emergencies_listed import Flood

from audit.proofs.build import Prover, Unprovable
from audit.proofs.check import check_proof
from audit.proofs.format import Proof, ProofRefused, RecordPart, TimelineStatement, parse_proof
from cli.main import main
from contracts import exchanges as forms
from contracts.grants import GrantApprove, GrantDecision
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.records import Record, parse_leaf


@dataclass
class Told:
    """A grant's ledger, with everything that can be told of a grant, and beside it another's."""

    branch: Branch
    grant_id: bytes
    other_id: bytes
    strangers: bytes

    def prover(self) -> Prover:
        return Prover(self.branch.genesis, self.branch)

    def check(self, data: bytes) -> dict[str, object]:
        return check_proof(data, self.branch.genesis).facts


def half(
    consortium: Consortium, by: str, kind: str, body: Callable, grant_id: bytes, items: list
) -> Record:
    """A record of halves under one grant, other than receipts."""
    data = tuple(map(encode, items))
    line = forms.Line(grant_id, len(data), items_root(data))
    return consortium.record(
        by, f"exchange.{kind}", body((line,)), created_ms=START_MS + 9_000, items=data
    )


def exchange_id(number: int) -> bytes:
    return number.to_bytes(32, "big")


def denial(number: int) -> forms.Denial:
    return forms.Denial(exchange_id(number), "housing", bytes(32), "purpose-mismatch", 1)


@pytest.fixture(scope="module")
def told() -> Told:
    consortium = Consortium(("health", "housing", "tourism"), voter_count=1)
    branch = Branch(consortium)
    for name in ("one", "other"):
        branch.block(dataset(consortium, "health", name))
    asked, other = (grant_request(consortium, "housing", "health", n) for n in ("one", "other"))
    branch.block(asked, other)
    grant_id = asked.record_id

    def act(kind: str, body: object) -> None:
        branch.block(consortium.record("health", kind, body, created_ms=START_MS + 9_000))

    for each in (asked, other):
        act("grant.approve", GrantApprove(each.record_id))
    given = receipts(consortium, "health", grant_id, range(5))
    branch.block(given, receipts(consortium, "health", other.record_id, range(20, 22)))
    received = [
        forms.Acknowledgement(exchange_id(number), given.record_id, bytes(32), bytes(32))
        for number in range(3)
    ]
    for part in (received[:1], received[1:]):
        branch.block(
            half(
                consortium,
                "housing",
                "acknowledgements",
                forms.Acknowledgements,
                grant_id,
                part,
            )
        )
    void = forms.Void(exchange_id(4), given.record_id, 0, "not sent")
    branch.block(half(consortium, "health", "voids", forms.Voids, grant_id, [void]))
    branch.block(half(consortium, "health", "denials", forms.Denials, grant_id, [denial(9)]))
    strangers = half(consortium, "tourism", "denials", forms.Denials, grant_id, [denial(8)])
    branch.block(strangers)
    act("grant.suspend", GrantDecision(grant_id, "under review"))
    act("grant.revoke", GrantDecision(grant_id, "a breach"))
    branch.certify(("health",))
    return Told(branch, grant_id, other.record_id, strangers.record_id)


@pytest.fixture(scope="module")
def proof(told: Told) -> bytes:
    return told.prover().timeline(told.grant_id)


KINDS = [
    "grant.request",
    "grant.approve",
    "exchange.receipts",
    "exchange.acknowledgements",
    "exchange.acknowledgements",
    "exchange.voids",
    "exchange.denials",
    "grant.suspend",
    "grant.revoke",
]


def test_a_timeline_is_every_record_about_the_grant_and_no_other(told: Told, proof: bytes) -> None:
    facts = told.check(proof)
    assert [entry["record_kind"] for entry in facts["records"]] == KINDS
    assert told.strangers.hex() not in {entry["record_id"] for entry in facts["records"]}
    assert (facts["status"], facts["acknowledged"], facts["voided"]) == ("revoked", 3, 1)
    other = told.check(told.prover().timeline(told.other_id))
    assert [entry["record_kind"] for entry in other["records"]] == KINDS[:3]


def restated(proof: Proof, **changes: object) -> bytes:
    statement = msgspec.structs.replace(proof.statement, **changes)
    return msgspec.structs.replace(proof, statement=statement).to_json()


def refusal(told: Told, data: bytes) -> str:
    with pytest.raises(ProofRefused) as caught:
        told.check(data)
    return caught.value.why


def test_no_record_can_be_left_out(told: Told, proof: bytes) -> None:
    parsed = parse_proof(proof)
    assert isinstance(parsed.statement, TimelineStatement)
    records = parsed.statement.records
    for place, part in enumerate(records):
        kind = parse_leaf(part.leaf).header.kind
        why = refusal(told, restated(parsed, records=records[:place] + records[place + 1 :]))
        if kind.startswith("grant."):
            assert why == "its acts are not the whole list that the state commits to"
        elif kind == "exchange.receipts":
            assert why == "its receipts are not the whole list of the state"
        else:
            assert why == "its records do not add up to the grant's counts"


def test_no_record_can_be_put_in_shown_twice_or_moved(told: Told, proof: bytes) -> None:
    parsed = parse_proof(proof)
    records: tuple[RecordPart, ...] = parsed.statement.records
    order = "its records do not stand in the order of the ledger"
    assert refusal(told, restated(parsed, records=(records[0], *records))) == order
    assert refusal(told, restated(parsed, records=records[::-1])) == order
    stranger = parse_proof(told.prover().record(told.strangers)).statement.record
    nothing = f"record {told.strangers.hex()} says nothing of this grant"
    assert refusal(told, with_part(parsed, stranger)) == nothing
    others = parse_proof(told.prover().timeline(told.other_id)).statement.records
    acts = "its acts are not the whole list that the state commits to"
    assert refusal(told, with_part(parsed, others[1])) == acts
    receipted = parse_leaf(others[2].leaf).record_id.hex()
    nothing = f"record {receipted} says nothing of this grant"
    assert refusal(told, with_part(parsed, others[2])) == nothing


def with_part(parsed: Proof, part: RecordPart) -> bytes:
    """The proof with one record more, where it stands in the ledger."""
    records = sorted([*parsed.statement.records, part], key=lambda each: each.leaf_index)
    return restated(parsed, records=tuple(records))


def test_a_timeline_of_one_grant_is_none_of_another(told: Told, proof: bytes) -> None:
    parsed = parse_proof(proof)
    other = parse_proof(told.prover().timeline(told.other_id)).statement
    assert refusal(told, restated(parsed, grant_id=told.other_id.hex()))
    for name in ("state", "acts", "receipts"):
        assert refusal(told, restated(parsed, **{name: getattr(other, name)})), name
    no_list = told.prover()._state_part(b"list/acts/" + bytes(32))
    assert refusal(told, restated(parsed, acts=no_list))


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("kind", ["timeline", "emergencies"])
def test_no_byte_can_be_another(kind: str, told: Told, proof: bytes) -> None:
    chance = random.Random(kind)
    data = proof if kind == "timeline" else told.prover().emergencies()
    for _ in range(150):
        with pytest.raises(ProofRefused):
            told.check(flipped(data, chance))


def test_emergencies_are_proved_to_be_all(tmp_path: Path) -> None:
    flood = Flood()
    flood.branch.certify(("health",))
    prover = Prover(flood.branch.genesis, flood.branch)
    data = prover.emergencies()
    shown = check_proof(data, flood.branch.genesis)
    ids = [grant_id.hex() for grant_id in flood.ids.values()]
    assert [entry["grant_id"] for entry in shown.facts["grants"]] == ids
    assert shown.words[0] == "These are all 4 emergencies, whatever became of them."
    parsed = parse_proof(data)
    listed = parsed.statement.grants
    for grants in (listed[1:], listed[:-1], listed[::-1], (*listed, listed[0]), ()):
        with pytest.raises(ProofRefused, match="the whole list of emergencies"):
            check_proof(restated(parsed, grants=grants), flood.branch.genesis)
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(flood.branch.genesis.to_json())
    target = [str(write_store(flood.branch, tmp_path / "data")), "--genesis", str(genesis)]
    answer = answered(["emergencies", *target], tmp_path / "proof")
    assert sorted(row["grant_id"] for row in answer["rows"]) == sorted(ids)
    assert (tmp_path / "proof" / "emergencies.json").read_bytes() == data


def answered(words: list[str], folder: Path) -> dict:
    """A question's answer as JSON, with its proofs in a folder."""
    done = CliRunner().invoke(
        main, ["audit", "ask", *words, "--as", "json", "--proof", str(folder)]
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


@pytest.fixture(scope="module")
def target(told: Told, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The ledger on disk and its genesis, as commands take them."""
    folder = tmp_path_factory.mktemp("timeline")
    genesis = folder / "genesis.json"
    genesis.write_bytes(told.branch.genesis.to_json())
    return [str(write_store(told.branch, folder / "data")), "--genesis", str(genesis)]


def test_the_answer_about_a_grant_comes_with_its_timeline(
    told: Told, proof: bytes, target: list[str], tmp_path: Path
) -> None:
    grant = told.grant_id.hex()
    answer = answered(["timeline", *target, "--grant", grant], tmp_path / "proof")
    assert "complete by the heads of lists, 3 files" in answer["complete"]
    names = sorted(path.name for path in (tmp_path / "proof").iterdir())
    stranger = f"record-{told.strangers.hex()}.json"
    assert names == sorted(["timeline.json", "voters.json", stranger])
    proved = [entry["record_id"] for entry in told.check(proof)["records"]]
    proved.append(told.check((tmp_path / "proof" / stranger).read_bytes())["record_id"])
    assert sorted(row["record_id"] for row in answer["rows"]) == sorted(proved)
    assert (tmp_path / "proof" / "timeline.json").read_bytes() == proof


def test_what_no_list_proves_comes_with_the_whole_ledger(target: list[str], tmp_path: Path) -> None:
    question = ["activity", *target, "--department", "health"]
    answer = answered(question, tmp_path / "proof")
    assert answer["complete"].endswith(
        f"enclosed in {tmp_path / 'proof'}: there is no shorter proof of it"
    )
    enclosed = str(tmp_path / "proof")
    run = CliRunner().invoke
    done = run(main, ["audit", "verify", enclosed, *target[1:], "--forget"])
    assert done.exit_code == 0, done.output
    asked = ["activity", enclosed, *target[1:], "--department", "health", "--as", "json"]
    again = json.loads(run(main, ["audit", "ask", *asked]).output)
    assert again["rows"] == answer["rows"] and again["root"] == answer["root"]


def test_the_commands_prove_a_timeline_and_what_is_none(
    told: Told, proof: bytes, target: list[str], tmp_path: Path
) -> None:
    run = CliRunner().invoke
    made = tmp_path / "timeline.json"
    words = ["audit", "prove", "timeline", told.grant_id.hex(), *target, "-o", str(made)]
    assert run(main, words).exit_code == 0
    assert made.read_bytes() == proof
    done = run(main, ["audit", "check", str(made), *target[1:]])
    assert "These are all 9 records about grant" in " ".join(done.output.split())
    with pytest.raises(Unprovable, match="there is no grant"):
        told.prover().timeline(told.strangers)
