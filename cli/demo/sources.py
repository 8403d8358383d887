"""The departments' own data: synthetic people from a seed, a timetable, real airports."""

import csv
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

PEOPLE = 2_000
SEED = 20_261_123

_GIVEN = ("Ada", "Bo", "Chen", "Dai", "Eva", "Fang", "Guo", "Hana", "Ivo", "Jun", "Kai", "Lin")
_FAMILY = ("Abbas", "Bai", "Cui", "Diaz", "Etxe", "Feng", "Gao", "Huber", "Ito", "Jiang", "Kova")
_VACCINES = ("measles", "polio", "tetanus", "influenza")


@dataclass(frozen=True, slots=True)
class Person:
    """A clearly synthetic citizen."""

    id_number: str
    name: str
    born: str
    address: str
    registered: bool


def people() -> list[Person]:
    """The same people each time."""
    dice = random.Random(SEED)  # noqa: S311 - synthetic data, the same for everyone
    return [
        Person(
            id_number=f"SYN-{number:06d}",
            name=f"{dice.choice(_GIVEN)} {dice.choice(_FAMILY)}",
            born=(date(1930, 1, 1) + timedelta(days=dice.randrange(33_000))).isoformat(),
            address=f"{dice.randrange(1, 200)} Example Street",
            registered=dice.random() < 0.95,
        )
        for number in range(PEOPLE)
    ]


def make_residents(path: Path) -> None:
    """Civil affairs' registry: SQLite."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE residents (id_number TEXT PRIMARY KEY, name TEXT, born TEXT,"
            " address TEXT, registered INTEGER)"
        )
        database.executemany(
            "INSERT INTO residents VALUES (?, ?, ?, ?, ?)",
            [(p.id_number, p.name, p.born, p.address, int(p.registered)) for p in people()],
        )


def vaccinations() -> Iterator[tuple[str, str, str]]:
    """Health's register: person, vaccine, date."""
    dice = random.Random(SEED + 1)  # noqa: S311 - synthetic data, the same for everyone
    for person in people():
        for vaccine in dice.sample(_VACCINES, dice.randrange(4)):
            day = date(2015, 1, 1) + timedelta(days=dice.randrange(4_000))
            yield person.id_number, vaccine, day.isoformat()


def make_vaccinations(path: Path) -> None:
    """The same register in SQLite, where PostgreSQL is not installed."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE vaccinations (id_number TEXT, vaccine TEXT, given_on TEXT)")
        database.executemany("INSERT INTO vaccinations VALUES (?, ?, ?)", vaccinations())


def make_tenancies(path: Path) -> None:
    """Housing's list of social tenancies: CSV, semicolons, as such lists come."""
    dice = random.Random(SEED + 2)  # noqa: S311 - synthetic data, the same for everyone
    with path.open("w", encoding="iso-8859-15", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["ID_NO", "FLAT", "SINCE"])
        for person in people()[::7]:
            since = date(2000, 1, 1) + timedelta(days=dice.randrange(9_000))
            writer.writerow([person.id_number, f"Wohnung {dice.randrange(1, 900)}", since])


def make_airports(path: Path) -> int:
    """Tourism's reference data: the real airports of the package `airportsdata`, as Parquet."""
    import airportsdata
    import duckdb

    airports = airportsdata.load("IATA")
    rows = [
        (code, entry["name"], entry["city"], entry["country"])
        for code, entry in sorted(airports.items())
    ]
    with duckdb.connect(":memory:") as database:
        database.execute("CREATE TABLE airports (iata TEXT, name TEXT, city TEXT, country TEXT)")
        database.executemany("INSERT INTO airports VALUES (?, ?, ?, ?)", rows)
        database.execute(f"COPY airports TO '{path}' (FORMAT parquet)")
    return len(rows)


class Postgres:
    """A PostgreSQL server of our own in a folder, where one is installed."""

    def __init__(self, folder: Path, port: int) -> None:
        """Makes the cluster, starts it and fills it; the gateway's role reads three columns."""
        self._folder = folder
        self._bin = _postgres_bin()
        assert self._bin is not None, "ask `postgres_fits` first"
        self._port = port
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = folder / "pg"
        self._run("initdb", "-D", str(data), "-U", "owner", "-A", "trust", "-E", "UTF8")
        options = (
            f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        )
        self._run(
            "pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start"
        )
        rows = "\n".join("\t".join(row) for row in vaccinations())
        self._sql(
            "CREATE TABLE vaccinations (id_number text, vaccine text, given_on date);\n"
            f"COPY vaccinations FROM stdin;\n{rows}\n\\.\n"
            "CREATE ROLE gateway LOGIN;\n"
            "GRANT SELECT (id_number, vaccine, given_on) ON vaccinations TO gateway;\n"
        )

    @property
    def url(self) -> str:
        """For the gateway."""
        return f"postgresql://gateway@127.0.0.1:{self._port}/postgres"

    @property
    def pid(self) -> int:
        """The server's process, as it wrote it down itself."""
        written = (self._folder / "pg" / "postmaster.pid").read_text(encoding="ascii")
        return int(written.split("\n")[0])

    def stop(self) -> None:
        """Stops the server."""
        self._run("pg_ctl", "-D", str(self._folder / "pg"), "-m", "immediate", "stop")

    def _sql(self, script: str) -> None:
        self._run(
            "psql",
            *("-h", "127.0.0.1", "-p", str(self._port), "-U", "owner", "-q", "postgres"),
            text=script,
        )

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        assert self._bin is not None
        command = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:
            command = [
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                *command,
            ]
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, input=text, text=True, capture_output=True, cwd=self._folder, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.strip()[-500:]}")


def postgres_fits(folder: Path) -> bool:
    """Whether a PostgreSQL server is installed and its user can reach `folder`."""
    reachable = os.geteuid() != 0 or all(
        parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)
    )
    return reachable and _postgres_bin() is not None


def _postgres_bin() -> Path | None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return None
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent
