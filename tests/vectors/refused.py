"""Vectors that every implementation must refuse: second spellings, broken rules, false lengths."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from vectors import sample
from vectors.bodies import BODIES
from vectors.evidence import EVIDENCE
from vectors.governance import KEY_ADD, PROPOSED
from vectors.plain import Vector, Verbatim, array_head, plain_of, replace_first, spell, vector
from vectors.sample import CITY, VILLAGE

from contracts.governance import Ballot, Propose
from ledger.codec import encode
from ledger.entries import Entry
from ledger.list_heads import ListHead
from ledger.records import RecordLeaf
from ledger.state_tree import StateTree
from ledger.tiles import encode_entries

_FAMILIES: tuple[tuple[str, Any], ...] = (
    ("record header", sample.PLAIN_RECORD.header),
    (
        "record leaf",
        RecordLeaf(sample.PLAIN_RECORD.header_bytes, sample.PLAIN_RECORD.signature),
    ),
    ("record", (sample.PLAIN_RECORD.leaf_bytes, None)),
    ("attachment", sample.ITEMS),
    ("entry", Entry(5, sample.ENTER_JOINT, ())),
    ("step", sample.ENTER_JOINT),
    ("voter sets", sample.HEADERS[1].voters),
    ("block header", sample.HEADERS[1]),
    ("genesis", VILLAGE.genesis_file.genesis),
    ("enrolment", CITY.enrolment_file("health").enrolment),
    ("certificate", sample.CERTIFICATE),
    ("evidence", EVIDENCE),
    ("propose", Propose(PROPOSED[-1], "as agreed")),
    ("ballot", Ballot(bytes(range(32)), True)),
    ("key add", KEY_ADD),
    ("state proof", StateTree(sample.PAGES.get).prove(b"key 42")),
    ("list head", ListHead().append([b"item 0", b"item 1", b"item 2"])),
    *((form, value) for form, _, value in BODIES),
)


def refused(form: str, name: str, why: str, data: bytes, **fields: Any) -> Vector:
    """One vector that must be refused, for the reason in `why`.

    accepted: the bytes' one accepted spelling. Raises ValueError if it is no other than `data`.
    """
    if fields.get("accepted") == data:
        raise ValueError(f"{form}: {name} is the accepted spelling itself")
    slug = form.replace(" ", "-")
    description = f"Bytes that are no {form}."
    full_name = f"refused/{slug}/{name}"
    return vector(full_name, form, description, data, refused=why, **fields)


def _long_bytes(data: bytes) -> Verbatim:
    return Verbatim(b"\xc6" + len(data).to_bytes(4, "big") + data)


def _long_text(text: str) -> Verbatim:
    data = text.encode()
    return Verbatim(b"\xdb" + len(data).to_bytes(4, "big") + data)


_RESPELLINGS: tuple[tuple[str, str, type, Any], ...] = (
    ("long-integer", "an integer in 8 bytes that fits in fewer", int,
     lambda value: Verbatim(b"\xcf" + value.to_bytes(8, "big"))),
    ("signed-integer", "a positive integer in a signed form", int,
     lambda value: Verbatim(b"\xd3" + value.to_bytes(8, "big"))),
    ("long-bytes", "a length of bytes in 4 bytes that fits in fewer", bytes, _long_bytes),
    ("long-text", "a length of text in 4 bytes that fits in fewer", str, _long_text),
)  # fmt: skip
"""Second spellings of the same value: a lenient decoder reads them like the accepted one."""

_OTHER_VALUES: tuple[tuple[str, str, type, Any], ...] = (
    ("float", "a float where an integer belongs", int,
     lambda value: Verbatim(msgspec.msgpack.encode(float(value)))),
    ("negative", "a negative integer", int, lambda _: Verbatim(b"\xff")),
    ("too-large-integer", "an integer of 2^63", int, lambda _: Verbatim(encode(2**63))),
    ("boolean", "a boolean where an integer belongs", int, lambda _: Verbatim(b"\xc3")),
    ("text-for-bytes", "text where bytes belong", bytes, lambda value: value.hex()),
    ("bytes-for-text", "bytes where text belongs", str, lambda value: value.encode()),
)  # fmt: skip


def _second_spellings(form: str, plain: tuple[Any, ...]) -> Iterator[Vector]:
    good = spell(plain)
    content = good[len(array_head(len(plain))) :]
    long_array = b"\xdc" + len(plain).to_bytes(2, "big") + content
    yield refused(
        form,
        "long-array",
        "an array's length in 2 bytes that fits in fewer",
        long_array,
        accepted=good,
    )
    for name, why, kind, respell in _RESPELLINGS:
        changed = replace_first(plain, kind, respell)
        if changed is not None:
            yield refused(form, name, why, spell(changed), accepted=good)
    for name, why, kind, respell in _OTHER_VALUES:
        changed = replace_first(plain, kind, respell)
        if changed is not None:
            yield refused(form, name, why, spell(changed))
    keyed = b"".join(encode(at) + spell(part) for at, part in enumerate(plain))
    yield refused(form, "map", "a map instead of an array", bytes([0x80 | len(plain)]) + keyed)
    yield refused(form, "trailing-byte", "a byte after the value", good + b"\x00")
    yield refused(form, "truncated", "the last byte is missing", good[:-1])
    yield refused(form, "empty", "no bytes at all", b"")
    if form != "attachment":
        yield refused(form, "field-more", "a field more than there are", spell((*plain, None)))
        yield refused(form, "field-less", "the last field is missing", spell(plain[:-1]))


def _with(value: Any, **changes: Any) -> bytes:
    return encode(msgspec.structs.replace(value, **changes))


def _text_vectors() -> Iterator[Vector]:
    for name, why, actor in (
        ("nfd", "e with a combining acute accent is not in NFC", "e\u0301"),
        ("singleton", "the Angstrom sign is not in NFC", "\u212b"),
        ("hangul-jamo", "a Hangul syllable spelled by its letters is not in NFC", "\u1100\u1161"),
        ("marks-in-other-order", "combining marks are not in their canonical order",
         "a\u0301\u0323"),
        ("control", "U+0007 is a control character", "bell\x07"),
        ("nul", "U+0000 is a control character", "\x00"),
        ("carriage-return", "U+000D is a control character", "a\r\n"),
        ("delete", "U+007F is a control character", "\x7f"),
        ("c1-control", "U+0085 is a control character", "\x85"),
        ("unicode-15", "U+1FAE8 is assigned in Unicode 15.0 only", "\U0001fae8"),
        ("unassigned", "U+0378 is not assigned", "\u0378"),
        ("noncharacter", "U+FFFE is never assigned", "\ufffe"),
        ("empty", "an actor has at least one code point", ""),
        ("long", "an actor has at most 128 code points", "x" * 129),
    ):  # fmt: skip
        header = _with(sample.PLAIN_RECORD.header, actor=actor)
        yield refused("record header", f"actor-{name}", why, header)
    good = plain_of(sample.PLAIN_RECORD.header)
    for name, why, raw in (
        ("surrogate", "a surrogate is no UTF-8", b"\xa3\xed\xa0\x80"),
        ("overlong", "an overlong form is no UTF-8", b"\xa2\xc1\xa1"),
    ):
        changed = (*good[:4], Verbatim(raw), *good[5:])
        yield refused("record header", f"actor-{name}", why, spell(changed))


def _record_vectors() -> Iterator[Vector]:
    header = sample.PLAIN_RECORD.header
    for name, why, changes in (
        ("version", "version 2 does not exist", {"version": 2}),
        ("kind", "a kind is two words with a full stop between", {"kind": "dataset"}),
        ("kind-line-feed", "a line feed at a kind's end", {"kind": "dataset.publish\n"}),
        ("department", "an identifier is in lower case", {"department": "Health"}),
        ("department-hyphen", "an identifier ends in no hyphen", {"department": "health-"}),
        ("nonce", "a nonce has 16 bytes", {"nonce": bytes(15)}),
        ("key", "a public key has 32 bytes", {"key": bytes(33)}),
        ("ledger-id", "a ledger id has 32 bytes", {"ledger_id": bytes(31)}),
        (
            "too-long",
            "a header has at most 4,096 bytes",
            {"body": msgspec.Raw(encode(bytes(4096)))},
        ),
    ):
        yield refused("record header", name, why, _with(header, **changes))
    form = sample.RECORD_WITH_ITEMS.header
    assert form.attached is not None
    yield refused(
        "record header",
        "attached-form",
        "what is attached is items or a document",
        spell((*plain_of(form)[:-1], ("image", *plain_of(form.attached)[1:]))),
    )
    leaf = plain_of(RecordLeaf(sample.PLAIN_RECORD.header_bytes, bytes(64)))
    yield refused("record leaf", "tag-2", "tag 2 is a block header's", spell((2, *leaf[1:])))
    yield refused("leaf", "tag-3", "no leaf has tag 3", spell((3, *leaf[1:])))
    yield refused("leaf", "no-tag", "a leaf without its tag", spell(leaf[1:]))
    envelope = (sample.PLAIN_RECORD.leaf_bytes, b"unannounced")
    yield refused(
        "record", "unannounced", "bytes that the header does not announce", spell(envelope)
    )
    bad_leaf = (sample.PLAIN_RECORD.leaf_bytes + b"\x00", None)
    yield refused("record", "leaf-within", "a byte after the leaf within", spell(bad_leaf))
    yield refused("attachment", "no-items", "an attachment has at least one item", encode(()))
    item = (bytes(4097),)
    yield refused("attachment", "long-item", "an item has at most 4,096 bytes", encode(item))


def _block_vectors() -> Iterator[Vector]:
    header = sample.HEADERS[0]
    plain = plain_of(header)
    yield refused("block header", "tag-1", "tag 1 is a record's", spell((1, *plain[1:])))
    only_voters = (*plain[:11], plain[11][:1], *plain[12:])
    yield refused(
        "block header",
        "no-incoming",
        "voter sets without the empty incoming set",
        spell(only_voters),
    )
    yield refused(
        "block header", "no-voters", "no voters", spell((*plain[:11], ((), ()), plain[12]))
    )
    yield refused(
        "step",
        "action",
        "a step enters or leaves joint",
        _with(sample.LEAVE_JOINT, action="joint"),
    )


def _genesis_vectors() -> Iterator[Vector]:
    genesis = CITY.genesis_file.genesis
    first, second, *others = genesis.departments
    namesake = msgspec.structs.replace(second, department=first.department)
    borrower = msgspec.structs.replace(second, record_keys=first.record_keys)
    setting = VILLAGE.genesis_file.genesis.settings[0]
    cases: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (
            "departments-order",
            "departments are not sorted",
            {"departments": (second, first, *others)},
        ),
        (
            "department-twice",
            "a department stands twice",
            {"departments": (first, namesake, *others)},
        ),
        ("voters-order", "voters are not sorted", {"voters": genesis.voters[::-1]}),
        ("voter-twice", "a voter stands twice", {"voters": genesis.voters[:1] * 2}),
        ("voter-unknown", "a voter is no department's node", {"voters": (bytes(32),)}),
        ("settings-twice", "a setting stands twice", {"settings": (setting, setting)}),
        ("key-twice", "one key is enrolled twice", {"departments": (first, borrower, *others)}),
    )
    for name, why, changes in cases:
        yield refused("genesis", name, why, _with(genesis, **changes))
    content = json.loads(VILLAGE.genesis_file.to_json())
    enrolment = json.loads(CITY.enrolment_file("health").to_json())
    wrong = {"fingerprint": content["fingerprint"][::-1]}
    for form, good in (("genesis file", content), ("enrolment file", enrolment)):
        inner = form.removesuffix(" file")
        for name, why, changes in (
            ("fingerprint", "the fingerprint is of something else", wrong),
            ("format", "the format's name is another", {"concordat": f"{inner}/2"}),
            ("field-more", "a field more than there are", {"note": ""}),
            ("base64", "a field is not base64", {inner: "*"}),
        ):
            yield refused(form, name, why, json.dumps(good | changes).encode())
        yield refused(form, "json", "it is not JSON", b"{")
    unsigned = [content["signatures"][0] | {"signature": "AAAA"}]
    short = json.dumps(content | {"signatures": unsigned}).encode()
    yield refused("genesis file", "signature", "a signature has 64 bytes", short)


def _certificate_vectors() -> Iterator[Vector]:
    body = sample.CHECKPOINT.body()
    size = f"\n{sample.CHECKPOINT.tree_size}\n".encode()
    for name, why, text in (
        ("leading-zero", "a size with a leading zero", body.replace(size, b"\n0" + size[1:])),
        ("size-zero", "a size of 0", body.replace(size, b"\n0\n")),
        ("plus", "a height with a sign", body.replace(b"height ", b"height +")),
        ("no-height", "the height is missing", body[: body.index(b"height")]),
        ("upper-case", "an origin in upper case", body.replace(b"concordat", b"CONCORDAT")),
        ("no-line-feed", "the last line feed is missing", body[:-1]),
        ("carriage-return", "lines ending in CR LF", body.replace(b"\n", b"\r\n")),
        ("line-more", "a line more than there are", body + b"extension\n"),
    ):
        yield refused("checkpoint", name, why, text)
    note = sample.CERTIFICATE.to_note().to_bytes()
    for name, why, data in (
        ("no-signatures", "no signature line", body + b"\n"),
        ("no-empty-line", "no empty line before the signatures", note.replace(b"\n\n", b"\n")),
        ("hyphen", "a hyphen instead of U+2014", note.replace("\u2014".encode(), b"-")),
        ("control", "a control character", note.replace(b"height", b"height\t")),
        ("not-utf-8", "it is not UTF-8", b"\xff" + note),
        ("base64", "base64 with bits that say nothing", body + "\n\u2014 a AAAAAAB=\n".encode()),
    ):
        yield refused("note", name, why, data)
    empty = msgspec.structs.replace(sample.CERTIFICATE, signers=())
    yield refused("certificate", "no-signers", "a certificate has a signature", encode(empty))


def _tree_vectors() -> Iterator[Vector]:
    page = sample.PAGES[b"\x00"]
    loose = b"\x00\x01\x00\x02" + bytes(96)
    yield refused("state page", "fork-unused", "a fork in an unused slot", loose)
    yield refused("state page", "trailing-byte", "a byte after the slots", page + b"\x00")
    yield refused("state page", "truncated", "the last byte is missing", page[:-1])
    yield refused("state page", "short", "no room for the two bit sets", b"\x00\x00\x00")
    head = ListHead().append([b"item 0"])
    wrong = msgspec.structs.replace(head, count=3)
    yield refused("list head", "hashes", "not one hash per set bit of the count", encode(wrong))
    yield refused("list head", "defaults", "empty fields that are left out", b"\x90")
    yield refused("tile", "length", "no whole number of hashes", bytes(33))
    bundle = encode_entries([b"leaf 0", b"leaf 1"])
    yield refused("entry bundle", "truncated", "it ends within an entry", bundle[:-1])
    yield refused("entry bundle", "half-length", "it ends within a length", bundle + b"\x00")
    yield refused("entry bundle", "too-many", "at most 256 entries", bytes(2 * 257))
    for name, why, path in (
        ("zero-group", "a leading group of zeros", b"x000/001"),
        ("no-x", "a group before the last without its x", b"001/234"),
        ("x-last", "an x before the last group", b"x001"),
        ("short", "a group of two digits", b"01"),
    ):
        yield refused("tile path", name, why, path)


def refused_vectors() -> Iterator[Vector]:
    """Every refused vector: for each MessagePack format the same faults, then its own."""
    for form, value in _FAMILIES:
        yield from _second_spellings(form, plain_of(value))
    yield from _text_vectors()
    yield from _record_vectors()
    yield from _block_vectors()
    yield from _genesis_vectors()
    yield from _certificate_vectors()
    yield from _tree_vectors()
