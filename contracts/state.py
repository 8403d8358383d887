"""The state that contracts read and write: keys, a view, and the writes of one record over it.

Every key begins with a word and a slash; the parts after it have a fixed length or exclude the
slash, so no two things share a key. Values are `ledger.codec` formats.

| key                                            | value                          |
|------------------------------------------------|--------------------------------|
| `setting/` name                                | number (8 bytes)               |
| `department/` name                             | `consortium.Member`            |
| `key/` record key                              | `consortium.KeyState`          |
| `node/` node id                                | `consortium.NodeState`         |
| `enrolled/` any key                            | name of its department         |
| `roster/departments`                           | names of those in force        |
| `roster/nodes`, `roster/departing`             | node ids: in force, retired    |
| `roster/target`                                | node ids: the decided voters   |
| `proposal/` proposal id                        | `governance.Proposal`          |
| `open/` name                                   | ids of its open proposals      |
| `list/proposals`                               | head: proposal ids             |
| `dataset/` publisher `/` name                  | `catalog.Dataset`              |
| `grant/` grant id                              | `grants.Grant`                 |
| `policy/` publisher `/` name                   | `policies.Policy`              |
| `in-force/` calendar or vocabulary             | `Calendar` or `Terms`          |
| `candidate/` kind `/` department               | `adoption.CandidateDocument`   |
| `emergencies/` consumer                        | `emergencies.Unreviewed`       |
| `list/datasets/` publisher                     | head: names of datasets        |
| `list/grants/` publisher `/` name              | head: grant ids                |
| `list/held/` consumer `/` publisher `/` name   | head: grant ids                |
| `list/receipts/` grant id                      | head: record id, line (2 bytes)|
| `list/acts/` grant id                          | head: record ids               |
| `list/emergencies`                             | head: grant ids                |
"""

from collections.abc import Iterable
from enum import Enum
from typing import Any, Protocol, TypeVar

from ledger.codec import Decoder, Format, encode
from ledger.list_heads import EMPTY_LIST, ListHead, parse_list_head

Value = TypeVar("Value")

DECODED_MAX = 16_384
"""When more values than this are decoded, the next block starts with none."""

STATE_READS_MAX = 512
"""Limit of the state operations that one record may cause."""


DEPARTMENTS_IN_FORCE = b"roster/departments"
NODES = b"roster/nodes"
DEPARTING_NODES = b"roster/departing"
TARGET_VOTERS = b"roster/target"
PROPOSALS_LIST = b"list/proposals"


