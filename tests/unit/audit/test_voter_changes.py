"""Ledgers whose voters or keys change: which certificates count, and every way to cheat there.

The ledger: {civil-affairs, health, housing} vote; tourism's learner joins them and civil-affairs'
node leaves. CHANGE is decided at height 4, entered at 5, left at 7.
"""

from collections.abc import Callable

import msgspec
import pytest
from branches import Branch, write_store
from builders import START_MS, Consortium, signer

from audit.findings import FINDINGS
from audit.sources.directory import DirectorySource
from audit.verify import Audit, Report
from contracts.governance import Ballot, Propose
from contracts.keys import KeyAdd, KeyRevoke
from contracts.membership import Action, ChangeVoters
from ledger import store_keys
from ledger.blocks import VoterSets, parse_block_header
from ledger.certificates import Certificate, parse_certificate
from ledger.codec import encode
from ledger.entries import Step
from ledger.genesis import RecordKey
from ledger.records import Record
from ledger.statements import record_key_statement
from ledger.types import Height, LeafIndex

CITY = Consortium(voter_count=3)
CIVIL, HEALTH, HOUSING, TOURISM, TRANSPORT = CITY.departments
OLD = tuple(sorted(CITY.node_ids[:3]))
NEW = tuple(sorted(CITY.node_ids[1:4]))
DECIDED, ENTERED, LEFT, END = 4, 5, 7, 8


def sign(department: str, kind: str, body: object, **changes: object) -> Record:
    made = {"created_ms": START_MS + 9_000} | changes
    return CITY.record(department, kind, body, **made)


def decide(branch: Branch, action: Action) -> None:
    """One block with a proposal and as many ballots as decide it."""
    proposal = sign(CIVIL, "consortium.propose", Propose(action, "as agreed"))
    ballots = [
        sign(name, "consortium.ballot", Ballot(proposal.record_id, True))
        for name in (HEALTH, HOUSING, TRANSPORT)
    ]
    branch.block(proposal, *ballots)


def grown(upto: int = END) -> Branch:
    """The ledger up to that height, without certificates."""
    branch = Branch(CITY)
    for height in range(1, upto + 1):
        if height == DECIDED:
            decide(branch, ChangeVoters((CITY.node_ids[3],), (CITY.node_ids[0],)))
        else:
            branch.block(steps=height in (ENTERED, LEFT))
    return branch


CERTIFIERS: dict[int, tuple[str, ...]] = {
    DECIDED: (CIVIL, HOUSING),
    ENTERED: (HEALTH, HOUSING),
    6: (CIVIL, HEALTH, TOURISM),
    LEFT: (CIVIL, HEALTH, TOURISM),
    END: (HOUSING, TOURISM),
}
"""Just enough signers for each height."""


def certified(**changes: tuple[str, ...] | None) -> Branch:
    """The whole ledger; changes: other certifiers by `h<height>`, None for no certificate."""
    branch = Branch(CITY)
    heights = CERTIFIERS | {int(name[1:]): names for name, names in changes.items()}
    for height in range(1, END + 1):
        if height == DECIDED:
            decide(branch, ChangeVoters((CITY.node_ids[3],), (CITY.node_ids[0],)))
        else:
            branch.block(steps=height in (ENTERED, LEFT))
        names = heights.get(height)
        if names is not None:
            branch.certify(names)
    return branch


def audited(branch: Branch) -> Report:
    return Audit(branch.genesis, branch).run()


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def test_a_ledger_whose_voters_changed_holds_by_the_voters_at_each_block(tmp_path) -> None:
    branch = certified()
    report = audited(branch)
    assert report.findings == []
    assert report.certified is not None
    assert report.certified.height == END
    assert report.signers == (HOUSING, TOURISM)
    assert "the voters changed 2 times" in report.steps["certificates"]
    with DirectorySource(write_store(branch, tmp_path / "data")) as source:
        assert Audit(branch.genesis, source).run().findings == []


def test_the_headers_say_who_votes_at_each_height() -> None:
    branch = grown()
    found = {}
    for height in range(1, END + 1):
        place = branch.values[store_keys.block_key(Height(height))]
        leaf = branch.values[store_keys.leaf_key(LeafIndex(int.from_bytes(place, "big")))]
        found[height] = parse_block_header(leaf).voters
    assert found[DECIDED] == VoterSets(OLD)
    assert found[ENTERED] == found[6] == VoterSets(OLD, NEW)
    assert found[LEFT] == found[END] == VoterSets(NEW)


