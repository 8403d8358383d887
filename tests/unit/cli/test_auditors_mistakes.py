"""What an auditor can get wrong, and what stands in her way: it ends in words, never in a trace."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from attacks.world import World, make_world
from branches import write_store
from builders import Consortium
from click.testing import CliRunner, Result

from cli.main import main

STATUS = {"/401": 401, "/403": 403, "/404": 404, "/503": 503}


class Refusing(BaseHTTPRequestHandler):
    """Answers every question with the status that its address begins with."""

    def do_GET(self) -> None:
        self.send_response(STATUS[self.path[:4]])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Case:
    """A ledger on disk with its genesis, and files that a person may take for another."""

    def __init__(self, folder: Path, world: World) -> None:
        self.folder = folder
        self.world = world
        self.data = str(write_store(world.branch, folder / "data"))
        self.genesis = self._file("genesis.json", world.branch.genesis.to_json())
        other = Consortium(settings=(("record-skew-ms", 1_000),)).genesis_file
        self.other_genesis = self._file("other.json", other.to_json())
        self.prove("voters", self.data, "voters.json")
        self.prove("grant", world.used.hex(), self.data, "proof.json")
        whole = (folder / "proof.json").read_bytes()
        self.truncated = self._file("truncated.json", whole[: len(whole) // 2])
        self.empty = self._file("empty.json", b"")

    def _file(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def prove(self, *words: str) -> None:
        made = self.audit("prove", *words[:-1], "-o", str(self.folder / words[-1]))
        assert made.exit_code == 0, made.output

    def audit(self, *words: str, genesis: str | None = None) -> Result:
        trusted = ["--genesis", genesis or self.genesis]
        return CliRunner().invoke(main, ["audit", *words, *trusted])

    def path(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("mistakes"), make_world())


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """A web server that refuses everything, in the way that its address says."""
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def told(done: Result, words: str, remedy: str, *, exit_code: int = 1) -> None:
    """The command ended with these words, and says what to do; nothing was raised through it."""
    assert done.exit_code == exit_code, done.output
    assert isinstance(done.exception, SystemExit)
    said = " ".join(done.output.split())
    assert words in said and f"what to do: {remedy}" in said, done.output


def test_files_that_are_no_proof_are_told_from_each_other(case: Case) -> None:
    again = "It was damaged on its way or made by other software: ask for the file again."
    told(case.audit("check", case.path("voters.json")), "it is a voter chain", "Give it with --vo")
    told(case.audit("check", case.genesis), "it is a genesis file", "Give it with --genesis")
    told(case.audit("check", case.truncated), "proof file: Input data was truncated", again)
    told(case.audit("check", case.empty), "proof file: Input data was truncated", again)
    proof = case.path("proof.json")
    told(case.audit("check", proof, "--voters", proof), "voter chain: Invalid enum", again)
    told(case.audit("check", proof, genesis=proof), "genesis file: ", "It was damaged")
    told(
        case.audit("check", proof, genesis=case.other_genesis),
        "it is about another ledger than this genesis'",
        "Give the genesis of the ledger that it is about; compare the fingerprint.",
    )


@pytest.mark.parametrize("name", ["none.json", "data"])
def test_a_file_that_is_missing_or_a_folder_is_wrong_usage(case: Case, name: str) -> None:
    for words in (["check", case.path(name)], ["check", case.genesis, "--voters", case.path(name)]):
        assert case.audit(*words).exit_code == 2
    assert case.audit("check", case.genesis, genesis=case.path(name)).exit_code == 2


READERS = ("--dataset", "health/vaccinations")

COMMANDS = (
    ["verify", "TARGET", "--forget"],
    ["prove", "datasets", "health", "TARGET", "-o", "never"],
    ["export", "TARGET", "-o", "never"],
    ["blame", "TARGET"],
    ["clocks", "TARGET"],
    ["emergencies", "TARGET"],
    ["policies", "TARGET"],
    ["ask", "unused", "TARGET"],
    ["sql", "SELECT 1", "TARGET"],
    ["tables", "TARGET", "-o", "never"],
    ["graph", "cycles", "TARGET"],
    ["gaps", "TARGET"],
    ["compare", "TARGET", "TARGET"],
    ["consistency", "1", "2", "TARGET"],
)
"""Every command that reads a ledger."""


def reading(words: list[str], target: str, case: Case) -> Result:
    """A command that reads `target`."""
    trusted = [] if words[0] in ("gaps", "compare", "consistency") else ["--genesis", case.genesis]
    named = [target if word == "TARGET" else word for word in words]
    return CliRunner().invoke(main, ["audit", *named, *trusted, "--token", "t"])


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_says_what_a_target_is_that_it_cannot_read(
    words: list[str], case: Case, tmp_path: Path
) -> None:
    name = "Name the directory of a stopped node or a copy"
    single = words[0] not in ("blame", "compare")
    missing = f"{tmp_path / 'none'} is not there" if single else "cannot be read"
    told(reading(words, str(tmp_path / "none"), case), missing, name)


@pytest.mark.parametrize("words", COMMANDS[1:], ids=lambda words: words[0])
def test_part_of_an_export_is_said_to_be_one_and_not_read_as_a_shorter_ledger(
    words: list[str], case: Case, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    assert case.audit("export", case.data, "-o", str(part)).exit_code == 0
    bundle = next(path for path in (part / "tile" / "entries").rglob("*") if path.is_file())
    whole = bundle.read_bytes()
    again = "Fetch the folder again"
    bundle.write_bytes(whole[: len(whole) // 2])
    told(reading(words, str(part), case), "it ends within entry", again)
    bundle.unlink()
    told(reading(words, str(part), case), "is incomplete: it lacks tile/entries/", again)
    done = reading(COMMANDS[0], str(part), case)
    assert done.exit_code == 1 and "is incomplete: it lacks tile/entries/" in done.output


@pytest.mark.parametrize("words", COMMANDS[:1] + COMMANDS[-2:-1], ids=lambda words: words[0])
def test_what_a_node_refuses_is_said_with_the_reason(
    words: list[str], case: Case, node: str
) -> None:
    name = "Name the directory of a stopped node or a copy"
    told(reading(words, case.folder.parent.as_posix(), case), "is no data directory", name)
    nobody = "http://127.0.0.1:1"
    told(
        reading(words, nobody, case),
        f"{nobody} cannot be reached",
        "Is the node running, and the address right?",
        exit_code=3,
    )
    told(reading(words, f"{node}/401", case), "status 401", "Give a token of this very node")
    told(reading(words, f"{node}/403", case), "may not read the whole", "Ask for one of an auditor")
    told(reading(words, f"{node}/404", case), "status 404", "Is this a node's URL?")
    told(reading(words, f"{node}/503", case), "status 503", "See `/readyz` of the node")
    told(reading(words, "http://[::", case), "Invalid port", "Write http://HOST:PORT")


def test_a_node_without_a_token_and_a_tokens_file_that_is_missing_are_said(case: Case) -> None:
    told(case.audit("verify", "http://127.0.0.1:1"), "asks for an auditor's token", "Give --token")
    done = case.audit("verify", "http://127.0.0.1:1", "--token", f"@{case.path('none')}")
    told(done, f"the token's file {case.path('none')} cannot be read", "Check the path.")


def test_another_ledgers_genesis_is_refused_by_every_command_that_trusts_one(case: Case) -> None:
    other = case.other_genesis
    done = case.audit("verify", case.data, "--forget", genesis=other)
    assert done.exit_code == 1 and "FOUND other-ledger" in done.output
    done = case.audit("prove", "voters", case.data, "-o", "never", genesis=other)
    told(done, "the store is not this genesis' ledger", "Give the ledger's genesis.")
    for words in (["ask", "unused"], ["sql", "SELECT 1"]):
        done = case.audit(*words, case.data, genesis=other)
        assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.output


def test_a_folder_that_nobody_may_read_is_said_to_be_so(case: Case, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    write_store(case.world.branch, closed)
    closed.chmod(0)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65_534)
        done = CliRunner().invoke(main, ["audit", "gaps", str(closed)])
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o700)
    told(done, "Permission denied", "Check the path, who may read and write there")


def test_a_full_disk_is_said_and_leaves_no_part_of_a_file(case: Case, tmp_path: Path) -> None:
    proof = tmp_path / "proof.json"
    making = [sys.executable, "-c", FULL_DISK, *("audit", "prove", "datasets", "health", case.data)]
    done = subprocess.run(
        [*making, "--genesis", case.genesis, "-o", str(proof)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1 and f"cannot write {proof}: File too large" in done.stderr
    assert "the space that is left" in done.stderr and not proof.exists()


FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import cli.proofs
write = cli.proofs.write_new
def limited(path, data):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    write(path, data)
cli.proofs.write_new = limited
from cli.main import main
main()
"""
"""A command whose process may write a file of 100 bytes at most, from its output on."""


