"""Notes, checkpoints and certificates: their text by hand, and every way to cheat with one."""

import base64
from hashlib import sha256

import pytest
from builders import Consortium
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.blocks import VoterSets
from ledger.certificates import (
    Certificate,
    certificate_from_note,
    check_certificate,
    parse_certificate,
    required_sets,
)
from ledger.checkpoints import (
    Checkpoint,
    Cosignature,
    check_cosignature,
    contradict,
    cosignature_message,
    cosigner_name,
    parse_checkpoint,
)
from ledger.errors import CertificateRefused, Malformed
from ledger.notes import (
    COSIGNATURE_TYPE,
    ED25519_TYPE,
    Note,
    NoteSignature,
    key_id,
    parse_note,
    verifier_key,
)
from ledger.statements import record_statement
from ledger.tree import CompactRange, consistency_proof, leaf_hash, root_of

CITY = Consortium()
VOTERS = tuple(sorted(CITY.node_ids))
CHECKPOINT = Checkpoint(CITY.ledger_id, 7, 20, sha256(b"root").digest())
BY_NODE = {
    CITY.checkpoint_signer(name).public_key: CITY.checkpoint_signer(name)
    for name in CITY.departments
}


def cosign(
    node_id: bytes, checkpoint: Checkpoint = CHECKPOINT, timestamp_s: int = 99
) -> Cosignature:
    message = cosignature_message(checkpoint, timestamp_s)
    return Cosignature(node_id, timestamp_s, BY_NODE[node_id].sign(message))


def certificate(*nodes: bytes, checkpoint: Checkpoint = CHECKPOINT) -> Certificate:
    return Certificate.of(checkpoint, [cosign(node, checkpoint) for node in nodes])


def test_a_checkpoint_and_its_signature_are_what_the_c2sp_pages_say() -> None:
    root = base64.b64encode(CHECKPOINT.root).decode()
    body = f"concordat/{CITY.ledger_id.hex()}\n20\n{root}\nheight 7\n".encode()
    assert CHECKPOINT.body() == body
    signed = cosign(VOTERS[0])
    Ed25519PublicKey.from_public_bytes(VOTERS[0]).verify(
        signed.signature, b"cosignature/v1\ntime 99\n" + body
    )
    name = cosigner_name(CITY.ledger_id, VOTERS[0])
    identifier = sha256(name.encode() + b"\n\x04" + VOTERS[0]).digest()[:4]
    line = base64.b64encode(identifier + (99).to_bytes(8, "big") + signed.signature).decode()
    note = certificate(VOTERS[0]).to_note().to_bytes()
    assert note == body + b"\n" + f"\u2014 {name} {line}\n".encode()


def test_a_verifier_key_is_spelled_as_note_tools_take_it() -> None:
    spelled = verifier_key("example.org/x", ED25519_TYPE, bytes(32))
    name, identifier, encoded = spelled.split("+", 2)
    assert name == "example.org/x"
    assert identifier == key_id("example.org/x", ED25519_TYPE, bytes(32)).hex()
    assert base64.b64decode(encoded) == b"\x01" + bytes(32)


def test_a_certificate_reads_back_from_bytes_and_from_a_note() -> None:
    made = certificate(*VOTERS[:3])
    assert parse_certificate(made.to_bytes()) == made
    assert certificate_from_note(parse_note(made.to_note().to_bytes())) == made
    assert all(check_cosignature(made.checkpoint, entry) for entry in made.cosignatures)


def test_other_keys_lines_on_a_note_are_skipped() -> None:
    made = certificate(*VOTERS[:2]).to_note()
    own = cosigner_name(CITY.ledger_id, VOTERS[0])
    strangers = (
        NoteSignature("example.org/witness", b"abcd", bytes(72)),
        NoteSignature(own, b"abcd", bytes(72)),
        NoteSignature(own, key_id(own, COSIGNATURE_TYPE, VOTERS[0]), bytes(64)),
        NoteSignature(own[:-1] + "x", b"abcd", bytes(72)),
    )
    noted = Note(made.text, made.signatures + strangers)
    assert certificate_from_note(parse_note(noted.to_bytes())) == certificate(*VOTERS[:2])


def test_a_majority_of_the_voters_makes_a_certificate() -> None:
    for count in (3, 4, 5):
        check_certificate(
            certificate(*VOTERS[:count]), ledger_id=CITY.ledger_id, voter_sets=[VOTERS]
        )


def refused(made: Certificate, voter_sets, ledger_id: bytes = CITY.ledger_id) -> str:
    with pytest.raises(CertificateRefused) as caught:
        check_certificate(made, ledger_id=ledger_id, voter_sets=voter_sets)
    return caught.value.why


