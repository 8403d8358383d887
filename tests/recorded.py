"""A real ledger on a real LevelDB, made by the production replica in this process."""

from dataclasses import dataclass
from pathlib import Path

from builders import START_MS, Consortium

from contracts import exchanges, grants
from contracts.catalog import DatasetOffer, Description, Field
from contracts.limits import Limits
from ledger.attachments import items_root
from ledger.codec import encode
from ledger.records import Record
from ledger.signatures import verify
from node import ports
from node.replica import Replica
from node.settings import ReplicaSettings
from node.store.leveldb import LevelStore


@dataclass(slots=True)
class _Clock:
    time_ms: int = START_MS + 10_000

    def now_ms(self) -> int:
        return self.time_ms


class _Keys:
    def __init__(self, consortium: Consortium, department: str) -> None:
        self._checkpoint = consortium.checkpoint_signer(department)
        self._proposal = consortium.proposal_signer(department)

    def sign_checkpoint(self, message: bytes) -> bytes:
        return self._checkpoint.sign(message)

    def sign_proposal(self, message: bytes) -> bytes:
        return self._proposal.sign(message)


class Recorder:
    """A one-voter ledger that takes records; close it to audit its folder."""

    def __init__(self, folder: Path, consortium: Consortium | None = None) -> None:
        self.folder = folder
        self.consortium = consortium or Consortium(("health", "housing"), voter_count=1)
        self.clock = _Clock()
        self.outcomes: dict[bytes, ports.Accepted | ports.Rejected] = {}
        self._open()

    def _open(self) -> None:
        self.store = LevelStore(self.folder)
        self.replica = Replica(
            genesis=self.consortium.genesis_file,
            node_id=self.consortium.node_ids[0],
            store=self.store,
            last_batch_number=self.store.batch_number,
            clock=self.clock,
            signer=_Keys(self.consortium, self.consortium.departments[0]),
            check=verify,
            random_ticks=lambda _: 0,
            settings=ReplicaSettings(),
        )
        for _ in range(30):
            self.replica.tick()
            self._carry_out()

    def put(self, record: Record) -> ports.Accepted | ports.Rejected:
        """Brings a record in; what became of it."""
        taken = self.replica.submit(record.to_bytes())
        self._carry_out()
        if isinstance(taken, ports.Rejected):
            return taken
        return self.outcomes[taken]

    def reopen(self) -> None:
        """Stops and starts, so that LevelDB turns its log into tables."""
        self.close()
        self._open()

    def close(self) -> None:
        self.store.close()

    def _carry_out(self) -> None:
        while effects := self.replica.effects():
            for effect in effects:
                match effect:
                    case ports.Persist():
                        self.store.write(effect.batch)
                        self.replica.persisted(effect.batch.number)
                    case ports.Verify():
                        results = [
                            verify(job.public_key, job.message, job.signature)
                            for job in effect.jobs
                        ]
                        self.replica.verified(effect.token, results)
                    case ports.Settled():
                        self.outcomes[effect.record_id] = effect.outcome
                    case _:
                        pass


RIGHT = (1, "dpv:ServiceProvision", "dpv:LegalObligation")
"""Version, purpose and legal basis of the grants that `grant_request` asks for."""


def dataset(consortium: Consortium, department: str, name: str) -> Record:
    """A dataset's publication."""
    description = Description(
        title=name,
        description="for tests",
        fields=(Field("id_number", "text", "who"), Field("name", "text", "name")),
        subject_field="id_number",
    )
    offer = DatasetOffer(name, "personal", "conditional", True)
    return consortium.record(
        department,
        "dataset.publish",
        offer,
        document=encode(description),
        created_ms=START_MS + 9_000,
    )


def grant_request(
    consortium: Consortium, consumer: str, provider: str, name: str, nonce: bytes | None = None
) -> Record:
    """A request for both fields of a dataset."""
    body = grants.GrantRequest(
        provider=provider,
        dataset=name,
        fields=("id_number", "name"),
        purpose=RIGHT[1],
        description="a test",
        legal_basis=RIGHT[2],
        legal_reference="none",
        valid_from_ms=START_MS,
        valid_until_ms=START_MS + 86_400_000,
        limits=Limits(),
        onward=False,
    )
    return consortium.record(
        consumer, "grant.request", body, created_ms=START_MS + 9_000, nonce=nonce
    )


def receipts(consortium: Consortium, provider: str, grant_id: bytes, numbers: range) -> Record:
    """A batch of receipts under one grant."""
    items = tuple(
        encode(
            exchanges.Receipt(
                exchange_id=number.to_bytes(32, "big"),
                request=bytes(32),
                response=bytes(32),
                case=bytes(32),
                rows=1,
                size_bytes=10,
                subjects=1,
                subjects_root=bytes(32),
            )
        )
        for number in numbers
    )
    line = exchanges.ReceiptLine(
        grant_id,
        *RIGHT,
        len(items),
        len(items),
        10 * len(items),
        items_root(items),
    )
    return consortium.record(
        provider,
        "exchange.receipts",
        exchanges.Receipts((line,)),
        items=items,
        created_ms=START_MS + 9_000,
        nonce=numbers.start.to_bytes(16, "big"),
    )


def record_ledger(folder: Path) -> Consortium:
    """A ledger with every derived kind of key, in tables and in a log; closed."""
    recorder = Recorder(folder)
    consortium = recorder.consortium
    for number in range(40):
        recorder.put(dataset(consortium, "health", f"table-{number}"))
    asked = grant_request(consortium, "housing", "health", "table-0")
    recorder.put(asked)
    recorder.put(
        consortium.record(
            "health",
            "grant.approve",
            grants.GrantApprove(asked.record_id),
            created_ms=START_MS + 9_000,
        )
    )
    recorder.reopen()
    for start in range(0, 2_000, 20):
        outcome = recorder.put(
            receipts(consortium, "health", asked.record_id, range(start, start + 20))
        )
        assert isinstance(outcome, ports.Accepted), outcome
    recorder.reopen()
    for number in range(40, 60):
        recorder.put(dataset(consortium, "housing", f"table-{number}"))
    recorder.close()
    return consortium
