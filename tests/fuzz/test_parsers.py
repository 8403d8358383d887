"""Every parser of foreign bytes: whatever comes, it parses or raises its own error."""

import asyncio
import contextlib
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import Consortium
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import dataset, grant_request

from audit.openings import Asked, Opening, parse_opening
from audit.sources import leveldb_files
from consensus import messages as raft
from contracts import exchanges
from contracts.catalog import Description, Field, parse_description
from contracts.grants import parse_grant
from contracts.machine import candidate, parse_tip
from contracts.queries import Field as SourceField
from contracts.queries import QueryRefused, parse_query
from contracts.registry import CONTRACTS
from ledger import (
    blocks,
    certificates,
    checkpoints,
    entries,
    genesis,
    list_heads,
    notes,
    records,
    state_proofs,
    state_tree,
    tiles,
    witnesses,
)
from ledger.codec import encode
from ledger.errors import Malformed
from node.exchange.answers import (
    ANSWER,
    KEY_WANTED,
    RELEASE_HEAD,
    RESUME,
    Answer,
    KeyWanted,
    ReleaseHead,
    Resume,
)
from node.messages import PEER_MESSAGE, SIGNED_CHECKPOINT, Forward
from node.peers import frames

CONSORTIUM = Consortium()
RECORD = dataset(CONSORTIUM, "health", "table")
REQUEST = grant_request(CONSORTIUM, "housing", "health", "table")
ZERO = bytes(32)
CHECKPOINT = b"log.example\n2\n" + b64encode(ZERO) + b"\n"
SIGNATURES = b"\n\xe2\x80\x94 w " + b64encode(bytes(76)) + b"\n"

SAMPLES: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "record": (records.parse_record, RECORD.to_bytes()),
    "leaf": (records.parse_leaf, RECORD.leaf_bytes),
    "any leaf": (blocks.parse_any_leaf, RECORD.leaf_bytes),
    "block header": (blocks.parse_block_header, RECORD.leaf_bytes),
    "entry": (entries.parse_entry, encode(entries.Entry(1, None, (RECORD.to_bytes(),)))),
    "genesis": (genesis.parse_genesis, CONSORTIUM.genesis_file.genesis_bytes),
    "genesis file": (genesis.parse_genesis_file, CONSORTIUM.genesis_file.to_json()),
    "enrolment file": (
        genesis.parse_enrolment_file,
        CONSORTIUM.enrolment_file("health").to_json(),
    ),
    "certificate": (certificates.parse_certificate, b""),
    "note": (notes.parse_note, b"text\n\n\xe2\x80\x94 name AAAAAAAA\n"),
    "checkpoint": (checkpoints.parse_checkpoint, b"concordat/00\n1\nAA==\nheight 1\n"),
    "log checkpoint": (witnesses.parse_log_checkpoint, CHECKPOINT),
    "witness request": (
        witnesses.parse_add_checkpoint,
        b"old 1\n" + b64encode(ZERO) + b"\n\n" + CHECKPOINT + SIGNATURES,
    ),
    "witness answer": (witnesses.parse_cosignatures, SIGNATURES.strip() + b"\n"),
    "verifier key": (
        lambda data: witnesses.parse_verifier_key(data.decode("latin-1")),
        notes.verifier_key("w", notes.COSIGNATURE_TYPE, ZERO).encode(),
    ),
    "list head": (list_heads.parse_list_head, list_heads.EMPTY_LIST.append([b"a"]).to_bytes()),
    "state page": (state_tree.parse_page, b"\x00\x01\x00\x00" + bytes(64)),
    "state proof": (state_proofs.parse_state_proof, b""),
    "entry bundle": (tiles.parse_entries, b"\x00\x01a"),
    "tip": (parse_tip, b""),
    "grant": (parse_grant, b""),
    "description": (
        parse_description,
        encode(Description("t", "", (Field("a", "text", ""),), None)),
    ),
    "exchange item": (exchanges.parse_item, encode(exchanges.Void(ZERO, ZERO, 0, "x"))),
    "exchange request": (exchanges.parse_request, b""),
    "signed request": (
        exchanges.parse_signed_request,
        encode(exchanges.SignedRequest(b"", ZERO, bytes(64))),
    ),
    "opening": (
        parse_opening,
        Opening(ZERO.hex(), ZERO.hex(), [ZERO.hex()], Asked(["a"], "{}", ZERO.hex(), {})).to_line(),
    ),
    "answer": (ANSWER.decode, encode(Answer(("a",), (("x",), (1,), (None,))))),
    "release": (RELEASE_HEAD.decode, encode(ReleaseHead(ZERO, b"i", ZERO, (ZERO,), None))),
    "resumption": (RESUME.decode, encode(Resume(ZERO, 1))),
    "wish for a key": (KEY_WANTED.decode, encode(KeyWanted(ZERO, ZERO))),
    "peer message": (PEER_MESSAGE.decode, encode(Forward((RECORD.to_bytes(),)))),
    "append": (
        PEER_MESSAGE.decode,
        encode(raft.Append(1, 0, 0, (raft.Entry(1, 1, b"d", ZERO, bytes(64)),), 0)),
    ),
    "signed checkpoint": (SIGNED_CHECKPOINT.decode, b""),
    "hello": (frames.HELLO.decode, encode(frames.Hello(1, ZERO, ZERO, "rpc", "x"))),
    "goodbye": (frames.GOODBYE.decode, encode(frames.Goodbye("a", "b"))),
    "request": (frames.REQUEST.decode, encode(frames.Request(1, "m", b""))),
    "chunk": (frames.CHUNK.decode, encode(frames.Chunk(1, b""))),
    "error": (frames.FAILED.decode, encode(frames.Failed(1, "a", "b"))),
} | {
    f"body of {kind}": (contract.body.decode, bytes(REQUEST.header.body))
    for kind, contract in CONTRACTS.items()
}


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=60)
@given(data=st.data())
def test_random_and_mutated_bytes_raise_malformed_or_parse(name: str, data: st.DataObject) -> None:
    parse, sample = SAMPLES[name]
    content = bytearray(sample if sample else data.draw(st.binary(max_size=200)))
    for _ in range(data.draw(st.integers(1, 6))):
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "random"]))
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        if kind == "set" and content:
            content[place] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + data.draw(st.integers(1, 40))]
        elif kind == "insert":
            content[place:place] = data.draw(st.binary(max_size=20))
        elif kind == "random":
            content = bytearray(data.draw(st.binary(max_size=100)))
    with contextlib.suppress(Malformed):
        parse(bytes(content))


