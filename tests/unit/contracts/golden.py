"""A scripted ledger with every kind of record; run as a program it prints where it ends.

Whatever changes the end of this ledger makes nodes of two versions disagree.
"""

from acts import (
    amendment,
    confirmed,
    permitted,
    policy_of,
    put_forward,
    review,
)
from council import Council
from harness import (
    CONSUMER,
    PROVIDER,
    STRANGER,
    description,
    offer,
    receipt,
    token,
    wanted,
)

from contracts.catalog import DatasetWithdraw
from contracts.grants import GrantApprove
from contracts.membership import SuspendDepartment
from contracts.policies import PolicyWithdraw


def golden_ledger() -> Council:
    """The ledger, always the same: two grants, their exchanges and ends, a change of the voters."""
    stage = Council()
    document = description(("district", "income", "insured", "person"), income="decimal")
    stage.accept(stage.sign(PROVIDER, "dataset.change", offer(), document=document))
    second = stage.sign(STRANGER, "grant.request", wanted(exchanges_max=0, rows_max=0))
    stage.accept(second, stage.sign(PROVIDER, "grant.approve", GrantApprove(second.record_id)))
    batches = {
        stage.grant_id: [receipt(1, rows=2), receipt(2)],
        second.record_id: [receipt(3, rows=9)],
    }
    stage.accept(stage.receipts_for(batches))
    stage.accept(
        stage.acknowledgements(),
        stage.acknowledgements(grant_id=second.record_id, department=STRANGER),
        stage.voids(),
    )
    stage.execute()
    assert stage.codes(
        stage.receipts(),
        stage.decide(PROVIDER, "revoke"),
        stage.receipts(),
        b"no record",
        stage.denials(2),
        stage.denials(grant_id=token("none")),
    ) == ["grant-revoked", "malformed-record"]
    stage.accept(stage.decide(STRANGER, "withdraw", second.record_id))
    stage.accept(stage.reply(PROVIDER, "refuse", stage.requested()))
    _lives(stage)
    sealed = stage.sealed()
    stage.accept(stage.receipts(grant_id=sealed, sealed=True))
    stage.accept(stage.acknowledgements(grant_id=sealed))
    stage.accept(stage.keys(grant_id=sealed))
    withdrawal = DatasetWithdraw(wanted().dataset, "superseded")
    stage.accept(stage.sign(PROVIDER, "dataset.withdraw", withdrawal))
    _change_the_council(stage)
    stage.verify()
    return stage


def _change_the_council(stage: Council) -> None:
    """A newcomer votes in place of STRANGER's node, and PROVIDER rotates its key."""
    learner = stage.admit()
    stage.change_voters((learner,), (stage.node_of(STRANGER),))
    stage.step()
    stage.step()
    publication, adoption = put_forward(stage)
    stage.accept(publication)
    stage.decide_to(adoption)
    stage.accept(stage.key_add(PROVIDER))
    stage.accept(stage.key_revoke(PROVIDER))
    proposal_id = stage.opened(SuspendDepartment(STRANGER))
    stage.accept(stage.withdrawal("civil-affairs", proposal_id))


def _lives(stage: Council) -> None:
    """A grant that is asked about, amended, suspended and resumed; and two emergencies."""
    grant_id = stage.requested()
    for department, word in (
        (PROVIDER, "accept"),
        (PROVIDER, "ask"),
        (CONSUMER, "answer"),
        (PROVIDER, "approve"),
    ):
        stage.accept(stage.reply(department, word, grant_id))
    stage.accept(stage.decide(PROVIDER, "suspend", grant_id))
    stage.accept(stage.decide(PROVIDER, "resume", grant_id))
    stage.accept(amendment(stage, grant_id=grant_id))
    stage.accept(stage.reply(CONSUMER, "retract", grant_id, version=2))
    stage.accept(policy_of(stage))
    for kind in ("grant.permit", "grant.forbid"):
        stage.accept(permitted(stage, stage.requested(), kind=kind))
    body = PolicyWithdraw(wanted().dataset, "stewards decide")
    stage.accept(stage.sign(PROVIDER, "policy.withdraw", body))
    for verdict in ("justified", "unjustified"):
        stage.accept(review(stage, confirmed(stage), verdict=verdict))


def ends() -> str:
    """Height, tree size, tree root, state root and block hash of the golden ledger, one a line."""
    tip = golden_ledger().tip
    digests = (tip.tree().root(), tip.state_root, tip.block_hash)
    words = [str(tip.height), str(tip.tree_size), *(digest.hex() for digest in digests)]
    return "\n".join(words)


if __name__ == "__main__":
    print(ends())
