"""What auditors ask, in SQL over the tables of a ledger (`audit.tables`), answered by DuckDB.

A question is a query with named parameters. The database is in memory and made anew from the
ledger; nothing is loaded or fetched.
"""

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from audit.tables import SCHEMA, Tables


class Unanswerable(Exception):
    """A query that DuckDB refuses."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query. parameters: names that a person has to give, each a column's value."""

    meaning: str
    sql: str
    parameters: tuple[str, ...] = ()


QUESTIONS: dict[str, Question] = {
    "readers": Question(
        "Who read a dataset, when, under which grant, purpose and legal basis.",
        """SELECT g.consumer, grant_id, l.version, l.purpose, l.legal_basis, v.fields,
                  sum(l.exchanges)::BIGINT AS exchanges, sum(l.rows)::BIGINT AS rows,
                  min(l.time_ms) AS first_ms, max(l.time_ms) AS last_ms
           FROM receipt_lines l JOIN grants g USING (grant_id)
           JOIN grant_versions v USING (grant_id, version) WHERE g.dataset = $dataset
           GROUP BY ALL ORDER BY first_ms, grant_id, l.version""",
        ("dataset",),
    ),
    "field-readers": Question(
        "Who read a field of a dataset.",
        """SELECT g.consumer, grant_id, l.version, l.purpose, l.legal_basis,
                  sum(l.exchanges)::BIGINT AS exchanges, sum(l.rows)::BIGINT AS rows,
                  min(l.time_ms) AS first_ms, max(l.time_ms) AS last_ms
           FROM receipt_lines l JOIN grants g USING (grant_id)
           JOIN grant_versions v USING (grant_id, version)
           WHERE g.dataset = $dataset AND list_contains(string_split(v.fields, ','), $field)
           GROUP BY ALL ORDER BY first_ms, grant_id, l.version""",
        ("dataset", "field"),
    ),
    "timeline": Question(
        "Every record about one grant, in the order of the ledger.",
        """SELECT r.height, r.time_ms, r.kind, r.department, r.actor, r.record_id
           FROM records r JOIN record_grants USING (record_id) WHERE grant_id = $grant
           ORDER BY r.leaf_index""",
        ("grant",),
    ),
    "activity": Question(
        "Everything that one department did.",
        """SELECT height, time_ms, kind, actor, record_id FROM records
           WHERE department = $department ORDER BY leaf_index""",
        ("department",),
    ),
    "official": Question(
        "Everything under one pseudonymous name.",
        """SELECT height, time_ms, kind, department, record_id FROM records
           WHERE actor = $actor ORDER BY leaf_index""",
        ("actor",),
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
           FROM halves WHERE half = 'denial' GROUP BY ALL
           UNION ALL SELECT decided_ms, 'grant', consumer, 'refused', 1, grant_id
           FROM grants WHERE status = 'refused' ORDER BY time_ms, grant_id""",
    ),
    "emergencies": Question(
        "Grants that began as an emergency, and what was read under them.",
        """SELECT grant_id, consumer, dataset, status, requested_ms, exchanges, rows FROM grants
           WHERE emergency ORDER BY requested_ms, grant_id""",
    ),
    "membership": Question(
        "Changes of members, nodes, voters, settings and keys.",
        """SELECT height, time_ms, kind, department, actor, record_id FROM records
           WHERE kind LIKE 'consortium.%' OR kind LIKE 'key.%' ORDER BY leaf_index""",
    ),
}
"""By name, as `concordat audit ask` takes them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and rows of an answer."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Database:
    """The tables of one ledger. Use as a context manager."""

    def __init__(self, tables: Tables) -> None:
        self._db = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            }
        )
        self._db.execute(f"SET VARIABLE now_ms = {tables.time_ms}")
        with tempfile.TemporaryDirectory(prefix="concordat-audit-") as folder:
            for name, columns in SCHEMA.items():
                listed = ", ".join(f'"{column}" {form}' for column, form, _ in columns)
                self._db.execute(f"CREATE TABLE {name} ({listed})")
                path = Path(folder) / f"{name}.csv"
                with path.open("w", newline="", encoding="utf-8") as file:
                    writer = csv.writer(file)
                    writer.writerows(
                        ["\\N" if value is None else value for value in row]
                        for row in tables.rows[name]
                    )
                if tables.rows[name]:
                    options = "HEADER false, NULLSTR '\\N', AUTO_DETECT false, QUOTE '\"'"
                    self._db.execute(f"COPY {name} FROM '{path}' ({options})")

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def ask(self, sql: str, parameters: dict[str, str] | None = None) -> Answer:
        """A query's answer. Raises Unanswerable with DuckDB's words."""
        try:
            found = self._db.execute(sql, parameters or {})
            columns = tuple(column[0] for column in found.description or ())
            return Answer(columns, found.fetchall())
        except duckdb.Error as error:
            raise Unanswerable(str(error)) from None

    def save(self, folder: Path) -> None:
        """Every table as a Parquet file."""
        folder.mkdir(parents=True)
        for name in SCHEMA:
            self._db.execute(f"COPY {name} TO '{folder / name}.parquet' (FORMAT parquet)")