class View(Protocol):
    """The state just before something happens."""

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`, or None."""


class _Growing:
    """A list while a block appends to it; its head is hashed when somebody asks.

    base: the head before the block. added: the block's items so far.
    Invariant: `_head` is the head after the first `_hashed` of them.
    """

    __slots__ = ("_hashed", "_head", "added", "base")

    def __init__(self, base: ListHead) -> None:
        self.base = self._head = base
        self.added: list[bytes] = []
        self._hashed = 0

    def head(self) -> ListHead:
        """The head after all of them."""
        if self._hashed < len(self.added):
            self._head = self._head.append(self.added[self._hashed :])
            self._hashed = len(self.added)
        return self._head

    def take_back(self) -> None:
        """The newest item never was."""
        self.added.pop()
        if self._hashed > len(self.added):
            self._head, self._hashed = self.base, 0


class _Known(Enum):
    """What is remembered of a key beside what it decodes to; the same one also in a copy."""

    ABSENT = "no value"


_ABSENT = _Known.ABSENT


class Overlay:
    """Writes over a view, record by record: `begin` starts one, `keep` or `drop` ends it.

    items: (list key, number, item) appended to growing lists, in order.
    Invariants: `_decoded` has nothing but what the newest value at its key decodes to, or that
    there is none. The heads of the lists in `_stale` are not in `_writes` as they are now.
    """

    __slots__ = (
        "_before",
        "_decoded",
        "_growing",
        "_kept_items",
        "_operations",
        "_stale",
        "_view",
        "_writes",
        "items",
    )

    def __init__(self, view: View, decoded: dict[bytes, Any] | None = None) -> None:
        """decoded: values of the view that overlays before this one have decoded, by key, if each
        of those was written to the view; it is continued here."""
        self._view = view
        self._writes: dict[bytes, bytes] = {}
        self.items: list[tuple[bytes, int, bytes]] = []
        self._decoded: dict[bytes, Any] = {} if decoded is None else decoded
        if len(self._decoded) > DECODED_MAX:
            self._decoded.clear()
        self._before: dict[bytes, bytes | None] = {}
        self._growing: dict[bytes, _Growing] = {}
        self._stale: dict[bytes, _Growing] = {}
        self._kept_items = 0
        self._operations = 0

    @property
    def writes(self) -> dict[bytes, bytes]:
        """Values by key, heads of lists among them."""
        for list_key, growing in self._stale.items():
            if growing.added:
                head = self._decoded[list_key] = growing.head()
                self._writes[list_key] = encode(head)
            else:
                self._decoded.pop(list_key, None)
                self._writes.pop(list_key, None)
        self._stale.clear()
        return self._writes

    def get(self, key: bytes) -> bytes | None:
        """The newest value at `key`."""
        self._count()
        value = (self.writes if key in self._stale else self._writes).get(key)
        return self._view.get(key) if value is None else value

    def read(self, key: bytes, decoder: Decoder[Value]) -> Value | None:
        """The newest value at `key`, decoded by its key's one decoder; None if there is none."""
        known: Any = self._decoded.get(key)
        if known is not None:
            self._count()
            return None if known is _ABSENT else known
        value = self.get(key)
        known = self._decoded[key] = _ABSENT if value is None else decoder.decode(value)
        return None if value is None else known

    def number(self, key: bytes) -> int | None:
        """The newest value at `key` as the number that it spells; None if there is none."""
        known: Any = self._decoded.get(key)
        if known is not None:
            self._count()
            return None if known is _ABSENT else known
        value = self.get(key)
        known = self._decoded[key] = _ABSENT if value is None else int.from_bytes(value, "big")
        return None if value is None else known

    def put(self, key: bytes, value: bytes) -> None:
        """Sets `key`."""
        if key not in self._before:
            self._before[key] = self._writes.get(key)
        self._writes[key] = value
        self._decoded.pop(key, None)

    def put_value(self, key: bytes, value: Format) -> None:
        """Sets `key` to what its key's one decoder decodes to `value`."""
        self.put(key, encode(value))
        self._decoded[key] = value

    def append(self, list_key: bytes, items: Iterable[bytes]) -> None:
        """Appends items to the growing list whose head is at `list_key`; `put` never sets it."""
        growing = self._growing.get(list_key)
        if growing is None:
            growing = self._growing[list_key] = _Growing(self._head(list_key))
        else:
            self._count()
        added, first = growing.added, growing.base.count
        for item in items:
            self.items.append((list_key, first + len(added), item))
            added.append(item)
            self._stale[list_key] = growing
        self._decoded.pop(list_key, None)

    def begin(self) -> None:
        """The operations of another record are counted from here on."""
        self._operations = 0

    def keep(self) -> None:
        """The record is accepted: its writes stay."""
        self._before.clear()
        self._kept_items = len(self.items)

    def drop(self) -> None:
        """The record is refused: its writes never were."""
        for key, value in self._before.items():
            self._decoded.pop(key, None)
            if value is None:
                del self._writes[key]
            else:
                self._writes[key] = value
        for list_key, _, _ in self.items[self._kept_items :]:
            growing = self._stale[list_key] = self._growing[list_key]
            growing.take_back()
            self._decoded.pop(list_key, None)
        del self.items[self._kept_items :]
        self.keep()

    def _count(self) -> None:
        self._operations += 1
        assert self._operations <= STATE_READS_MAX, "a record causes too many state operations"

    def _head(self, list_key: bytes) -> ListHead:
        known = self._decoded.get(list_key)
        if isinstance(known, ListHead):
            self._count()
            return known
        stored = self.get(list_key)
        return EMPTY_LIST if stored is None else parse_list_head(stored)


def read(view: View, key: bytes, decoder: Decoder[Value]) -> Value | None:
    """A view's value at `key`, decoded by its key's one decoder; None if there is none."""
    if isinstance(view, Overlay):
        return view.read(key, decoder)
    value = view.get(key)
    return None if value is None else decoder.decode(value)


def setting_key(name: str) -> bytes:
    """Key of a consortium setting."""
    return b"setting/" + name.encode("ascii")


def department_key(name: str) -> bytes:
    """Key of a member."""
    return b"department/" + name.encode("ascii")


def record_key_key(key: bytes) -> bytes:
    """Key of a record key's state."""
    return b"key/" + key


def node_key(node_id: bytes) -> bytes:
    """Key of a node's state."""
    return b"node/" + node_id


def enrolled_key(key: bytes) -> bytes:
    """Key of what says that a key of any purpose was enrolled; each is at most once."""
    return b"enrolled/" + key


def proposal_key(proposal_id: bytes) -> bytes:
    """Key of a proposal."""
    return b"proposal/" + proposal_id


def open_proposals_key(department: str) -> bytes:
    """Key of the proposals that a department may still have open."""
    return b"open/" + department.encode("ascii")


def dataset_key(publisher: str, name: str) -> bytes:
    """Key of a dataset."""
    return f"dataset/{publisher}/{name}".encode("ascii")


def policy_key(publisher: str, name: str) -> bytes:
    """Key of a dataset's policy."""
    return f"policy/{publisher}/{name}".encode("ascii")


def grant_key(grant_id: bytes) -> bytes:
    """Key of a grant."""
    return b"grant/" + grant_id


def in_force_key(kind: str) -> bytes:
    """Key of the calendar, or of the vocabulary's terms, in force."""
    return f"in-force/{kind}".encode("ascii")


def candidate_key(kind: str, department: str) -> bytes:
    """Key of the document of a kind that a department put forward last."""
    return f"candidate/{kind}/{department}".encode("ascii")


def emergencies_key(consumer: str) -> bytes:
    """Key of a department's emergencies that wait for their review."""
    return f"emergencies/{consumer}".encode("ascii")


def datasets_list(publisher: str) -> bytes:
    """Head of a department's datasets."""
    return f"list/datasets/{publisher}".encode("ascii")


def grants_list(publisher: str, name: str) -> bytes:
    """Head of every grant on a dataset, whatever became of it."""
    return f"list/grants/{publisher}/{name}".encode("ascii")


def held_list(consumer: str, publisher: str, name: str) -> bytes:
    """Head of a consumer's grants on a dataset."""
    return f"list/held/{consumer}/{publisher}/{name}".encode("ascii")


def receipts_list(grant_id: bytes) -> bytes:
    """Head of a grant's receipt lines."""
    return b"list/receipts/" + grant_id


def acts_list(grant_id: bytes) -> bytes:
    """Head of everything that was done about a grant, in order."""
    return b"list/acts/" + grant_id


def emergencies_list() -> bytes:
    """Head of every emergency grant."""
    return b"list/emergencies"
