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

from audit.signed import PROPOSALS_MAX
from audit.verify import Unreachable, Unreadable
from ledger import store_keys

PAGE_LEAVES = 5_000
TIMEOUT_S = 60.0
PAGE_BYTES_MAX = 64 * 1024 * 1024

_PAIRS = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])


class LiveSource:
    """A node's ledger as of the first request. Use as a context manager.

    proposals: what leaders signed, as the node shows it (`audit.signed`).
    """

    whole = False

    def __init__(self, url: str, token: str, *, statements: bool = False, first: int = 0) -> None:
        """Fetches certificates, and leaves from `first` on. Raises Unreadable.

        statements: also what nodes have signed beside certificates.
        """
        self.proposals: list[bytes] = []
        self._folder = Path(tempfile.mkdtemp(prefix="concordat-audit-"))
        self._db: Any = plyvel.DB(str(self._folder), create_if_missing=True)
        try:
            self._read(url, token, first=first, statements=statements)
        except BaseException:
            self.close()
            raise

    def _read(self, url: str, token: str, *, first: int, statements: bool) -> None:
        try:
            http = httpx2.Client(
                base_url=url.rstrip("/").removesuffix("/v1"),
                headers={"Authorization": f"Bearer {token}"},
                timeout=TIMEOUT_S,
                trust_env=False,
            )
        except (httpx2.InvalidURL, UnicodeEncodeError) as error:
            raise Unreadable(
                f"{url} or the token is none: {error}", "Write http://HOST:PORT and an ASCII token."
            ) from None
        with http:
            self._fetch(http, first)
            if statements:
                self._fetch_statements(http)

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

    def _fetch_statements(self, http: httpx2.Client) -> None:
        """Own signatures and evidence as a store has them; proposals as they are shown."""
        after = ""
        while True:
            try:
                answer = http.get("/v1/ledger/statements", params={"after": after})
                if answer.status_code != 200:
                    raise _refused(answer.status_code)
                pairs = _PAIRS.decode(answer.content)
                following = answer.headers["Concordat-Next"]
            except httpx2.TransportError as error:
                raise _unreachable(http, error) from None
            except (httpx2.HTTPError, msgspec.MsgspecError, KeyError) as error:
                raise Unreadable(f"the node does not show its statements: {error}") from None
            for key, value in pairs:
                if key[:1] in (store_keys.OWN_SIGNATURE, store_keys.EVIDENCE):
                    self._db.put(key, value)
                elif key[:1] == store_keys.ENTRY and len(self.proposals) < PROPOSALS_MAX:
                    self.proposals.append(value)
            if following <= after:
                return
            after = following

    def _fetch(self, http: httpx2.Client, first: int) -> None:
        if first:
            self._page(http, start=0, count=1)
        start = first
        while (following := self._page(http, start=start, count=PAGE_LEAVES)) > start:
            start = following

    def _page(self, http: httpx2.Client, *, start: int, count: int) -> int:
        """Keeps so many leaves, from the start also every certificate; the next page's start."""
        try:
            answer = http.get("/v1/ledger/entries", params={"start": start, "count": count})
            if answer.status_code != 200:
                raise _refused(answer.status_code)
            pairs = _PAIRS.decode(answer.content)
            following = int(answer.headers["Concordat-Next"])
        except httpx2.TransportError as error:
            raise _unreachable(http, error) from None
        except (httpx2.HTTPError, msgspec.MsgspecError, KeyError, ValueError) as error:
            raise Unreadable(f"the node does not give its ledger: {error}") from None
        with self._db.write_batch() as writes:
            for key, value in pairs:
                writes.put(key, value)
        return following


def _unreachable(http: httpx2.Client, error: httpx2.TransportError) -> Unreachable:
    return Unreachable(f"{http.base_url} cannot be reached: {error or type(error).__name__}")


def _refused(status: int) -> Unreadable:
    """What a status other than 200 means for who asks for a ledger."""
    known = {
        401: ("it does not know this token", "Give a token of this very node, with --token."),
        403: (
            "this token may not read the whole ledger",
            "Ask for one of an auditor: `concordat-node token add`.",
        ),
        404: ("it has no ledger at this address", "Is this a node's URL?"),
    }
    words, remedy = known.get(status, ("", "See `/readyz` of the node, and try again."))
    text = f"the node answers with status {status}"
    return Unreadable(f"{text}: {words}" if words else text, remedy)
