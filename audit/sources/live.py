"""A running node as a source: its leaves, attachments and certificates, streamed over HTTP.

They go into a temporary file, so memory stays bounded; nothing the node says about itself counts.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import plyvel

from audit.verify import Unreadable

PAGE_LEAVES = 5_000
TIMEOUT_S = 60.0
PAGE_BYTES_MAX = 64 * 1024 * 1024

_PAIRS = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])


class LiveSource:
    """A node's ledger as of the first request. Use as a context manager."""

    whole = False

    def __init__(self, url: str, token: str) -> None:
        """Fetches everything. Raises Unreadable."""
        self._folder = Path(tempfile.mkdtemp(prefix="concordat-audit-"))
        self._db: Any = plyvel.DB(str(self._folder), create_if_missing=True)
        try:
            with httpx2.Client(
                base_url=url.rstrip("/").removesuffix("/v1"),
                headers={"Authorization": f"Bearer {token}"},
                timeout=TIMEOUT_S,
                trust_env=False,
            ) as http:
                self._fetch(http)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "LiveSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the temporary copy."""
        self._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def get(self, key: bytes) -> bytes | None:
        """The value at `key`."""
        value: bytes | None = self._db.get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with start ≤ key < stop."""
        with self._db.iterator(start=start, stop=stop) as found:
            yield from found

    def damage(self) -> Iterable[tuple[str, str]]:
        """A live node shows no files."""
        return ()

    def _fetch(self, http: httpx2.Client) -> None:
        start = 0
        while True:
            parameters = {"start": start, "count": PAGE_LEAVES}
            try:
                answer = http.get("/v1/ledger/entries", params=parameters)
                if answer.status_code != 200:
                    raise Unreadable(f"the node answers with status {answer.status_code}")
                pairs = _PAIRS.decode(answer.content)
                following = int(answer.headers["Concordat-Next"])
            except (httpx2.HTTPError, msgspec.MsgspecError, KeyError, ValueError) as error:
                raise Unreadable(f"the node does not give its ledger: {error}") from None
            with self._db.write_batch() as writes:
                for key, value in pairs:
                    writes.put(key, value)
            if following <= start:
                return
            start = following