INVALID: dict[str, dict[str, tuple[str, ...]]] = {
    "before the change by new voters": {"h4": (HEALTH, TOURISM)},
    "entering by old voters alone": {"h5": (CIVIL, HEALTH)},
    "entering by new voters alone": {"h5": (HOUSING, TOURISM)},
    "joint by a minority of the old": {"h6": (HEALTH, TOURISM)},
    "joint by a minority of the new": {"h6": (CIVIL, HEALTH)},
    "leaving by new voters alone": {"h7": (HOUSING, TOURISM)},
    "leaving by old voters alone": {"h7": (CIVIL, HOUSING)},
    "after the change with a removed voter": {"h8": (CIVIL, HOUSING, TOURISM)},
    "with a learner beside a majority": {"h4": (CIVIL, HEALTH, TRANSPORT)},
}


@pytest.mark.parametrize("changes", INVALID.values(), ids=list(INVALID))
def test_a_certificate_without_the_majorities_its_block_needs_is_found(
    changes: dict[str, tuple[str, ...]],
) -> None:
    report = audited(certified(**changes))
    [height] = [int(name[1:]) for name in changes]
    assert (report.findings[0].code, report.findings[0].place) == (
        "certificate-invalid",
        f"certificate {height}",
    )


@pytest.mark.parametrize("height", [ENTERED, LEFT])
def test_nothing_counts_after_a_change_of_voters_without_a_certificate(height: int) -> None:
    report = audited(certified(**{f"h{height}": None}))
    assert codes(report) == ["voter-change-uncertified"]
    assert report.findings[0].place == f"block {height}"
    assert report.certified is not None
    assert report.certified.height == height - 1


def test_a_change_of_voters_at_the_end_that_nobody_certified_yet_is_no_finding() -> None:
    branch = grown(DECIDED)
    branch.certify((CIVIL, HOUSING))
    branch.block(steps=True)
    branch.block()
    report = audited(branch)
    assert report.findings == []
    assert report.certified is not None
    assert report.certified.height == DECIDED


def test_an_outsiders_takeover_certified_by_themselves_counts_for_nothing() -> None:
    """Voters {A, B, C}; a change to others that no old voter signed, and its child certified."""
    branch = Branch(CITY)
    others = tuple(sorted(CITY.node_ids[2:]))
    branch.block()
    branch.certify((CIVIL, HEALTH))
    decide(branch, ChangeVoters(tuple(sorted(CITY.node_ids[3:])), tuple(sorted(CITY.node_ids[:2]))))
    branch.block(steps=True)
    branch.certify((HOUSING, TOURISM, TRANSPORT))
    branch.block(steps=True)
    branch.certify((TOURISM, TRANSPORT))
    branch.block()
    branch.certify((TOURISM, TRANSPORT))
    assert branch.replay.tip.voters == VoterSets(others)
    report = audited(branch)
    assert codes(report) == [
        "certificate-invalid",
        "certificate-invalid",
        "voter-change-uncertified",
    ]
    assert report.certified is not None
    assert report.certified.height == 1


# Ledgers that name other voters or keys than their records decided.


def respelled(branch: Branch, voters: VoterSets) -> None:
    """The last block's header names these voters instead."""
    index = branch.replay.tip.tree_size - 1
    key = store_keys.leaf_key(LeafIndex(index))
    header = parse_block_header(branch.values[key])
    branch.values[key] = encode(msgspec.structs.replace(header, voters=voters))


FORGED: dict[str, Callable[[Branch], None]] = {
    "a change that nobody decided": lambda branch: respelled(branch, VoterSets(OLD, NEW)),
    "other voters in one step": lambda branch: respelled(branch, VoterSets(NEW)),
    "voters out of order": lambda branch: respelled(branch, VoterSets(OLD[::-1])),
    "one voter twice": lambda branch: respelled(branch, VoterSets((*OLD, OLD[-1]))),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=list(FORGED))
def test_a_header_with_other_voters_than_were_decided_is_found(forge) -> None:
    branch = grown(3)
    branch.certify((CIVIL, HEALTH))
    forge(branch)
    report = audited(branch)
    assert codes(report) == ["wrong-block"]
    assert "voters" in report.findings[0].detail