def test_what_cannot_be_written_is_said_and_what_is_there_is_kept(case: Case) -> None:
    below_a_file = f"{case.genesis}/x"
    for words in (
        ["tables", case.data, "-o", below_a_file],
        ["export", case.data, "-o", below_a_file],
        ["prove", "voters", case.data, "-o", below_a_file],
        ["graph", "draw", case.data, "-o", f"{below_a_file}.svg"],
        ["ask", "readers", case.data, *READERS, "--proof", below_a_file],
        ["ask", "unused", case.data, "--as", "parquet", "-o", below_a_file],
        ["verify", case.data, "--memory", below_a_file],
        ["verify", case.data, "--forget", "--resume", below_a_file],
    ):
        done = case.audit(*words)
        assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.output
        assert "what to do: " in done.output
    for words in (
        ["prove", "voters", case.data, "-o", case.genesis],
        ["graph", "draw", case.data, "-o", case.path("proof.json")],
        ["export", case.data, "-o", case.data],
        ["ask", "readers", case.data, *READERS, "--proof", case.data],
    ):
        assert case.audit(*words).exit_code in (1, 2)
    assert Path(case.genesis).read_bytes() == case.world.branch.genesis.to_json()


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (["readers", "--dataset", "health/vacinations"], "dataset health/vacinations"),
        (["field-readers", "--dataset", "health/vaccinations", "--field", "nam"], "field nam"),
        (["timeline", "--grant", "00" * 32], f"grant {'00' * 32}"),
        (["activity", "--department", "helth"], "department helth"),
        (["official", "--actor", "nobody"], "actor nobody"),
    ],
)
def test_a_question_about_something_misspelled_is_not_answered_with_nothing(
    case: Case, words: list[str], missing: str
) -> None:
    done = case.audit("ask", words[0], case.data, *words[1:], "--as", "csv")
    told(done, f"there is no {missing} in this ledger", "Check what was given")


