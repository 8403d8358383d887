"""Another system's HTTP interface that answers with a JSON array of objects.

    GET url?fields=a,b&field=value&field[>=]=value&limit=n

What it sends is cut to the asked fields and filtered again here, so an upstream that ignores the
query cannot widen an answer. Redirects are not followed.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import httpx2

from contracts.queries import Field, Query
from node.exchange.sources.port import (
    Row,
    Source,
    SourceMisbehaved,
    SourceUnavailable,
    checked,
    needed,
)

_PLAIN_ROW_BYTES = 4096
"""Bytes of JSON that one row may take on average, beyond its cut content."""


class HttpSource(Source):
    """One address. token: sent as a bearer token. verify: path of a CA file, or the system's."""

    def __init__(
        self, name: str, *, url: str, token: str | None = None, ca_file: str | None = None
    ) -> None:
        self.name = name
        self._url = url
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx2.Client(
            headers=headers,
            follow_redirects=False,
            verify=True if ca_file is None else httpx2.create_ssl_context(verify=ca_file),
            trust_env=False,
        )

    def stream(
        self,
        *,
        fields: Sequence[Field],
        query: Query,
        rows_max: int,
        bytes_max: int,
        timeout_s: float,
    ) -> Iterator[Row]:
        """See `port.Source.stream`. The upstream's answer is held whole: JSON has no order."""
        columns = needed(fields, query)
        names = [field.name for field in columns]
        start = query.offset or 0
        rows_wanted = start + (query.limit or rows_max + 1)
        content = self._get(
            self._parameters(names, query, rows_wanted),
            bytes_max=bytes_max + _PLAIN_ROW_BYTES * rows_wanted,
            timeout_s=timeout_s,
        )
        rows = []
        for number, entry in enumerate(content):
            if not isinstance(entry, dict):
                raise SourceMisbehaved(f"{self.name}: row {number} is no object")
            missing = [name for name in names if name not in entry]
            if missing:
                raise SourceMisbehaved(f"{self.name}: row {number} lacks {', '.join(missing)}")
            rows.append([entry[name] for name in names])
        found = sorted(
            checked(fields, rows, query=replace(query, limit=None, offset=None)),
            key=lambda row: tuple((value is not None, str(value)) for value in row),
        )
        stop = None if query.limit is None else start + query.limit
        yield from found[start:stop]

    def probe(self, fields: Sequence[Field]) -> None:
        """See `port.Source.probe`."""
        self.read(
            fields=fields, query=Query((), 1), rows_max=10_000, bytes_max=1 << 24, timeout_s=5.0
        )

    def close(self) -> None:
        """Closes every connection."""
        self._client.close()

    @staticmethod
    def _parameters(
        names: Sequence[str], query: Query, rows_wanted: int
    ) -> list[tuple[str, str | int | float | bool | None]]:
        """What is asked for; each value of `in` is a parameter of its own."""
        parameters: list[tuple[str, str | int | float | bool | None]] = [
            ("fields", ",".join(names))
        ]
        for condition in query.conditions:
            name = condition.field.name
            key = name if condition.operator == "=" else f"{name}[{condition.operator}]"
            value = condition.value
            values = value if isinstance(value, tuple) else (value,)
            parameters += [(key, str(each)) for each in values]
        parameters.append(("limit", str(rows_wanted)))
        return parameters

    def _get(
        self,
        parameters: list[tuple[str, str | int | float | bool | None]],
        *,
        bytes_max: int,
        timeout_s: float,
    ) -> list[object]:
        body = bytearray()
        deadline = time.monotonic() + timeout_s
        try:
            with self._client.stream(
                "GET", self._url, params=parameters, timeout=timeout_s
            ) as answer:
                if answer.status_code >= 500 or answer.status_code in (401, 403, 429):
                    raise SourceUnavailable(f"{self.name}: status {answer.status_code}")
                if answer.status_code != 200:
                    raise SourceMisbehaved(f"{self.name}: status {answer.status_code}")
                for part in answer.iter_bytes():
                    body += part
                    if time.monotonic() > deadline:
                        raise SourceUnavailable(f"{self.name}: it took too long")
                    if len(body) > bytes_max:
                        raise SourceMisbehaved(f"{self.name}: more than {bytes_max} bytes came")
        except httpx2.HTTPError as error:
            raise SourceUnavailable(f"{self.name}: {error or type(error).__name__}") from None
        try:
            content = json.loads(bytes(body))
        except (ValueError, RecursionError):
            raise SourceMisbehaved(f"{self.name}: not JSON") from None
        if not isinstance(content, list):
            raise SourceMisbehaved(f"{self.name}: not a JSON array")
        return content
