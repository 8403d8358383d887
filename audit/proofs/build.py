"""Making proofs from a store, as of its newest certificate.

Leaves, tiles and list items only grow, so a store ahead of the certificate still has them as they
were. The state it has is the newest one: where the store is ahead, the blocks up to the certificate
are executed again in memory. Every proof is checked before it is handed out, so a damaged store
makes an error and never a proof.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from audit.forks import Readable
from audit.proofs.check import check_proof, check_tlog_proof, receipt_lines
from audit.proofs.format import (
    PROOF_BYTES_MAX,
    AbsenceStatement,
    BlockPart,
    CertificatePart,
    DatasetsStatement,
    EmergenciesStatement,
    GrantsStatement,
    GrantStatement,
    HeldGrant,
    ListedDataset,
    NodePart,
    OtherKey,
    Path,
    Proof,
    ProofRefused,
    ReceiptsStatement,
    ReceiptStatement,
    RecordPart,
    RecordStatement,
    Signer,
    Statement,
    StatePart,
    TimelineStatement,
    VoterChain,
    VoterChange,
)
from audit.proofs.timelines import line_about
from audit.proofs.trust import Trust
from audit.reading import with_attached
from audit.replay import Replay
from contracts.exchanges import Receipt, parse_item
from contracts.grants import Grant, ended, grant
from contracts.machine import parse_tip
from contracts.state import (
    acts_list,
    dataset_key,
    datasets_list,
    department_key,
    emergencies_list,
    grant_key,
    grants_list,
    held_list,
    node_key,
    receipts_list,
)
from ledger import store_keys
from ledger.attachments import parse_items
from ledger.blocks import BlockHeader, VoterSets, parse_any_leaf, parse_block_header
from ledger.certificates import Certificate, parse_certificate, required_sets
from ledger.errors import LedgerError, Malformed
from ledger.genesis import GenesisFile
from ledger.list_heads import parse_list_head
from ledger.records import Record, parse_leaf
from ledger.state_tree import StateTree
from ledger.tiles import hashes_of, node_reader
from ledger.tlog_proofs import TlogProof
from ledger.tree import NodeReader, inclusion_proof, leaf_hash, root_of
from ledger.types import Height, LeafIndex, TreeSize

_DAMAGED = "Run `concordat audit verify` on the data directory; it names what is damaged."


class Unprovable(Exception):
    """There is nothing to prove, or this store cannot prove it. remedy: what to do now."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class _State:
    """The state at the certified block. get: a value by its key, as contracts see it."""

    get: Callable[[bytes], bytes | None]
    tree: StateTree