def test_every_false_certificate_is_refused() -> None:
    good = certificate(*VOTERS[:3])
    assert "no majority" in refused(certificate(*VOTERS[:2]), [VOTERS])
    assert "no majority" in refused(good, [VOTERS[:3], VOTERS[2:] + (bytes([9] * 32),) * 3])
    assert "does not vote" in refused(good, [VOTERS[:2]])
    assert "another ledger" in refused(good, [VOTERS], bytes(32))
    assert "no voters" in refused(good, [])
    assert "no voters" in refused(good, [VOTERS, ()])
    twice = Certificate(*encode_fields(good, signers=(good.signers[0], *good.signers)))
    assert "sorted and unique" in refused(twice, [VOTERS])
    mixed = Certificate(*encode_fields(good, signers=good.signers[::-1]))
    assert "sorted and unique" in refused(mixed, [VOTERS])
    moved = Certificate(*encode_fields(good, height=8))
    assert "does not fit" in refused(moved, [VOTERS])


def test_a_learners_signature_beside_a_majority_is_refused() -> None:
    assert "does not vote" in refused(certificate(*VOTERS[:4]), [VOTERS[:3]])


def test_a_signature_on_another_ledgers_checkpoint_is_refused() -> None:
    elsewhere = Checkpoint(bytes(32), CHECKPOINT.height, CHECKPOINT.tree_size, CHECKPOINT.root)
    lent = Certificate.of(
        CHECKPOINT, [*map(cosign, VOTERS[:2]), cosign(VOTERS[2], checkpoint=elsewhere)]
    )
    assert "does not fit" in refused(lent, [VOTERS])


def test_a_signature_made_for_another_purpose_is_refused() -> None:
    raw = BY_NODE[VOTERS[2]].sign(record_statement(CITY.ledger_id, CHECKPOINT.body()))
    made = Certificate.of(CHECKPOINT, [*map(cosign, VOTERS[:2]), Cosignature(VOTERS[2], 99, raw)])
    assert "does not fit" in refused(made, [VOTERS])


def test_a_signature_in_another_nodes_name_is_refused() -> None:
    own = cosign(VOTERS[0])
    lent = Cosignature(VOTERS[1], own.timestamp_s, own.signature)
    made = Certificate.of(CHECKPOINT, [own, lent, cosign(VOTERS[2])])
    assert "does not fit" in refused(made, [VOTERS])


def test_a_certificate_in_a_second_spelling_is_malformed() -> None:
    data = certificate(*VOTERS[:3]).to_bytes()
    height = data.index(b"\x07", 34)
    with pytest.raises(Malformed, match="spelling"):
        parse_certificate(data[:height] + b"\xcc\x07" + data[height + 1 :])


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (VoterSets(VOTERS[:3]), VoterSets(VOTERS[:3]), (VOTERS[:3],)),
        (VoterSets(VOTERS[:3]), VoterSets(VOTERS[:3], VOTERS[2:]), (VOTERS[:3], VOTERS[2:])),
        (
            VoterSets(VOTERS[:3], VOTERS[2:]),
            VoterSets(VOTERS[:3], VOTERS[2:]),
            (VOTERS[:3], VOTERS[2:]),
        ),
        (VoterSets(VOTERS[:3], VOTERS[2:]), VoterSets(VOTERS[2:]), (VOTERS[:3], VOTERS[2:])),
        (VoterSets(VOTERS[:3]), VoterSets(VOTERS[2:]), (VOTERS[:3], VOTERS[2:])),
    ],
    ids=["unchanged", "entering", "joint", "leaving", "in one step"],
)
def test_a_block_needs_a_majority_of_each_set_before_and_after_it(before, after, wanted) -> None:
    assert required_sets(before, after) == wanted


def encode_fields(made: Certificate, **changes):
    names = made.__struct_fields__
    return [changes.get(name, getattr(made, name)) for name in names]


def test_a_signature_for_another_purpose_is_no_cosignature() -> None:
    raw = BY_NODE[VOTERS[0]].sign(CHECKPOINT.body())
    assert not check_cosignature(CHECKPOINT, Cosignature(VOTERS[0], 99, raw))


def test_while_joint_both_sets_need_a_majority() -> None:
    made = certificate(*VOTERS[:3])
    check_certificate(made, ledger_id=CITY.ledger_id, voter_sets=[VOTERS[:3], VOTERS[1:4]])
    assert "no majority" in refused(made, [VOTERS[:3], VOTERS[2:5]])


@pytest.mark.parametrize("place", range(0, 420, 3))
def test_a_flipped_byte_of_a_certificate_is_refused(place: int) -> None:
    data = bytearray(certificate(*VOTERS[:3]).to_bytes())
    data[place % len(data)] ^= 1
    with pytest.raises((Malformed, CertificateRefused)):
        check_certificate(
            parse_certificate(bytes(data)), ledger_id=CITY.ledger_id, voter_sets=[VOTERS]
        )


