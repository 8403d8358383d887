"""What auditors ask, in SQL over the tables of a ledger (`audit.tables`), answered by DuckDB.

A question is a query with named parameters. The database is made anew from the ledger, in memory
or in a file of its own; nothing is loaded or fetched.
"""

import csv
import errno
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from audit.tables import SCHEMA, Row, Tables

NO_LIMITS: Mapping[str, str] = {}


class Unanswerable(Exception):
    """A query that DuckDB refuses."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query. parameters: names of what a person has to give, each a value that is looked for.

    period: whether it is of what happened from $from_ms on and before $to_ms; else of what stands.
    listed: whether its answer is that of complete lists, which a proof can show (`audit.listed`).
    items: whether it is of single exchanges, of which a node's own tables (`audit.index`) have no
    rows.
    """

    meaning: str
    sql: str
    parameters: tuple[str, ...] = ()
    period: bool = False
    listed: bool = False
    items: bool = False


ALWAYS = (0, 2**62)
"""The period that has no end on either side, in milliseconds since 1970."""


QUESTIONS: dict[str, Question] = {
    "readers": Question(
        "Who read a dataset, when, under which grant, purpose and legal basis.",
        """SELECT g.consumer, grant_id, l.version, l.purpose, l.legal_basis, v.fields,
                  sum(l.exchanges)::BIGINT AS exchanges, sum(l.rows)::BIGINT AS rows,
                  min(l.time_ms) AS first_ms, max(l.time_ms) AS last_ms
           FROM receipt_lines l JOIN grants g USING (grant_id)
           JOIN grant_versions v USING (grant_id, version)
           WHERE g.dataset = $dataset AND l.time_ms >= $from_ms AND l.time_ms < $to_ms
           GROUP BY ALL ORDER BY first_ms, grant_id, l.version""",
        ("dataset",),
        period=True,
        listed=True,
    ),
    "field-readers": Question(
        "Who read a field of a dataset.",
        """SELECT g.consumer, grant_id, l.version, l.purpose, l.legal_basis, v.fields,
                  sum(l.exchanges)::BIGINT AS exchanges, sum(l.rows)::BIGINT AS rows,
                  min(l.time_ms) AS first_ms, max(l.time_ms) AS last_ms
           FROM receipt_lines l JOIN grants g USING (grant_id)
           JOIN grant_versions v USING (grant_id, version)
           WHERE g.dataset = $dataset AND l.time_ms >= $from_ms AND l.time_ms < $to_ms
             AND list_contains(string_split(v.fields, ','), $field)
           GROUP BY ALL ORDER BY first_ms, grant_id, l.version""",
        ("dataset", "field"),
        period=True,
        listed=True,
    ),
    "timeline": Question(
        "Every record about one grant, in the order of the ledger.",
        """SELECT r.height, r.time_ms, r.kind, r.department, r.actor, r.record_id
           FROM records r JOIN record_grants USING (record_id)
           WHERE grant_id = $grant AND r.time_ms >= $from_ms AND r.time_ms < $to_ms
           ORDER BY r.leaf_index""",
        ("grant",),
        period=True,
        listed=True,
    ),
    "exchanges": Question(
        "Each exchange under one grant: receipt, acknowledgement, key, void, and how it ended.",
        """SELECT *, CASE WHEN void_ms IS NOT NULL AND sealed AND key_ms IS NULL
                              AND acknowledged_ms IS NOT NULL THEN 'voided, key withheld'
                         WHEN void_ms IS NOT NULL THEN 'voided'
                         WHEN acknowledged_ms IS NULL THEN 'not acknowledged'
                         WHEN sealed AND key_ms IS NULL THEN 'no key'
                         ELSE 'complete' END AS ended
           FROM (SELECT exchange_id, r.sealed, r.rows, r.size_bytes, r.time_ms AS receipt_ms,
                   min(h.time_ms) FILTER (WHERE half = 'acknowledgement') AS acknowledged_ms,
                   min(h.time_ms) FILTER (WHERE half = 'key') AS key_ms,
                   min(h.time_ms) FILTER (WHERE half = 'void') AS void_ms,
                   min(h.delivered_bytes) AS delivered_bytes,
                   min(h.code) FILTER (WHERE half = 'void') AS void_reason
                 FROM receipts r LEFT JOIN halves h USING (exchange_id)
                 WHERE r.grant_id = $grant AND r.time_ms >= $from_ms AND r.time_ms < $to_ms
                 GROUP BY ALL) ORDER BY receipt_ms, exchange_id""",
        ("grant",),
        period=True,
        items=True,
    ),
    "activity": Question(
        "Everything that one department did.",
        """SELECT height, time_ms, kind, actor, record_id FROM records
           WHERE department = $department AND time_ms >= $from_ms AND time_ms < $to_ms
           ORDER BY leaf_index""",
        ("department",),
        period=True,
    ),
    "official": Question(
        "Everything under one pseudonymous name.",
        """SELECT height, time_ms, kind, department, record_id FROM records
           WHERE actor = $actor AND time_ms >= $from_ms AND time_ms < $to_ms ORDER BY leaf_index""",
        ("actor",),
        period=True,
    ),
    "unused": Question(
        "Grants that are approved and were never used.",
        """SELECT grant_id, consumer, dataset, purpose, decided_ms, valid_until_ms FROM grants
           WHERE status = 'approved' AND exchanges = 0 ORDER BY decided_ms, grant_id""",
    ),
    "over-used": Question(
        "Grants with a limit of which four fifths or more are used.",
        """SELECT grant_id, consumer, dataset, exchanges, exchanges_max, rows, rows_max FROM grants
           WHERE (exchanges_max > 0 AND 5 * exchanges >= 4 * exchanges_max)
              OR (rows_max > 0 AND 5 * rows >= 4 * rows_max) ORDER BY grant_id""",
    ),
    "expiring": Question(
        "Approved grants that end within so many days of the ledger's time.",
        """SELECT grant_id, consumer, dataset, purpose, valid_until_ms FROM grants
           WHERE status = 'approved' AND valid_until_ms > getvariable('now_ms')
             AND valid_until_ms <= getvariable('now_ms') + 86400000 * CAST($days AS BIGINT)
           ORDER BY valid_until_ms, grant_id""",
        ("days",),
    ),
    "refused": Question(
        "Attempts that were refused: denied exchanges, and grants that were not given.",
        """SELECT time_ms, 'exchange' AS what, consumer, code AS why,
                  sum(count)::BIGINT AS attempts, grant_id
           FROM halves WHERE half = 'denial' AND time_ms >= $from_ms AND time_ms < $to_ms
           GROUP BY ALL
           UNION ALL SELECT time_ms, 'grant', consumer, 'refused', 1, grant_id
           FROM (SELECT *, decided_ms AS time_ms FROM grants WHERE status = 'refused')
           WHERE time_ms >= $from_ms AND time_ms < $to_ms ORDER BY time_ms, grant_id, why""",
        period=True,
    ),
    "emergencies": Question(
        "Grants that began as an emergency, and what was read under them.",
        """SELECT grant_id, consumer, dataset, status, requested_ms, exchanges, rows
           FROM (SELECT *, requested_ms AS time_ms FROM grants WHERE emergency)
           WHERE time_ms >= $from_ms AND time_ms < $to_ms ORDER BY requested_ms, grant_id""",
        period=True,
        listed=True,
    ),
    "membership": Question(
        "Changes of members, nodes, voters, settings and keys.",
        """SELECT height, time_ms, kind, department, actor, record_id FROM records
           WHERE (kind LIKE 'consortium.%' OR kind LIKE 'key.%')
             AND time_ms >= $from_ms AND time_ms < $to_ms
           ORDER BY leaf_index""",
        period=True,
    ),
}
"""By name, as `concordat audit ask` takes them."""

