"""What departments decide together, for tests: proposals, ballots and steps on a stage."""

from typing import Any

from builders import Consortium, joining_enrolment, signer
from harness import CITY, Ledger, Stage

from contracts.consortium import next_step
from contracts.governance import Ballot, Proposal, Propose, Withdraw, proposal
from contracts.keys import KeyAdd, KeyRevoke
from contracts.membership import Action, AdmitDepartment, ChangeVoters
from ledger.genesis import RecordKey, SignedEnrolment
from ledger.records import Record
from ledger.signatures import Signer
from ledger.statements import record_key_statement

NEWCOMER = "fisheries"


class Council(Stage):
    """A stage whose departments decide.

    The threshold of two thirds is 4 of the 5 departments, that of one half is 3.
    """

    def __init__(self, city: Consortium = CITY, *, staged: bool = True) -> None:
        """staged: whether there are a dataset and a grant, which CITY's departments make."""
        if staged:
            super().__init__(city)
        else:
            Ledger.__init__(self, city)

    @property
    def names(self) -> tuple[str, ...]:
        """The founders, sorted."""
        return self.city.departments

    def node_of(self, department: str) -> bytes:
        """The founder's node."""
        return self.city.checkpoint_signer(department).public_key

    def enrolment(self, name: str = NEWCOMER, number: int = 0) -> SignedEnrolment:
        """An enrolment for this ledger, signed by all its keys."""
        return joining_enrolment(self.city.ledger_id, name, number).signed()

    def proposal(self, action: Action, department: str = "civil-affairs", **changes: Any) -> Record:
        """A proposal, and its proposer's ballot for it."""
        return self.sign(department, "consortium.propose", Propose(action, "as agreed"), **changes)

    def ballot(self, by: str, proposal_id: bytes, approves: bool = True, **changes: Any) -> Record:
        """A ballot for a proposal, or against it."""
        return self.sign(by, "consortium.ballot", Ballot(proposal_id, approves), **changes)

    def withdrawal(self, by: str, proposal_id: bytes) -> Record:
        """A proposal taken back."""
        return self.sign(by, "consortium.withdraw", Withdraw(proposal_id))

    def opened(self, action: Action, by: str = "civil-affairs") -> bytes:
        """Appends a proposal; its id."""
        record = self.proposal(action, by)
        self.accept(record)
        return record.record_id

    def standing(self, proposal_id: bytes) -> Proposal:
        """A proposal in the state."""
        known = proposal(self.state, proposal_id)
        assert known is not None
        return known

    def almost(self, action: Action, by: str = "civil-affairs", ballots: int = 3) -> bytes:
        """Appends a proposal and ballots until one more decides; its id."""
        proposal_id = self.opened(action, by)
        others = [name for name in self.names if name != by][: ballots - 1]
        self.accept(*(self.ballot(name, proposal_id) for name in others))
        assert self.standing(proposal_id).status == "open"
        return proposal_id

    def decide_to(self, action: Action, by: str = "civil-affairs") -> None:
        """Appends a proposal and ballots of the founders, in turn, until it is decided."""
        proposal_id = self.opened(action, by)
        for name in self.names:
            if name != by and self.standing(proposal_id).status == "open":
                self.execute(self.ballot(name, proposal_id))
        assert self.standing(proposal_id).status == "decided"

    def step(self) -> None:
        """Appends a block with the step that is due."""
        due = next_step(self.state, self.tip.voters)
        assert due is not None
        block = self.execute(step=due)
        assert block.header.voters.sets() != ()

    def admit(self, name: str = NEWCOMER) -> bytes:
        """Admits a department; its node's id."""
        self.decide_to(AdmitDepartment(self.enrolment(name)))
        return self.node_of(name)

    def change_voters(self, joining: tuple[bytes, ...], leaving: tuple[bytes, ...]) -> None:
        """Decides on other voters."""
        self.decide_to(ChangeVoters(tuple(sorted(joining)), tuple(sorted(leaving))))

    def key_add(
        self,
        department: str,
        number: int = 1,
        *,
        key_of: str | None = None,
        by: Signer | None = None,
    ) -> Record:
        """Another record key of a department; key_of: whose it says to be, if another's."""
        new = signer(f"{department}/more/{number}")
        statement = record_key_statement(
            self.city.ledger_id, department=key_of or department, key=new.public_key
        )
        body = KeyAdd(RecordKey(new.public_key, "the registry"), new.sign(statement))
        return self.sign(department, "key.add", body, by=by)

    def key_revoke(self, department: str, key: bytes | None = None, **changes: Any) -> Record:
        """A department revokes a record key, its first one unless another is named."""
        revoked = self.city.record_signer(department).public_key if key is None else key
        return self.sign(department, "key.revoke", KeyRevoke(revoked, "lost"), **changes)
