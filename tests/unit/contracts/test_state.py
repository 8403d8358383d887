"""The state: its keys, and one record's writes over a view."""

import pytest
from harness import token
from hypothesis import given
from hypothesis import strategies as st

from contracts import state
from contracts.context import Context
from contracts.state import STATE_READS_MAX, Overlay, read
from ledger.blocks import VoterSets
from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from ledger.list_heads import EMPTY_LIST, parse_list_head, rebuilds

NAMES = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,4}[a-z0-9])?", fullmatch=True)
DIGESTS = st.binary(min_size=32, max_size=32)


def test_a_write_shows_in_the_overlay_and_not_in_the_view() -> None:
    view = {b"a": b"1", b"b": b"2"}
    overlay = Overlay(view)
    overlay.put(b"a", b"3")
    assert (overlay.get(b"a"), overlay.get(b"b"), overlay.get(b"c")) == (b"3", b"2", None)
    assert view == {b"a": b"1", b"b": b"2"}
    assert (overlay.writes, overlay.items) == ({b"a": b"3"}, [])


def test_an_empty_value_hides_what_the_view_has() -> None:
    overlay = Overlay({b"a": b"1"})
    overlay.put(b"a", b"")
    assert overlay.get(b"a") == b""


@given(st.lists(st.lists(st.binary(max_size=3), max_size=5), max_size=6))
def test_items_are_numbered_on_and_rebuild_the_head(batches: list[list[bytes]]) -> None:
    stored: dict[bytes, bytes] = {}
    items: list[bytes] = []
    for batch in batches:
        overlay = Overlay(stored)
        overlay.append(b"list/x", batch[:1])
        overlay.append(b"list/x", iter(batch[1:]))
        assert overlay.items == [
            (b"list/x", number, item) for number, item in enumerate(batch, start=len(items))
        ]
        stored |= overlay.writes
        items += batch
    if items:
        assert rebuilds(parse_list_head(stored[b"list/x"]), items)


class Number(Format, frozen=True):
    value: int


NUMBER: Decoder[Number] = Decoder(Number, what="number", bytes_max=16)

ACTS = st.lists(
    st.tuples(
        st.sampled_from(("put", "value", "read", "get", "append", "keep", "drop", "block")),
        st.sampled_from((b"a", b"b", b"c")),
        st.integers(0, 200),
    ),
    max_size=40,
)


@given(ACTS)
def test_a_dropped_record_leaves_nothing_and_a_kept_one_everything(acts) -> None:
    """Against a model that copies everything before each record, over several blocks."""
    view = {b"a": encode(Number(7))}
    decoded: dict[bytes, object] = {}
    everything: dict[bytes, list[bytes]] = {}
    overlay = Overlay(view, decoded)
    kept: tuple[dict[bytes, bytes], list[bytes]] = ({}, [])
    writes, items = dict(kept[0]), list(kept[1])
    for act, key, number in acts:
        overlay.begin()
        if act == "put":
            overlay.put(key, encode(Number(number)))
            writes[key] = encode(Number(number))
        elif act == "value":
            overlay.put_value(key, Number(number))
            writes[key] = encode(Number(number))
        elif act == "append":
            overlay.append(b"list/" + key, [bytes([number])])
            items.append(bytes([number]))
        elif act == "keep":
            overlay.keep()
            kept = (dict(writes), list(items))
        elif act == "block":
            overlay.keep()
            for at, _, item in overlay.items:
                everything.setdefault(at[5:], []).append(item)
            view |= overlay.writes
            overlay = Overlay(view, decoded)
            writes, items = {}, []
            kept = ({}, [])
        elif act == "drop":
            overlay.drop()
            writes, items = dict(kept[0]), list(kept[1])
        expected = writes.get(key, view.get(key))
        assert overlay.get(key) == expected
        assert overlay.read(key, NUMBER) == (None if expected is None else NUMBER.decode(expected))
        assert read(overlay, key, NUMBER) == overlay.read(key, NUMBER)
        assert [item for _, _, item in overlay.items] == items
        own = {name: value for name, value in overlay.writes.items() if name in writes}
        assert own == writes
        for name in (b"a", b"b", b"c"):
            head = overlay.get(b"list/" + name)
            listed = everything.get(name, []) + [
                item for at, _, item in overlay.items if at == b"list/" + name
            ]
            assert rebuilds(EMPTY_LIST if head is None else parse_list_head(head), listed)