@pytest.mark.parametrize(
    "text",
    [
        b"concordat/00\n1\nAAAA\nheight 1\n",
        CHECKPOINT.body()[:-1],
        CHECKPOINT.body() + b"\n",
        CHECKPOINT.body().replace(b"\n20\n", b"\n020\n"),
        CHECKPOINT.body().replace(b"\n20\n", b"\n0\n"),
        CHECKPOINT.body().replace(b"height 7", b"height +7"),
        CHECKPOINT.body().replace(b"height", b"depth"),
        CHECKPOINT.body().replace(b"\n20\n", b"\nx\n"),
        "concordat/é\n".encode(),
    ],
)
def test_another_spelling_of_a_checkpoint_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_checkpoint(text)


def test_a_checkpoint_reads_back() -> None:
    assert parse_checkpoint(CHECKPOINT.body()) == CHECKPOINT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAAA",
        b"text\n\n- name AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAAA\n",
        b"text\n\n\xe2\x80\x94 name AAA*AAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAB=\n",
        b"te\rxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAAA\n",
        b"text\n\n" + b"\xe2\x80\x94 name AAAAAAAA\n" * 1_101,
        bytes(1024 * 1024 + 1),
    ],
)
def test_notes_outside_their_form_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_note(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_or_malformed(data: bytes) -> None:
    try:
        note = parse_note(data)
    except Malformed:
        return
    assert note.to_bytes() == data


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_checkpoints_contradict_only_if_no_ledger_can_have_both(
    old: int, new: int, forked: bool
) -> None:
    if old >= new:
        old, new = new, old + 1
    true = [leaf_hash(b"%d" % number) for number in range(new)]
    false = [leaf_hash(b"not 0"), *true[1:]]

    def read(level: int, index: int) -> bytes:
        return root_of(true[index << level : (index + 1) << level])

    def at(leaves: list[bytes], size: int) -> Checkpoint:
        return Checkpoint(CITY.ledger_id, size, size, CompactRange().extend(leaves[:size]).root())

    small, large = at(false if forked else true, old), at(true, new)
    path = list(consistency_proof(read, old_size=old, new_size=new))
    if old & (old - 1) == 0:
        path.insert(0, root_of(true[:old]))
    assert contradict(small, large, path) is forked
    assert contradict(large, small, path) is forked
    assert not contradict(small, large)
    assert not contradict(small, large, [*path, bytes(32)])
    assert not contradict(small, large, [bytes(32) for _ in path])


def test_equal_heights_or_sizes_with_other_content_contradict() -> None:
    other_root = Checkpoint(CITY.ledger_id, 7, 20, bytes(32))
    other_height = Checkpoint(CITY.ledger_id, 8, 20, CHECKPOINT.root)
    smaller_later = Checkpoint(CITY.ledger_id, 8, 19, CHECKPOINT.root)
    elsewhere = Checkpoint(bytes(32), 7, 20, bytes(32))
    assert contradict(CHECKPOINT, other_root)
    assert contradict(CHECKPOINT, other_height)
    assert contradict(CHECKPOINT, smaller_later)
    assert not contradict(CHECKPOINT, CHECKPOINT)
    assert not contradict(CHECKPOINT, elsewhere)


def test_half_of_an_even_number_of_voters_is_no_majority() -> None:
    four = VOTERS[:4]
    check_certificate(certificate(*four[:3]), ledger_id=CITY.ledger_id, voter_sets=[four])
    assert refused(certificate(*four[:2]), [four]) == "2 of 4 voters signed, which is no majority"


def test_what_is_wrong_with_a_certificate_is_said() -> None:
    good = certificate(*VOTERS[:3])
    twice = Certificate(*encode_fields(good, signers=(good.signers[0], *good.signers)))
    moved = Certificate(*encode_fields(good, height=8))
    for made, voter_sets, ledger_id, why in (
        (good, [VOTERS], bytes(32), "it is another ledger's"),
        (twice, [VOTERS], CITY.ledger_id, "its signers are not sorted and unique"),
        (good, [], CITY.ledger_id, "there are no voters to judge it by"),
        (good, [VOTERS[:2]], CITY.ledger_id, "a signer does not vote on this block"),
        (
            certificate(*VOTERS[:2]),
            [VOTERS],
            CITY.ledger_id,
            "2 of 5 voters signed, which is no majority",
        ),
        (
            moved,
            [VOTERS],
            CITY.ledger_id,
            f"the signature of {VOTERS[0].hex()[:16]}… does not fit",
        ),
    ):
        with pytest.raises(CertificateRefused) as caught:
            check_certificate(made, ledger_id=ledger_id, voter_sets=voter_sets)
        assert str(caught.value) == f"certificate: {why}"
