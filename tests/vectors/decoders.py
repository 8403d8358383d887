"""Each format's bytes decoded and spelled again, by its name in the golden file."""

from collections.abc import Callable

from vectors.bodies import BODIES_AGAIN

from contracts.registry import CONTRACTS
from ledger.attachments import parse_items
from ledger.blocks import VoterSets, parse_any_leaf, parse_block_header
from ledger.certificates import parse_certificate
from ledger.checkpoints import parse_checkpoint
from ledger.codec import Decoder, encode
from ledger.entries import Step, parse_entry
from ledger.evidence import evidence_bytes, parse_evidence
from ledger.genesis import Enrolment, parse_enrolment_file, parse_genesis, parse_genesis_file
from ledger.list_heads import parse_list_head
from ledger.notes import parse_note
from ledger.records import RecordLeaf, parse_leaf, parse_record
from ledger.state_proofs import parse_state_proof
from ledger.state_tree import parse_page
from ledger.tiles import encode_entries, hashes_of, parse_entries, parse_index_path, tile_path

_STEP: Decoder[Step] = Decoder(Step, what="step", bytes_max=8192)
_VOTER_SETS: Decoder[VoterSets] = Decoder(VoterSets, what="voter sets", bytes_max=8192)
_ENROLMENT: Decoder[Enrolment] = Decoder(Enrolment, what="enrolment", bytes_max=1024 * 1024)


def _header_through_leaf(data: bytes) -> bytes:
    return encode(parse_leaf(encode(RecordLeaf(data, bytes(64)))).header)


def _leaf_again(data: bytes) -> bytes:
    record = parse_leaf(data)
    return encode(RecordLeaf(encode(record.header), record.signature))


def _page_again(data: bytes) -> bytes:
    slots = parse_page(data)
    used = sum(1 << number for number in slots)
    forks = sum(1 << number for number, slot in slots.items() if len(slot) == 32)
    return b"%c%c%c%c" % (used >> 8, used & 255, forks >> 8, forks & 255) + b"".join(
        slots[number] for number in range(16) if number in slots
    )


def _path_again(data: bytes) -> bytes:
    index = parse_index_path(data.decode())
    return tile_path(level=0, index=index).removeprefix("tile/0/").encode()


def _body_again(kind: str) -> Callable[[bytes], bytes]:
    return lambda data: encode(CONTRACTS[kind].body.decode(data))


AGAIN: dict[str, Callable[[bytes], bytes]] = BODIES_AGAIN | {
    "record header": _header_through_leaf,
    "record leaf": _leaf_again,
    "leaf": lambda data: encode(parse_any_leaf(data)),
    "record": lambda data: parse_record(data).to_bytes(),
    "attachment": lambda data: encode(parse_items(data)),
    "entry": lambda data: encode(parse_entry(data)),
    "step": lambda data: encode(_STEP.decode(data)),
    "voter sets": lambda data: encode(_VOTER_SETS.decode(data)),
    "block header": lambda data: parse_block_header(data).to_bytes(),
    "genesis": lambda data: encode(parse_genesis(data)),
    "genesis file": lambda data: parse_genesis_file(data).to_json(),
    "enrolment": lambda data: encode(_ENROLMENT.decode(data)),
    "enrolment file": lambda data: parse_enrolment_file(data).to_json(),
    "checkpoint": lambda data: parse_checkpoint(data).body(),
    "note": lambda data: parse_note(data).to_bytes(),
    "evidence": lambda data: evidence_bytes(parse_evidence(data)),
    "certificate": lambda data: parse_certificate(data).to_bytes(),
    "state page": _page_again,
    "state proof": lambda data: parse_state_proof(data).to_bytes(),
    "list head": lambda data: encode(parse_list_head(data)),
    "tile": lambda data: b"".join(hashes_of(data)),
    "tile path": _path_again,
    "propose": _body_again("consortium.propose"),
    "ballot": _body_again("consortium.ballot"),
    "key add": _body_again("key.add"),
    "entry bundle": lambda data: encode_entries(parse_entries(data)),
}
"""Format → decode and spell again; raises Malformed. Headers are read through a leaf of theirs."""
