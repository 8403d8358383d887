"""Sources from the node's configuration: a table each, passwords and tokens in files of their own.

[sources.residents]
kind = "sql"                  # or "http", "csv", "parquet"
dataset = "residents"         # the dataset it feeds
url = "sqlite:///residents.db"
table = "residents"
columns = { id_number = "ID_NO" }
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from node.errors import ConfigInvalid
from node.exchange.sources.files import FileSource
from node.exchange.sources.http import HttpSource
from node.exchange.sources.port import Source
from node.exchange.sources.sql import SqlSource

_KEYS: dict[str, tuple[str, ...]] = {
    "sql": ("url", "table", "schema", "columns", "password_file"),
    "http": ("url", "token_file", "ca_file"),
    "csv": ("path", "columns", "delimiter", "encoding", "skip_lines"),
    "parquet": ("path", "columns"),
}

_REQUIRED = {"sql": ("url", "table"), "http": ("url",), "csv": ("path",), "parquet": ("path",)}


class Sources:
    """All sources of a node, by the dataset they feed."""

    def __init__(self, by_dataset: Mapping[str, Source]) -> None:
        self._by_dataset = dict(by_dataset)

    def for_dataset(self, name: str) -> Source | None:
        """The source of a dataset of this department; None if it has none."""
        return self._by_dataset.get(name)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Datasets that have a source, sorted."""
        return tuple(sorted(self._by_dataset))

    def close(self) -> None:
        """Closes every source."""
        for source in self._by_dataset.values():
            source.close()


def load_sources(tables: Mapping[str, Any], base: Path) -> Sources:
    """The sources that a configuration declares. base: its folder. Raises ConfigInvalid."""
    found: dict[str, Source] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigInvalid(f"sources.{name} is not a table")
        dataset = table.get("dataset")
        if not isinstance(dataset, str):
            raise ConfigInvalid(f"sources.{name}.dataset is missing")
        if dataset in found:
            raise ConfigInvalid(f"sources.{name}: the dataset {dataset} has a source already")
        found[dataset] = _source(name, table, base)
    return Sources(found)


def _source(name: str, table: Mapping[str, Any], base: Path) -> Source:
    kind = table.get("kind")
    if kind not in _KEYS:
        raise ConfigInvalid(f"sources.{name}.kind = {kind!r} is none of {', '.join(_KEYS)}")
    known = ("kind", "dataset", *_KEYS[kind])
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            raise ConfigInvalid(f"unknown key sources.{name}.{key}{hint}")
        right = dict if key == "columns" else int if key == "skip_lines" else str
        if type(value) is not right:
            raise ConfigInvalid(f"sources.{name}.{key} = {value!r} is not a {right.__name__}")
    for key in _REQUIRED[kind]:
        if key not in table:
            raise ConfigInvalid(f"sources.{name}.{key} is missing")
    try:
        return _make(name, kind, table, base)
    except (ValueError, LookupError, ArgumentError, NoSuchModuleError) as error:
        raise ConfigInvalid(f"sources.{name}: {error}") from None


def _make(name: str, kind: str, table: Mapping[str, Any], base: Path) -> Source:
    if kind == "sql":
        return SqlSource(
            name,
            url=_placed(table["url"], base),
            table=table["table"],
            schema=table.get("schema"),
            columns=table.get("columns"),
            password=_secret(name, table.get("password_file"), base),
        )
    if kind == "http":
        ca_file = table.get("ca_file")
        return HttpSource(
            name,
            url=table["url"],
            token=_secret(name, table.get("token_file"), base),
            ca_file=None if ca_file is None else str(base / ca_file),
        )
    encoding = table.get("encoding", "utf-8")
    "".encode(encoding)
    return FileSource(
        name,
        path=base / table["path"],
        form="csv" if kind == "csv" else "parquet",
        columns=table.get("columns"),
        delimiter=table.get("delimiter", ","),
        encoding=encoding,
        skip_lines=table.get("skip_lines", 0),
    )


def _placed(url: str, base: Path) -> str:
    """A SQLite file is relative to the configuration."""
    prefix = "sqlite:///"
    return prefix + str(base / url.removeprefix(prefix)) if url.startswith(prefix) else url


def _secret(name: str, file: str | None, base: Path) -> str | None:
    if file is None:
        return None
    path = base / file
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigInvalid(f"sources.{name}: {path} can be read by others", remedy="chmod 600")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigInvalid(f"sources.{name}: cannot read {path}: {error.strerror}") from None