def test_a_header_that_hides_a_step_of_its_entry_is_found() -> None:
    branch = grown(ENTERED)
    respelled(branch, VoterSets(OLD))
    report = audited(branch)
    [finding] = [each for each in report.findings if each.code == "entry-invalid"]
    assert finding.place == f"Raft entry {ENTERED}"
    assert "changed the voters in another way" in finding.detail


def test_a_step_that_was_not_due_has_no_effect_and_is_no_finding() -> None:
    branch = grown(DECIDED)
    branch.certify((CIVIL, HOUSING))
    branch.block(step=Step("leave-joint", NEW, ()))
    assert branch.replay.tip.voters == VoterSets(OLD)
    assert audited(branch).findings == []


def rotated(branch: Branch) -> bytes:
    """HEALTH has another key and has revoked its first; the new public key."""
    new = signer("health/next")
    statement = record_key_statement(CITY.ledger_id, department=HEALTH, key=new.public_key)
    add = KeyAdd(RecordKey(new.public_key, "the registry"), new.sign(statement))
    branch.block(sign(HEALTH, "key.add", add))
    old = CITY.record_signer(HEALTH).public_key
    branch.block(sign(HEALTH, "key.revoke", KeyRevoke(old, "lost"), by=new))
    return new.public_key


def test_a_key_counts_where_the_ledger_says_so_and_nowhere_else() -> None:
    branch = Branch(CITY)
    rotated(branch)
    branch.certify((CIVIL, HEALTH))
    assert audited(branch).findings == []


def test_a_ledger_with_a_record_by_a_revoked_key_is_found() -> None:
    branch = Branch(CITY)
    rotated(branch)
    branch.block()
    tip = branch.replay.tip
    header_key = store_keys.leaf_key(LeafIndex(tip.tree_size - 1))
    header = parse_block_header(branch.values[header_key])
    stolen = sign(HEALTH, "consortium.ballot", Ballot(bytes(32), True))
    branch.values[header_key] = stolen.leaf_bytes
    branch.values[store_keys.leaf_key(LeafIndex(tip.tree_size))] = encode(
        msgspec.structs.replace(header, record_count=1)
    )
    report = audited(branch)
    assert codes(report)[0] == "record-refused"
    assert "unknown-key" in report.findings[0].detail


def test_an_entry_by_a_node_that_was_none_yet_is_found() -> None:
    branch = Branch(CITY)
    branch.block()
    branch.certify((CIVIL, HEALTH))
    key = store_keys.entry_key(1)
    (term, index, data, _, signature), digest = msgspec.msgpack.decode(branch.values[key])
    stranger = signer("fisheries/0/checkpoint").public_key
    branch.values[key] = encode(((term, index, data, stranger, signature), digest))
    assert codes(audited(branch)) == ["entry-invalid"]


def test_a_log_that_was_trimmed_holds_from_where_it_begins() -> None:
    branch = certified()
    _, digest = msgspec.msgpack.decode(branch.values[store_keys.entry_key(LEFT)])
    for index in range(1, LEFT + 1):
        del branch.values[store_keys.entry_key(index)]
    branch.values[store_keys.FIRST_ENTRY_MARK] = encode((LEFT, 1, digest))
    report = audited(branch)
    assert report.findings == []
    assert report.steps["agreement"] == "1 entries as their leaders signed them, from 8 on"
    branch.values[store_keys.FIRST_ENTRY_MARK] = encode((LEFT, 1, bytes(32)))
    assert codes(audited(branch)) == ["mark-invalid", "entry-invalid"]
    branch.values[store_keys.FIRST_ENTRY_MARK] = b"words"
    assert codes(audited(branch))[0] == "mark-invalid"


def test_a_kept_certificate_reads_back_with_its_signers() -> None:
    branch = certified()
    stored = branch.values[store_keys.certificate_key(Height(ENTERED))]
    made: Certificate = parse_certificate(stored)
    assert [entry.node_id for entry in made.cosignatures] == sorted(
        CITY.checkpoint_signer(name).public_key for name in CERTIFIERS[ENTERED]
    )
    assert "voter-change-uncertified" in FINDINGS