class Prover:
    """Makes proofs of one ledger.

    All methods return the bytes of a checked proof file and raise Unprovable with what to do, or
    Unreadable if the source fails. Ids are 32 bytes.
    """

    def __init__(
        self, genesis: GenesisFile, source: Readable, certificate: Certificate | None = None
    ) -> None:
        """Raises Unprovable if the source holds another ledger, or none with a certificate.

        certificate: of a block in the source, if there is a newer one than the source has.
        """
        self._genesis = genesis
        self._source = source
        if source.get(store_keys.GENESIS_MARK) != genesis.genesis_bytes:
            raise Unprovable("the store is not this genesis' ledger", "Give the ledger's genesis.")
        try:
            tip = parse_tip(self._stored(store_keys.TIP_MARK, "its tip"))
            self._certificate = certificate or self._newest(tip.height)
            self._size = TreeSize(self._certificate.tree_size)
            self._nodes = self._reader(self._size)
        except LedgerError as error:
            raise Unprovable(str(error), _DAMAGED) from None
        self._ahead = tip.height > self._certificate.height
        self._known_state: _State | None = None
        self._known_chain: bytes | None = None

    @property
    def certificate(self) -> Certificate:
        """The certificate that every proof ends in."""
        return self._certificate

    def record(self, record_id: bytes) -> bytes:
        """That a record is in the ledger."""
        return self._proved(lambda: RecordStatement(self._record_part(record_id)))

    def receipt(self, exchange_id: bytes) -> bytes:
        """That an exchange has a receipt; the first one, should there be several."""
        return self._proved(lambda: self._receipt(exchange_id))

    def grant(self, grant_id: bytes) -> bytes:
        """What a grant says and what became of it."""
        return self._proved(lambda: GrantStatement(grant_id.hex(), self._grant_part(grant_id)))

    def absence(self, consumer: str, publisher: str, dataset: str) -> bytes:
        """That no grant lets the consumer read the dataset at the certified block's time."""
        return self._proved(lambda: self._absence(consumer, publisher, dataset))

    def receipts(self, grant_id: bytes) -> bytes:
        """The complete list of a grant's receipts."""
        return self._proved(lambda: self._receipts(grant_id))

    def grants(self, publisher: str, dataset: str) -> bytes:
        """The complete list of a dataset's grants."""
        return self._proved(lambda: self._grants(publisher, dataset))

    def datasets(self, department: str) -> bytes:
        """The complete list of a department's datasets."""
        return self._proved(lambda: self._datasets(department))

    def timeline(self, grant_id: bytes) -> bytes:
        """Every record about a grant."""
        return self._proved(lambda: self._timeline(grant_id))

    def emergencies(self) -> bytes:
        """The complete list of grants that began as an emergency."""
        return self._proved(self._emergencies)

    def tlog_proof(self, record_id: bytes) -> bytes:
        """That a record is in the ledger, as a C2SP tlog-proof with the record's leaf in it."""
        try:
            part = self._record_part(record_id)
            data = TlogProof(
                part.leaf_index,
                tuple(hashes_of(part.path)),
                self._certificate.to_note(),
                part.leaf,
            ).to_bytes()
            check_tlog_proof(data, Trust(self._genesis, self.voters()))
        except LedgerError as error:
            raise Unprovable(f"the store proves it not: {error}", _DAMAGED) from None
        return data

    def voters(self) -> bytes:
        """The ledger's voter chain, which proofs need once the voters have changed."""
        if self._known_chain is None:
            try:
                chain = VoterChain(
                    format="concordat/voters/1",
                    ledger_id=self._genesis.ledger_id.hex(),
                    changes=tuple(self._changes()),
                ).to_json()
                Trust(self._genesis, chain)
            except LedgerError as error:
                raise Unprovable(f"the store proves it not: {error}", _DAMAGED) from None
            self._known_chain = chain
        return self._known_chain

    def _proved(self, make: Callable[[], Statement]) -> bytes:
        certificate = self._certificate
        try:
            statement = make()
            data = Proof(
                format="concordat/proof/1",
                ledger_id=certificate.ledger_id.hex(),
                certificate=self._certificate_part(certificate),
                block=BlockPart(self._leaf(self._size - 1), self._path(self._size - 1)),
                statement=statement,
            ).to_json()
            if len(data) > PROOF_BYTES_MAX:
                raise Unprovable(
                    f"the proof has {len(data)} bytes, at most {PROOF_BYTES_MAX} are allowed",
                    "Prove its records one by one.",
                )
            check_proof(data, self._genesis, self.voters())
        except LedgerError as error:
            raise Unprovable(f"the store proves it not: {error}", _DAMAGED) from None
        return data

    # The store.

    def _stored(self, key: bytes, what: str) -> bytes:
        value = self._source.get(key)
        if value is None:
            raise Unprovable(f"the store lacks {what}", _DAMAGED)
        return value

    def _leaf(self, index: int) -> bytes:
        return self._stored(store_keys.leaf_key(LeafIndex(index)), f"leaf {index}")

    def _newest(self, height_max: int) -> Certificate:
        """The newest certificate of a block that the store has executed."""
        stop = store_keys.certificate_key(Height(height_max + 1))
        newest = None
        for _, value in self._source.scan(store_keys.CERTIFICATE, stop):
            newest = value
        if newest is None:
            raise Unprovable(
                "the store has no certificate", "Wait until a majority of the voters has signed."
            )
        return parse_certificate(newest)

    def _reader(self, size: TreeSize) -> NodeReader:
        return node_reader(
            size,
            leaf=self._leaf,
            tile=lambda level, index: self._stored(
                store_keys.tile_key(level=level, index=index), f"tile {level}/{index}"
            ),
        )

    def _path(self, index: int) -> Path:
        proof = inclusion_proof(self._nodes, leaf_index=LeafIndex(index), tree_size=self._size)
        return b"".join(proof)

    def _state(self) -> _State:
        if self._known_state is None:
            self._known_state = self._replayed(self._size) if self._ahead else self._newest_state()
        return self._known_state

    def _newest_state(self) -> _State:
        source = self._source
        return _State(
            get=lambda key: source.get(store_keys.state_key(key)),
            tree=StateTree(lambda path: source.get(store_keys.state_page_key(path))),
        )

    def _replayed(self, size: int) -> _State:
        """The state after so many leaves, from the leaves. Signatures are not judged again."""
        replay = Replay(self._genesis, derive=False)
        records: list[Record] = []
        for index in range(size):
            leaf = parse_any_leaf(self._leaf(index))
            if isinstance(leaf, BlockHeader):
                replay.execute(leaf, records, [True] * len(records))
                records = []
                continue
            record = parse_leaf(self._leaf(index))
            attached = self._source.get(store_keys.attached_key(LeafIndex(index)))
            records.append(record if attached is None else with_attached(record, attached))
        return _State(replay.state.get, StateTree(replay.pages.get))

    # Who may vouch.

    def _header(self, height: int) -> BlockHeader:
        place = self._stored(store_keys.block_key(Height(height)), f"block {height}")
        return parse_block_header(self._leaf(store_keys.read_number(place)))

    def _voters_before(self, height: int) -> VoterSets:
        if height == 1:
            return VoterSets(self._genesis.genesis.voters)
        return self._header(height - 1).voters

    def _changes(self) -> Iterator[VoterChange]:
        """Every change of the voters; each such block has kept its certificate."""
        known = {
            node.node_id for entry in self._genesis.genesis.departments for node in entry.nodes
        }
        stop = store_keys.certificate_key(Height(self._certificate.height + 1))
        for _, value in self._source.scan(store_keys.CERTIFICATE, stop):
            certificate = parse_certificate(value)
            header = self._header(certificate.height)
            if header.voters == self._voters_before(header.height):
                continue
            size = TreeSize(certificate.tree_size)
            proof = inclusion_proof(
                self._reader(size), leaf_index=LeafIndex(size - 1), tree_size=size
            )
            new = sorted({each for voters in header.voters.sets() for each in voters} - known)
            known.update(new)
            state = self._replayed(size) if new else None
            yield VoterChange(
                certificate=self._certificate_part(certificate),
                block=BlockPart(self._leaf(size - 1), b"".join(proof)),
                nodes=tuple(
                    NodePart(node_id.hex(), _state_part(state, node_key(node_id)))
                    for node_id in new
                    if state is not None
                ),
            )

    def _certificate_part(self, certificate: Certificate) -> CertificatePart:
        """As many of the certificate's signatures as its voters need, so that the file is small."""
        sets = required_sets(
            self._voters_before(certificate.height), self._header(certificate.height).voters
        )
        missing = [len(voters) // 2 + 1 for voters in sets]
        chosen = []
        for entry in certificate.cosignatures:
            counts = [
                left > 0 and entry.node_id in voters
                for left, voters in zip(missing, sets, strict=True)
            ]
            if any(counts):
                missing = [left - hit for left, hit in zip(missing, counts, strict=True)]
                chosen.append(Signer(entry.node_id.hex(), entry.timestamp_s, entry.signature))
        return CertificatePart(
            height=certificate.height,
            tree_size=certificate.tree_size,
            root=certificate.root,
            signers=tuple(chosen),
        )

    # Parts of a proof.

    def _state_part(self, key: bytes) -> StatePart:
        return _state_part(self._state(), key)

    def _grant_part(self, grant_id: bytes) -> StatePart:
        if self._state().get(grant_key(grant_id)) is None:
            raise Unprovable(
                f"there is no grant {grant_id.hex()} at height {self._certificate.height}",
                "Compare the id; a new grant is provable once it is certified.",
            )
        return self._state_part(grant_key(grant_id))

    def _record_part(self, record_id: bytes) -> RecordPart:
        place = self._source.get(store_keys.record_key(record_id))
        index = self._size if place is None else store_keys.read_number(place[:8])
        if index >= self._size:
            raise Unprovable(
                f"there is no record {record_id.hex()} up to height {self._certificate.height}",
                "Compare the id; a new record is provable once it is certified.",
            )
        return RecordPart(self._leaf(index), index, self._path(index))

    # Statements.

    def _receipt(self, exchange_id: bytes) -> ReceiptStatement:
        stop = store_keys.attached_key(LeafIndex(self._size))
        for key, data in self._source.scan(store_keys.ATTACHED, stop):
            if exchange_id not in data:
                continue
            index = store_keys.read_number(key[1:])
            record = parse_leaf(self._leaf(index))
            if record.header.kind != "exchange.receipts":
                continue
            found = self._item(exchange_id, index, record, parse_items(data))
            if found is not None:
                return found
        raise Unprovable(
            f"the store holds no receipt of exchange {exchange_id.hex()} up to height "
            f"{self._certificate.height}",
            "Compare the id; where attachments were pruned, ask another department's node.",
        )

    def _item(
        self, exchange_id: bytes, index: int, record: Record, items: tuple[bytes, ...]
    ) -> ReceiptStatement | None:
        """The exchange's receipt among one record's items."""
        start = 0
        for number, line in enumerate(receipt_lines(record)):
            part = items[start : start + line.count]
            start += line.count
            for place, data in enumerate(part):
                item = parse_item(data)
                if not isinstance(item, Receipt) or item.exchange_id != exchange_id:
                    continue
                return ReceiptStatement(
                    item=data,
                    line=number,
                    item_index=place,
                    path=_path_within(part, place),
                    record=self._record_part(record.record_id),
                )
        return None

    def _list(self, key: bytes) -> list[bytes]:
        """The items of a growing list as of the certificate, in order."""
        value = self._state().get(key)
        count = 0 if value is None else parse_list_head(value).count
        digest = sha256(key).digest()
        return [
            self._stored(
                store_keys.list_item_key(digest, number=number), f"item {number} of a list"
            )
            for number in range(count)
        ]

    def _member_part(self, department: str) -> StatePart:
        if self._state().get(department_key(department)) is None:
            raise Unprovable(
                f"{department} is no department of this ledger", "Check the short name."
            )
        return self._state_part(department_key(department))

    def _offered_part(self, publisher: str, dataset: str) -> StatePart:
        if self._state().get(dataset_key(publisher, dataset)) is None:
            raise Unprovable(
                f"there is no dataset {publisher}/{dataset}", "`concordat dataset list` shows all."
            )
        return self._state_part(dataset_key(publisher, dataset))

    def _absence(self, consumer: str, publisher: str, dataset: str) -> AbsenceStatement:
        state = self._state()
        member = self._member_part(consumer)
        offered = self._offered_part(publisher, dataset)
        if consumer == publisher:
            raise Unprovable(
                f"{consumer} publishes {publisher}/{dataset} and needs no grant to read it",
                "Name another consumer.",
            )
        held = held_list(consumer, publisher, dataset)
        ids = self._list(held)
        header = parse_block_header(self._leaf(self._size - 1))
        for grant_id in ids:
            value = grant(state, grant_id)
            if value is None:
                raise Malformed("state", f"grant {grant_id.hex()} is listed and not there")
            if ended(state, value, time_ms=header.time_ms) is None:
                raise Unprovable(
                    f"grant {grant_id.hex()} lets {consumer} read {publisher}/{dataset}",
                    f"Prove that grant instead: `concordat audit prove grant {grant_id.hex()}`.",
                )
        return AbsenceStatement(
            consumer=consumer,
            publisher=publisher,
            dataset=dataset,
            consumer_state=member,
            publisher_state=self._state_part(department_key(publisher)),
            offered=offered,
            held=self._state_part(held),
            grants=tuple(HeldGrant(grant_id.hex(), self._grant_part(grant_id)) for grant_id in ids),
        )

    def _grants(self, publisher: str, dataset: str) -> GrantsStatement:
        key = grants_list(publisher, dataset)
        return GrantsStatement(
            publisher=publisher,
            dataset=dataset,
            offered=self._offered_part(publisher, dataset),
            head=self._state_part(key),
            grants=tuple(
                HeldGrant(grant_id.hex(), self._grant_part(grant_id))
                for grant_id in self._list(key)
            ),
        )

    def _datasets(self, department: str) -> DatasetsStatement:
        member = self._member_part(department)
        key = datasets_list(department)
        names = [item.decode("ascii") for item in self._list(key)]
        return DatasetsStatement(
            department=department,
            member=member,
            head=self._state_part(key),
            datasets=tuple(
                ListedDataset(name, self._state_part(dataset_key(department, name)))
                for name in names
            ),
        )

    def _receipts(self, grant_id: bytes) -> ReceiptsStatement:
        state = self._grant_part(grant_id)
        items = self._list(receipts_list(grant_id))
        return ReceiptsStatement(
            grant_id=grant_id.hex(),
            state=state,
            head=self._state_part(receipts_list(grant_id)),
            records=tuple(self._record_part(item[:32]) for item in items),
        )

    def _timeline(self, grant_id: bytes) -> TimelineStatement:
        state = self._grant_part(grant_id)
        value = grant(self._state(), grant_id)
        assert value is not None
        acted = frozenset(self._list(acts_list(grant_id)))
        return TimelineStatement(
            grant_id=grant_id.hex(),
            state=state,
            acts=self._state_part(acts_list(grant_id)),
            receipts=self._state_part(receipts_list(grant_id)),
            records=tuple(self._about(value, acted)),
        )

    def _about(self, value: Grant, acted: frozenset[bytes]) -> Iterator[RecordPart]:
        """The records of a grant's timeline. acted: ids of those on its list of acts."""
        asked = self._record_part(value.grant_id)
        yield asked
        for index in range(asked.leaf_index + 1, self._size):
            data = self._leaf(index)
            if value.grant_id not in data or isinstance(parse_any_leaf(data), BlockHeader):
                continue
            record = parse_leaf(data)
            if record.header.kind.startswith("exchange."):
                try:
                    line_about(value, record)
                except ProofRefused:
                    continue
            elif record.record_id not in acted:
                continue
            yield RecordPart(data, index, self._path(index))

    def _emergencies(self) -> EmergenciesStatement:
        return EmergenciesStatement(
            head=self._state_part(emergencies_list()),
            grants=tuple(
                HeldGrant(grant_id.hex(), self._grant_part(grant_id))
                for grant_id in self._list(emergencies_list())
            ),
        )


def _state_part(state: _State, key: bytes) -> StatePart:
    proof = state.tree.prove(key)
    other = None if proof.other is None else OtherKey(proof.other.key_hash, proof.other.value_hash)
    return StatePart(state.get(key), b"".join(proof.siblings), other)


def _path_within(items: tuple[bytes, ...], index: int) -> Path:
    """An item's inclusion proof under the RFC 6962 root over `items`."""
    hashes = [leaf_hash(item) for item in items]
    proof = inclusion_proof(
        lambda level, place: root_of(hashes[place << level : (place + 1) << level]),
        leaf_index=LeafIndex(index),
        tree_size=TreeSize(len(items)),
    )
    return b"".join(proof)
