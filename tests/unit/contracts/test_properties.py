"""What holds for every ledger: found by ledgers that Hypothesis writes.

An `Act` says what somebody tries, sensible or not; `played` turns acts into signed records on a
stage with three grants. Acts name grants by number, so that one list of acts plays on any stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from builders import START_MS
from harness import (
    CONSUMER,
    PEOPLE,
    PROVIDER,
    STRANGER,
    Sent,
    Stage,
    description,
    judged,
    offer,
    wanted,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.catalog import DatasetWithdraw
from contracts.grants import GrantAmend
from contracts.machine import ExecutedBlock, Execution
from ledger.records import Record
from ledger.types import Height

SHORT_MS = 20_000
"""Validity of the second grant: short enough to end while a ledger is played."""


@dataclass(frozen=True)
class Act:
    """One attempt. department: empty for the party whose part it is.

    grant: which of the scene's grants. count: of items, or rows for receipts.
    """

    word: str
    department: str
    grant: int
    count: int
    nonce: int


WEIGHTS = {
    "receipts": 10,
    "acknowledgements": 4,
    "voids": 3,
    "denials": 2,
    "approve": 2,
    "revoke": 1,
    "withdraw": 1,
    "refuse": 1,
    "suspend": 1,
    "resume": 2,
    "ask": 1,
    "answer": 1,
    "accept": 1,
    "retract": 1,
    "amend": 2,
    "request": 2,
    "publish": 2,
    "end": 1,
    "nonsense": 1,
}
"""Words of acts, and how often each is tried: what ends a grant is rare."""

CONSUMERS_WORDS = (
    "acknowledgements",
    "withdraw",
    "request",
    "amend",
    "answer",
    "retract",
)

ACTS = st.builds(
    Act,
    word=st.sampled_from([word for word, weight in WEIGHTS.items() for _ in range(weight)]),
    department=st.sampled_from(7 * [""] + [PROVIDER, CONSUMER, STRANGER]),
    grant=st.integers(0, 2),
    count=st.integers(1, 4),
    nonce=st.integers(0, 99),
)

BLOCKS = st.lists(
    st.tuples(st.integers(-2_000, 12_000), st.lists(ACTS, min_size=2, max_size=8)),
    min_size=3,
    max_size=7,
)
"""Blocks: milliseconds since the block before, and what is in each."""


class Scene(Stage):
    """A stage with three grants: few exchanges, few rows for a short time, only requested."""

    def __init__(self) -> None:
        super().__init__()
        small = self.granted(exchanges_max=2, rows_max=0)
        short = self.granted(valid_until_ms=START_MS + SHORT_MS, exchanges_max=0, rows_max=5)
        self.grant_ids = (small, short, self.requested(exchanges_max=0, rows_max=0))

    def record(self, act: Act) -> Sent:
        """What the act sends; acts with one nonce of one department are replays of each other."""
        sent = self._sent(act)
        self.signed = 1_000 * (self.signed // 1_000 + 1)
        return sent

    def _sent(self, act: Act) -> Sent:
        self.signed = 1_000 + act.nonce
        grant_id = self.grant_ids[act.grant]
        by = act.department or (CONSUMER if act.word in CONSUMERS_WORDS else PROVIDER)
        match act.word:
            case "receipts":
                version = self.grant(grant_id).version if act.count < 4 else 2
                return self.receipts(
                    1, rows=act.count, grant_id=grant_id, department=by, version=version
                )
            case "acknowledgements" | "voids" | "denials":
                make = getattr(self, act.word)
                sent: Record = make(act.count, grant_id=grant_id, department=by)
                return sent
            case "approve" | "accept" | "refuse" | "ask" | "answer" | "retract":
                return self.reply(by, act.word, grant_id, version=1 + act.count // 2)
            case "revoke" | "withdraw" | "suspend" | "resume":
                return self.decide(by, act.word, grant_id)
            case "amend":
                body = GrantAmend(grant_id, wanted(exchanges_max=act.count))
                return self.sign(by, "grant.amend", body)
            case "request":
                return self.sign(by, "grant.request", wanted(exchanges_max=act.count))
            case "publish":
                body = offer(f"extra-{act.count}")
                return self.sign(by, "dataset.publish", body, document=description())
            case "end":
                name = PEOPLE if act.count == 4 else f"extra-{act.count}"
                return self.sign(by, "dataset.withdraw", DatasetWithdraw(name, "superseded"))
        return b"nonsense"


Written = list[tuple[int, list[Sent]]]


def written(scene: Scene, blocks: Sequence[tuple[int, Sequence[Act]]]) -> Written:
    """The entries of the blocks: their times and their records, signed."""
    entries: Written = []
    time_ms = scene.time_ms
    for step_ms, acts in blocks:
        time_ms += step_ms
        entries.append((time_ms, [scene.record(act) for act in acts]))
    return entries


def played(scene: Scene, entries: Written) -> list[ExecutedBlock]:
    """Executes the entries in order."""
    return [scene.execute(*sent, time_ms=time_ms) for time_ms, sent in entries]


def verdicts(block: ExecutedBlock) -> tuple[list[bytes], list[tuple[bytes | None, str]]]:
    """Ids of the accepted records, and of the refused ones with their codes."""
    refused = [(each.record_id, each.refusal.code) for each in block.refused]
    return [record.record_id for record in block.accepted], refused


@given(BLOCKS)
def test_a_ledger_proves_itself_and_keeps_every_limit(blocks) -> None:
    scene = Scene()
    for block in played(scene, written(scene, blocks)):
        known = {record.record_id for record in block.accepted}
        assert known <= set(scene.record_ids)
    scene.verify()


@given(BLOCKS)
@settings(max_examples=50)
def test_refused_records_change_nothing(blocks) -> None:
    scene = Scene()
    entries = written(scene, blocks)
    other = scene.fork()
    for entry, block in zip(entries, played(scene, entries), strict=True):
        without = other.execute(*block.accepted, time_ms=entry[0])
        assert without.refused == ()
        assert without.accepted == block.accepted
        assert without.writes == block.writes
        assert without.list_items == block.list_items
        assert without.header.state_root == block.header.state_root
    assert other.state == scene.state


@given(BLOCKS)
@settings(max_examples=50)
def test_an_execution_is_the_same_twice(blocks) -> None:
    scene = Scene()
    entries = written(scene, blocks)
    other = scene.fork()
    assert played(scene, entries) == played(other, entries)
    assert scene.tip == other.tip


@given(BLOCKS)
@settings(max_examples=50)
def test_an_auditor_without_attachments_makes_the_same_blocks(blocks) -> None:
    scene = Scene()
    entries = written(scene, blocks)
    other = scene.fork()
    for (time_ms, _), block in zip(entries, played(scene, entries), strict=True):
        again = other.execute(*block.accepted, time_ms=time_ms, pruned=True)
        assert verdicts(again) == (verdicts(block)[0], [])
        assert again.header.state_root == block.header.state_root


@given(BLOCKS)
@settings(max_examples=50)
def test_what_is_accepted_depends_on_the_state_before_alone(blocks) -> None:
    """Each record is judged again over a copy of the state just before it, with no history."""
    scene = Scene()
    entries = written(scene, blocks)
    for time_ms, sent in entries:
        state, nonces = dict(scene.state), set(scene.nonces)
        block_ms = max(time_ms, scene.tip.time_ms)
        height = Height(scene.tip.height + 1)
        block = scene.execute(*sent, time_ms=time_ms)
        codes = []
        for each in sent:
            execution = Execution(
                ledger_id=scene.city.ledger_id,
                height=height,
                time_ms=block_ms,
                view=state,
                voters=scene.tip.voters,
                nonce_used=lambda key, nonce, used=nonces: (key, nonce) in used,
            )
            refusal = execution.judge(judged(each))
            if refusal is None:
                assert isinstance(each, Record)
                state |= execution.writes
                nonces.add((each.header.key, each.header.nonce))
            else:
                codes.append(refusal)
        assert [refused.refusal for refused in block.refused] == codes
        assert state == scene.state


@given(BLOCKS, st.integers(0, 5))
@settings(max_examples=50)
def test_the_past_does_not_change_by_what_comes_after(blocks, cut: int) -> None:
    scene = Scene()
    entries = written(scene, blocks)
    other = scene.fork()
    assert played(scene, entries)[:cut] == played(other, entries[:cut])


@given(st.lists(ACTS, max_size=5), st.lists(ACTS, max_size=5))
@settings(max_examples=50)
def test_no_receipt_gets_past_a_revocation(before, after) -> None:
    scene = Scene()
    early = [scene.record(act) for act in before]
    scene.signed = 5_000_000
    revocation = scene.decide(PROVIDER, "revoke", scene.grant_ids[0])
    late = [scene.record(act) for act in after]
    scene.signed = 6_000_000
    last = scene.receipts(grant_id=scene.grant_ids[0])
    block = scene.execute(*early, revocation, *late, last)
    refused = {each.record_id: each.refusal.code for each in block.refused}
    if revocation in block.accepted:
        place = scene.record_ids.index(revocation.record_id)
        own = scene.lists.get(b"list/receipts/" + scene.grant_ids[0], [])
        for item in own:
            assert scene.record_ids.index(item[:32]) < place
        assert refused[last.record_id] == "grant-revoked"
    else:
        assert refused[revocation.record_id] == "already-decided"
    scene.verify()
