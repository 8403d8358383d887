"""A real HTTP server as a source, and sources from a configuration."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from contracts.queries import Field, QueryRefused, parse_query
from node.errors import ConfigInvalid
from node.exchange.sources.http import HttpSource
from node.exchange.sources.port import SourceMisbehaved, SourceUnavailable
from node.exchange.sources.registry import load_sources

NAME, AGE = Field("name", "text"), Field("age", "integer")
PEOPLE = [{"name": "Anna", "age": 1, "secret": "s"}, {"name": "Zoe", "age": 2, "secret": "s"}]


class Upstream(ThreadingHTTPServer):
    """Answers every GET with the same bytes; keeps the paths and headers it was asked with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answerer)
        self.status = 200
        self.body = json.dumps(PEOPLE).encode()
        self.extra: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.held: threading.Event | None = None


class Answerer(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version: ClassVar[str] = "HTTP/1.0"  # type: ignore[misc]

    def do_GET(self) -> None:
        upstream = self.server
        upstream.asked.append((self.path, dict(self.headers)))
        if upstream.held is not None:
            upstream.held.wait()
            return
        self.send_response(upstream.status)
        for name, value in upstream.extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(upstream.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        if server.held is not None:
            server.held.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def source(upstream: Upstream) -> Iterator[HttpSource]:
    found = HttpSource("people", url=f"http://127.0.0.1:{upstream.server_port}/p", token="t0ken")
    yield found
    found.close()


def read(source: HttpSource, content: object, *, rows_max: int = 100, timeout_s: float = 30) -> Any:
    return source.read(
        fields=[NAME],
        query=parse_query(json.dumps(content).encode(), [NAME, AGE]),
        rows_max=rows_max,
        bytes_max=10_000,
        timeout_s=timeout_s,
    ).rows


def test_fields_that_were_not_asked_never_leave(source: HttpSource) -> None:
    assert read(source, {}) == (("Anna",), ("Zoe",))


def test_an_upstream_that_ignores_the_query_cannot_widen_it(source: HttpSource) -> None:
    assert read(source, {"where": {"age": {">=": 2}}}) == (("Zoe",),)
    assert read(source, {"where": {"name": "x' OR '1'='1"}}) == ()


def test_the_query_and_the_token_are_sent(source: HttpSource, upstream: Upstream) -> None:
    read(source, {"where": {"age": {">=": 2}, "name": "A&fields=secret"}, "limit": 5})
    path, headers = upstream.asked[0]
    assert parse_qs(urlsplit(path).query) == {
        "fields": ["name,age"],
        "age[>=]": ["2"],
        "name": ["A&fields=secret"],
        "limit": ["5"],
    }
    assert headers["Authorization"] == "Bearer t0ken"


def test_more_rows_than_allowed_are_refused_whole(source: HttpSource) -> None:
    with pytest.raises(QueryRefused, match="more than 1 rows"):
        read(source, {}, rows_max=1)


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b"[1]", b'[{"age": 1}]', b'[{"name": 5}]', b"[" * 100_000, b'"\xff"'],
    ids=["html", "object", "number", "missing", "type", "nested", "encoding"],
)
def test_an_answer_of_another_form_is_misbehaviour(
    source: HttpSource, upstream: Upstream, body: bytes
) -> None:
    upstream.body = body
    with pytest.raises(SourceMisbehaved):
        read(source, {})


def test_an_endless_answer_is_cut_off(source: HttpSource, upstream: Upstream) -> None:
    upstream.body = b" " * 2_000_000
    with pytest.raises(SourceMisbehaved, match="bytes came"):
        read(source, {})


def test_a_compressed_answer_is_counted_as_it_unfolds(
    source: HttpSource, upstream: Upstream
) -> None:
    upstream.extra = {"Content-Encoding": "gzip"}
    upstream.body = gzip.compress(b" " * 2_000_000)
    with pytest.raises(SourceMisbehaved, match="bytes came"):
        read(source, {})


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, SourceUnavailable),
        (503, SourceUnavailable),
        (429, SourceUnavailable),
        (404, SourceMisbehaved),
        (204, SourceMisbehaved),
    ],
)
def test_a_status_tells_whose_turn_it_is(
    source: HttpSource, upstream: Upstream, status: int, error: type[Exception]
) -> None:
    upstream.status, upstream.body = status, b""
    with pytest.raises(error):
        read(source, {})


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_unavailability(
    source: HttpSource, upstream: Upstream, status: int
) -> None:
    upstream.status = status
    with pytest.raises(SourceUnavailable):
        read(source, {})


def test_a_redirect_is_not_followed(source: HttpSource, upstream: Upstream) -> None:
    upstream.status, upstream.extra = 302, {"Location": "/elsewhere"}
    with pytest.raises(SourceMisbehaved):
        read(source, {})
    assert len(upstream.asked) == 1


def test_a_source_that_does_not_answer_is_unavailable(
    source: HttpSource, upstream: Upstream
) -> None:
    upstream.held = threading.Event()
    with pytest.raises(SourceUnavailable):
        read(source, {}, timeout_s=0.2)


def test_a_source_that_is_down_is_unavailable() -> None:
    with closing(socket.socket()) as unheard:
        unheard.bind(("127.0.0.1", 0))
        found = HttpSource("people", url=f"http://127.0.0.1:{unheard.getsockname()[1]}/")
        with pytest.raises(SourceUnavailable):
            read(found, {})
        found.close()


def test_values_of_in_stay_apart(source: HttpSource, upstream: Upstream) -> None:
    read(source, {"where": {"name": {"in": ["a,b", "c"]}}})
    read(source, {"where": {"name": {"in": ["a", "b,c"]}}})
    assert upstream.asked[0][0] != upstream.asked[1][0]


@pytest.mark.parametrize(
    ("table", "hint"),
    [
        ({"kind": "sql", "dataset": "d", "url": "sqlite:///r.db", "tabel": "r"}, "table"),
        ({"kind": "sq", "dataset": "d"}, "none of sql"),
        ({"kind": "csv", "path": "r.csv"}, "dataset is missing"),
        ({"kind": "csv", "dataset": "d"}, "path is missing"),
        ({"kind": "csv", "dataset": "d", "path": "r.csv", "encoding": "utf-9"}, "utf-9"),
        ({"kind": "csv", "dataset": "d", "path": "r.csv", "skip_lines": "1"}, "not a int"),
        ({"kind": "sql", "dataset": "d", "url": "mysql://h/d", "table": "r"}, "mysql|MySQL"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, table: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigInvalid, match=hint):
        load_sources({"residents": table}, tmp_path)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken")
    (tmp_path / "token").chmod(0o644)
    table = {"kind": "http", "dataset": "d", "url": "https://h/", "token_file": "token"}
    with pytest.raises(ConfigInvalid, match="read by others"):
        load_sources({"people": table}, tmp_path)
    (tmp_path / "token").chmod(0o600)
    load_sources({"people": table}, tmp_path).close()


def test_a_dataset_has_one_source(tmp_path: Path) -> None:
    table = {"kind": "csv", "dataset": "d", "path": "r.csv"}
    with pytest.raises(ConfigInvalid, match="has a source already"):
        load_sources({"a": table, "b": table}, tmp_path)
    sources = load_sources({"a": table}, tmp_path)
    assert sources.for_dataset("d") is not None and sources.for_dataset("e") is None
    sources.close()
