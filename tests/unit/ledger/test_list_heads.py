"""A list is complete exactly if it rebuilds its head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import Malformed
from ledger.list_heads import EMPTY_LIST, ListHead, parse_list_head, rebuilds
from ledger.tree import leaf_hash, root_of


@given(st.lists(st.binary(max_size=3), max_size=40), st.data())
def test_a_head_commits_to_every_item_and_their_order(items: list[bytes], draw) -> None:
    head = EMPTY_LIST
    for item in items:
        head = head.append([item])
    assert parse_list_head(head.to_bytes()) == head
    assert head.count == len(items)
    assert head.root() == root_of([leaf_hash(item) for item in items])
    assert rebuilds(head, items)
    if items:
        place = draw.draw(st.integers(0, len(items) - 1))
        assert not rebuilds(head, items[:place] + items[place + 1 :])
        assert not rebuilds(head, [*items[:place], items[place] + b"!", *items[place + 1 :]])
    assert not rebuilds(head, [*items, b"more"])


def test_a_head_with_a_wrong_number_of_hashes_is_malformed() -> None:
    with pytest.raises(Malformed, match="one hash per set bit"):
        parse_list_head(ListHead(3, (bytes(32),)).to_bytes())


def test_what_is_wrong_with_a_head_is_said() -> None:
    with pytest.raises(Malformed) as caught:
        parse_list_head(ListHead(2, ()).to_bytes())
    assert str(caught.value) == "list head: it has not one hash per set bit of its count"