NAMED: dict[str, str] = {
    "dataset": "SELECT 1 FROM datasets WHERE dataset = $dataset",
    "field": """SELECT 1 FROM grants g JOIN grant_versions v USING (grant_id)
                WHERE g.dataset = $dataset AND list_contains(string_split(v.fields, ','), $field)
                UNION ALL SELECT 1 FROM datasets
                WHERE dataset = $dataset AND list_contains(string_split(fields, ','), $field)""",
    "grant": "SELECT 1 FROM grants WHERE grant_id = $grant",
    "department": "SELECT 1 FROM departments WHERE department = $department",
    "actor": "SELECT 1 FROM records WHERE actor = $actor",
}
"""How to find what a parameter names: of what is not in the ledger, no rows would say too much."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and rows of an answer."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Database:
    """The tables of one ledger. Use as a context manager; one thread at a time."""

    def __init__(
        self,
        tables: Tables | None = None,
        *,
        path: Path | None = None,
        limits: Mapping[str, str] = NO_LIMITS,
    ) -> None:
        """path: of a file to be made, if not in memory. limits: DuckDB's "memory_limit" and
        "threads"."""
        self._db = duckdb.connect(
            ":memory:" if path is None else path,
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                **limits,
            },
        )
        for name, columns in SCHEMA.items():
            listed = ", ".join(f'"{column}" {form}' for column, form, _ in columns)
            self._db.execute(f"CREATE TABLE {name} ({listed})")
        if tables is not None:
            self.add(tables.rows)
            self.set_time(tables.time_ms)

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the memory."""
        self._db.close()

    def set_time(self, time_ms: int) -> None:
        """The ledger's time, for questions of what is soon."""
        self._db.execute(f"SET VARIABLE now_ms = {time_ms}")

    def empty(self, table: str) -> None:
        """Takes all rows of a table away."""
        self._db.execute(f"TRUNCATE {table}")

    def add(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Adds rows to tables. Raises Unanswerable if they are too many."""
        options = "HEADER false, NULLSTR '\\N', AUTO_DETECT false, QUOTE '\"'"
        with tempfile.TemporaryDirectory(prefix="concordat-audit-") as folder:
            for name in SCHEMA:
                if not rows.get(name):
                    continue
                path = Path(folder) / f"{name}.csv"
                with path.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows(
                        ["\\N" if value is None else value for value in row] for row in rows[name]
                    )
                try:
                    self._db.execute(f"COPY {name} FROM '{path}' ({options})")
                except duckdb.Error as error:
                    raise Unanswerable(str(error)) from None

    def ask(self, sql: str, parameters: Mapping[str, str | int] | None = None) -> Answer:
        """A query's answer. Raises Unanswerable with DuckDB's words."""
        try:
            self._check_one(sql)
            found = self._db.execute(sql, parameters or {})
            columns = tuple(column[0] for column in found.description or ())
            return Answer(columns, found.fetchall())
        except duckdb.Error as error:
            raise Unanswerable(str(error)) from None

    def check_named(self, parameters: Mapping[str, str | int]) -> None:
        """Everything that a question is about is in the ledger. Raises Unanswerable."""
        for name, sql in NAMED.items():
            if name in parameters:
                wanted = {key: value for key, value in parameters.items() if f"${key}" in sql}
                if not self.ask(sql, wanted).rows:
                    raise Unanswerable(f"there is no {name} {parameters[name]} in this ledger")

    def seal(self, output: Path | None = None) -> None:
        """From now on no query reads or writes a file, but an answer saved in `output`."""
        paths = [] if output is None else [_quoted(str(output))]
        self._db.execute(f"SET allowed_paths = [{', '.join(paths)}]")
        self._db.execute("SET enable_external_access = false")

    def _check_one(self, sql: str) -> None:
        if len(self._db.extract_statements(sql)) != 1:
            raise Unanswerable("a query is one statement of SQL")

    def save_answer(
        self,
        sql: str,
        path: Path,
        *,
        parameters: Mapping[str, str | int],
        stated: Mapping[str, str],
    ) -> None:
        """A query's answer as a Parquet file; stated: its metadata. Raises OSError or
        Unanswerable."""
        said = ", ".join(f"{name}: {_quoted(value)}" for name, value in stated.items())
        try:
            self._check_one(sql)
            found = self._db.sql(sql, params=dict(parameters))
            if found is None:
                raise Unanswerable("this statement has no rows to save")
            found.create("answer")
            self._db.execute(
                f"COPY answer TO {_quoted(str(path))} (FORMAT parquet, KV_METADATA {{{said}}})"
            )
            self._db.execute("DROP TABLE answer")
        except duckdb.IOException as error:
            raise OSError(errno.EIO, str(error).partition("\n")[0], str(path)) from None
        except duckdb.Error as error:
            raise Unanswerable(str(error)) from None

    def save(self, folder: Path) -> None:
        """Every table as a Parquet file."""
        folder.mkdir(parents=True)
        for name in SCHEMA:
            self._db.execute(
                f"COPY {name} TO {_quoted(f'{folder / name}.parquet')} (FORMAT parquet)"
            )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
