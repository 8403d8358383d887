"""One small ledger for the vectors: three records, three blocks, two certificates, a state."""

from builders import START_MS, Consortium

from ledger import statements
from ledger.blocks import BlockHeader, VoterSets, block_hash
from ledger.certificates import Certificate
from ledger.checkpoints import Checkpoint, Cosignature, cosignature_message
from ledger.codec import encode
from ledger.entries import Entry, Step
from ledger.state_tree import StateTree
from ledger.tree import leaf_hash, root_of

CITY = Consortium(voter_count=3)
VILLAGE = Consortium(departments=("health",), voter_count=1, settings=(("grace-ms", 600_000),))
OLD_VOTERS = tuple(sorted(CITY.node_ids[:3]))
NEW_VOTERS = tuple(sorted(CITY.node_ids[2:]))
ITEMS = (b"receipt 0", b"receipt 1", b"receipt 2")
DOCUMENT = b"Terms of use.\n"
BODY = ("bus-stops", 3, b"\x00\xff", None)

PLAIN_RECORD = CITY.record("transport", "dataset.publish", BODY)
RECORD_WITH_ITEMS = CITY.record("transport", "receipt.batch", (), items=ITEMS)
RECORD_WITH_DOCUMENT = CITY.record("health", "grant.offer", ("terms",), document=DOCUMENT)

ENTRY = Entry(START_MS + 2_000, None, (PLAIN_RECORD.to_bytes(), RECORD_WITH_ITEMS.to_bytes()))
ENTER_JOINT = Step("enter-joint", OLD_VOTERS, NEW_VOTERS)
LEAVE_JOINT = Step("leave-joint", NEW_VOTERS, ())

STATE = {b"key %d" % number: b"value %d" % number for number in range(100)}
_NO_PAGES: dict[bytes, bytes] = {}
_UPDATE = StateTree(_NO_PAGES.get).update(STATE)
STATE_ROOT, PAGES = _UPDATE.root, _UPDATE.pages


def _block(
    height: int, entry: Entry, previous: tuple[bytes, bytes], tree: list[bytes]
) -> tuple[BlockHeader, bytes]:
    """(header, entry hash) of an entry over `previous` = (block hash, entry hash)."""
    voters = VoterSets(OLD_VOTERS)
    if entry.step is not None:
        voters = VoterSets(entry.step.voters, entry.step.incoming)
    entry_hash = statements.entry_hash(
        CITY.ledger_id, term=4, index=height, previous_hash=previous[1], data=encode(entry)
    )
    header = BlockHeader(
        version=1,
        ledger_id=CITY.ledger_id,
        height=height,
        previous_hash=previous[0],
        term=4,
        entry_hash=entry_hash,
        time_ms=entry.time_ms,
        tree_size=len(tree),
        tree_root=root_of(tree),
        state_root=STATE_ROOT,
        voters=voters,
        record_count=len(entry.records),
    )
    return header, entry_hash


def _chain() -> tuple[list[BlockHeader], list[Entry], list[int]]:
    """Three blocks: two records, entering a joint configuration, leaving it."""
    entries = [
        ENTRY,
        Entry(START_MS + 3_000, ENTER_JOINT, ()),
        Entry(START_MS + 4_000, LEAVE_JOINT, ()),
    ]
    tree: list[bytes] = []
    previous = (CITY.ledger_id, CITY.ledger_id)
    headers, sizes = [], []
    for height, entry in enumerate(entries, 1):
        header, entry_hash = _block(height, entry, previous, tree)
        if height == 1:
            tree += [leaf_hash(PLAIN_RECORD.leaf_bytes), leaf_hash(RECORD_WITH_ITEMS.leaf_bytes)]
        tree.append(leaf_hash(header.to_bytes()))
        previous = (block_hash(header.to_bytes()), entry_hash)
        headers.append(header)
        sizes.append(len(tree))
    return headers, entries, sizes


HEADERS, ENTRIES, TREE_SIZES = _chain()


def _checkpoint(height: int) -> Checkpoint:
    leaves = [PLAIN_RECORD.leaf_bytes, RECORD_WITH_ITEMS.leaf_bytes]
    leaves += [header.to_bytes() for header in HEADERS[:height]]
    root = root_of([leaf_hash(data) for data in leaves])
    return Checkpoint(CITY.ledger_id, height, TREE_SIZES[height - 1], root)


CHECKPOINT = _checkpoint(1)
JOINT_CHECKPOINT = _checkpoint(2)


def cosign(checkpoint: Checkpoint, department: str) -> Cosignature:
    """The cosignature of a department's node, ten seconds after the ledger was founded."""
    signs = CITY.checkpoint_signer(department)
    timestamp_s = START_MS // 1000 + 10
    message = cosignature_message(checkpoint, timestamp_s)
    return Cosignature(signs.public_key, timestamp_s, signs.sign(message))


def certificate(checkpoint: Checkpoint, *places: int) -> Certificate:
    """A certificate by the nodes of the departments at these places."""
    return Certificate.of(
        checkpoint, [cosign(checkpoint, CITY.departments[place]) for place in places]
    )


CERTIFICATE = certificate(CHECKPOINT, 0, 1)
JOINT_CERTIFICATE = certificate(JOINT_CHECKPOINT, 0, 2, 3)