def test_a_damaged_head_is_no_mistake_of_the_contract() -> None:
    with pytest.raises(Malformed):
        Overlay({b"list/x": b"\xc1"}).append(b"list/x", [b"item"])


def test_a_record_may_cause_so_many_operations_and_no_more() -> None:
    overlay = Overlay({})
    for _ in range(STATE_READS_MAX):
        overlay.get(b"a")
    with pytest.raises(AssertionError, match="too many"):
        overlay.get(b"a")


@given(NAMES, NAMES, NAMES, NAMES, DIGESTS, DIGESTS)
def test_no_two_things_share_a_key(
    first: str, second: str, third: str, fourth: str, one: bytes, other: bytes
) -> None:
    pairs = sorted({(first, second), (third, fourth), (first, fourth), (second, first)})
    names = sorted({first, second, third, fourth})
    digests = sorted({one, other})
    triples = [(holder, *pair) for holder in names for pair in pairs]
    keys = [
        *(state.setting_key(name) for name in names),
        *(state.department_key(name) for name in names),
        *(state.datasets_list(name) for name in names),
        *(state.dataset_key(*pair) for pair in pairs),
        *(state.grants_list(*pair) for pair in pairs),
        *(state.policy_key(*pair) for pair in pairs),
        *(state.held_list(*triple) for triple in triples),
        *(state.record_key_key(digest) for digest in digests),
        *(state.node_key(digest) for digest in digests),
        *(state.grant_key(digest) for digest in digests),
        *(state.receipts_list(digest) for digest in digests),
        *(state.acts_list(digest) for digest in digests),
        *(state.emergencies_key(name) for name in names),
        state.emergencies_list(),
        *(state.in_force_key(kind) for kind in ("calendar", "vocabulary")),
        *(state.candidate_key(kind, name) for kind in ("calendar", "vocabulary") for name in names),
    ]
    assert len(keys) == len(set(keys))


def test_keys_are_what_the_format_says() -> None:
    assert state.setting_key("record-skew-ms") == b"setting/record-skew-ms"
    assert state.department_key("health") == b"department/health"
    assert state.record_key_key(token("k")) == b"key/" + token("k")
    assert state.node_key(token("n")) == b"node/" + token("n")
    assert state.dataset_key("health", "births") == b"dataset/health/births"
    assert state.grant_key(token("g")) == b"grant/" + token("g")
    assert state.datasets_list("health") == b"list/datasets/health"
    assert state.grants_list("health", "births") == b"list/grants/health/births"
    assert state.held_list("housing", "health", "births") == b"list/held/housing/health/births"
    assert state.receipts_list(token("g")) == b"list/receipts/" + token("g")
    assert state.acts_list(token("g")) == b"list/acts/" + token("g")
    assert state.emergencies_list() == b"list/emergencies"
    assert state.emergencies_key("housing") == b"emergencies/housing"
    assert state.in_force_key("calendar") == b"in-force/calendar"
    assert state.candidate_key("calendar", "health") == b"candidate/calendar/health"


def test_a_context_reads_settings_and_insists_on_those_of_genesis() -> None:
    view = {b"setting/record-skew-ms": (5_000).to_bytes(8, "big")}
    context = Context(
        ledger_id=bytes(32),
        voters=VoterSets((bytes(32),)),
        state=Overlay(view),
        department="health",
        actor="clerk",
        record_id=bytes(32),
        time_ms=1,
        height=1,
        document=None,
        items=0,
    )
    assert context.setting("record-skew-ms") == 5_000
    with pytest.raises(AssertionError, match="genesis sets"):
        context.setting("none")
