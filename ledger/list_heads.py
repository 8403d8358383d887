"""Heads of growing lists: one small value in the state that commits to a whole list.

The receipts of a grant, the grants of a dataset and other lists that only grow are not in the
state; their *head* is: how many items, and the compact range of the RFC 6962 tree over them. A list
is complete, as of a checkpoint, exactly if it rebuilds the head that the state proves.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from ledger.codec import Decoder, Format, encode
from ledger.errors import Malformed
from ledger.tree import CompactRange, grow, leaf_hash
from ledger.types import Hash, Natural, TreeSize


class ListHead(Format, frozen=True):
    """count: items so far. hashes: the compact range over them, largest subtree first."""

    count: Natural = 0
    hashes: Annotated[tuple[Hash, ...], Meta(max_length=63)] = ()

    def append(self, items: Iterable[bytes]) -> "ListHead":
        """The head after more items, each a few bytes, in order."""
        hashes = list(self.hashes)
        count = grow(hashes, size=self.count, leaves=map(leaf_hash, items))
        return ListHead(count, tuple(hashes))

    def root(self) -> bytes:
        """The RFC 6962 root over the list, 32 bytes."""
        return CompactRange(TreeSize(self.count), self.hashes).root()

    def to_bytes(self) -> bytes:
        """The head as a state value."""
        return encode(self)


EMPTY_LIST = ListHead()

_HEAD: Decoder[ListHead] = Decoder(ListHead, what="list head", bytes_max=4096)


def parse_list_head(data: bytes) -> ListHead:
    """A head from its state value. Raises Malformed."""
    head = _HEAD.decode(data)
    if len(head.hashes) != head.count.bit_count():
        raise Malformed("list head", "it has not one hash per set bit of its count")
    return head


def rebuilds(head: ListHead, items: Iterable[bytes]) -> bool:
    """Whether `items`, in order, are exactly the list that `head` commits to."""
    return EMPTY_LIST.append(items) == head