def test_days_that_are_no_number_are_wrong_usage(case: Case) -> None:
    assert case.audit("ask", "expiring", case.data, "--days", "soon").exit_code == 2


@pytest.mark.parametrize(
    "query", ["", " -- nothing", "SELECT 1; SELECT 2", "SELECT", "DROP grants"]
)
def test_a_query_is_one_statement(case: Case, query: str, tmp_path: Path) -> None:
    done = case.audit("sql", query, case.data)
    assert done.exit_code == 1 and "what to do: Check what was given" in done.output
    output = str(tmp_path / "answer.parquet")
    done = case.audit("sql", query, case.data, "--as", "parquet", "-o", output)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit)


def test_a_query_reads_and_writes_no_file(case: Case, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    written = tmp_path / "written.csv"
    for query in (
        f"SELECT * FROM read_csv('{secret}')",
        f"COPY grants TO '{written}'",
        f"ATTACH '{tmp_path / 'other.duckdb'}'",
        "SET enable_external_access = true",
        f"EXPORT DATABASE '{tmp_path / 'all'}'",
    ):
        done = case.audit("sql", query, case.data)
        assert done.exit_code == 1 and "what to do: Check what was given" in done.output
    output = str(tmp_path / "answer.parquet")
    done = case.audit(
        "sql", f"FROM read_csv('{secret}')", case.data, "--as", "parquet", "-o", output
    )
    assert done.exit_code == 1 and "Permission Error" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_whatever_a_query_answers_has_a_json_form(case: Case) -> None:
    query = (
        "SELECT 1.5::DECIMAL(4, 2) AS amount, DATE '2026-11-24' AS day, 'NaN'::DOUBLE AS none, "
        "'x'::BLOB AS data, [1, 2] AS several, map([DATE '2026-11-24'], [2]) AS by_day"
    )
    done = case.audit("sql", query, case.data, "--as", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"] == [
        {
            "amount": "1.50",
            "day": "2026-11-24",
            "none": "nan",
            "data": "78",
            "several": [1, 2],
            "by_day": {"2026-11-24": 2},
        }
    ]
