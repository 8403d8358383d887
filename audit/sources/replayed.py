"""A ledger that shows only its leaves, with everything that a store derives from them made anew.

A running node and a static export give leaves, attachments and certificates; proofs need the state,
the lists and the tiles too. They follow from the leaves, so they are made here, in memory, and
nothing that the other side says about itself counts.
"""

from collections.abc import Iterable, Iterator

from audit.reading import read_leaves
from audit.replay import Replay
from audit.verify import Source, Unreadable
from ledger import store_keys
from ledger.blocks import BlockHeader
from ledger.genesis import GenesisFile
from ledger.records import Record

_SHOWN = (store_keys.ATTACHED, store_keys.CERTIFICATE, store_keys.LEAF)


class ReplayedSource:
    """Another source's leaves, executed again. Signatures are not judged."""

    whole = False

    def __init__(self, genesis: GenesisFile, source: Source) -> None:
        """Raises Unreadable if its leaves are not a ledger of this genesis."""
        self._source = source
        self._values: dict[bytes, bytes] = {store_keys.GENESIS_MARK: genesis.genesis_bytes}
        replay = Replay(genesis)
        records: list[Record] = []
        for leaf in read_leaves(source):
            if leaf.parsed is None:
                raise Unreadable(f"leaf {leaf.index} cannot be read")
            if isinstance(leaf.parsed, Record):
                records.append(leaf.parsed)
            else:
                self._block(replay, leaf.parsed, leaf.data, records)
                records = []
        for key, value in replay.state.items():
            self._values[store_keys.state_key(key)] = value
        for path, page in replay.pages.items():
            self._values[store_keys.state_page_key(path)] = page
        self._values[store_keys.TIP_MARK] = replay.tip.to_bytes()

    def _block(
        self, replay: Replay, header: BlockHeader, data: bytes, records: list[Record]
    ) -> None:
        made = replay.execute(header, records, [True] * len(records))
        if made.block.refused or made.block.header_bytes != data:
            raise Unreadable(f"block {header.height} does not follow: run `concordat audit verify`")
        self._values.update((key, value) for key, value in made.stored if key[:1] not in _SHOWN)

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        return self._source.get(key) if key[:1] in _SHOWN else self._values.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop, both of one kind."""
        if start[:1] in _SHOWN:
            yield from self._source.scan(start, stop)
            return
        for key in sorted(key for key in self._values if start <= key < stop):
            yield key, self._values[key]

    def damage(self) -> Iterable[tuple[str, str]]:
        """It has no files."""
        return ()