@pytest.mark.parametrize("name", [name for name, (_, sample) in SAMPLES.items() if sample])
def test_every_cut_of_a_sample_is_refused_or_parses(name: str) -> None:
    parse, sample = SAMPLES[name]
    for end in range(0, len(sample), max(1, len(sample) // 200)):
        try:
            parse(sample[:end])
        except Malformed:
            continue


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_a_candidate_is_made_of_any_bytes(data: bytes) -> None:
    made = candidate(data)
    assert (made.record is None) == bool(made.fault)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes_on_a_connection_raise_malformed_or_end(data: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        while True:
            await frames.read_frame(reader, bytes_max=1_000)

    with pytest.raises((Malformed, asyncio.IncompleteReadError)):
        asyncio.run(read())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["where", "limit", "a", "=", "in", "<", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(JSON)
def test_any_json_is_a_query_or_refused(value: Any) -> None:
    fields = [SourceField("a", "text"), SourceField("x", "integer")]
    try:
        query = parse_query(json.dumps(value).encode(), fields)
    except QueryRefused:
        return
    assert all(condition.field in fields for condition in query.conditions)


@settings(max_examples=100)
@given(st.binary(max_size=400), st.binary(max_size=400))
def test_random_files_are_damage_and_nothing_worse(log: bytes, table: bytes) -> None:
    assert list(leveldb_files.log_records(log)) is not None
    with contextlib.suppress(leveldb_files._Broken, IndexError):
        list(leveldb_files._check_table("t", table + bytes(48)))


def test_a_directory_of_random_files_is_damage(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_bytes(b"MANIFEST-000001\n")
    (tmp_path / "MANIFEST-000001").write_bytes(bytes(range(256)))
    assert [damage.file for damage in leveldb_files.check_files(tmp_path)] == ["MANIFEST-000001"]
    (tmp_path / "CURRENT").write_bytes(b"../../etc/passwd\n")
    assert [damage.file for damage in leveldb_files.check_files(tmp_path)] == ["CURRENT"]
