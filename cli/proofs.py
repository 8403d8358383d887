"""`concordat audit prove` and `concordat audit check`: stand-alone proof files."""

import re
from pathlib import Path
from typing import Any

import click

from audit.evidence import EVIDENCE_START, Convicted, check_evidence
from audit.proofs.build import Prover, Unprovable
from audit.proofs.check import Proved, check_proof, check_tlog_proof, moment
from audit.proofs.format import KINDS, PROOF_BYTES_MAX, ProofRefused
from audit.proofs.trust import Trust
from audit.sources.opening import open_ledger
from audit.sources.replayed import ReplayedSource
from audit.verify import Unreadable
from cli.client import node_options
from cli.show import Failure, JsonOption, console, emit_json, unreadable
from ledger.errors import LedgerError
from ledger.genesis import GenesisFile, parse_genesis_file
from ledger.signatures import self_test
from ledger.tlog_proofs import FIRST_LINE

ExistingFile = click.Path(path_type=Path, dir_okay=False, exists=True)

GenesisOption = click.option(
    "--genesis",
    "genesis_path",
    required=True,
    type=ExistingFile,
    help="The genesis file: the only thing that is trusted.",
)

_SHAPES = {
    "record": ("RECORD_ID",),
    "receipt": ("EXCHANGE_ID",),
    "grant": ("GRANT_ID",),
    "absence": ("CONSUMER", "PUBLISHER/DATASET"),
    "receipts": ("GRANT_ID",),
    "grants": ("PUBLISHER/DATASET",),
    "datasets": ("DEPARTMENT",),
    "timeline": ("GRANT_ID",),
    "emergencies": (),
    "voters": (),
}

VotersOption = click.option(
    "--voters",
    "voters_path",
    type=ExistingFile,
    help="The ledger's voter chain, once its voters have changed.",
)


@click.command()
@click.argument("kind", type=click.Choice((*KINDS, "voters")))
@click.argument("arguments", nargs=-1)
@click.argument("target")
@GenesisOption
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; nothing is overwritten.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(("json", "tlog-proof")),
    default="json",
    help="json, or for a record C2SP's tlog-proof.",
)
@node_options
def prove(
    kind: str,
    arguments: tuple[str, ...],
    target: str,
    genesis_path: Path,
    output: Path,
    form: str,
    url: str,
    token: str | None,
) -> None:
    """Prove one statement about the ledger in TARGET, in a file for `audit check`.

    TARGET is a stopped node's data directory or a copy; or an export or a running node's URL, whose
    ledger is executed again here first. The proof is as of the newest certificate.

    \b
    KIND and ARGUMENTS:
      record RECORD_ID                     the record is in the ledger
      receipt EXCHANGE_ID                  the exchange has this receipt
      grant GRANT_ID                       what the grant says and what became of it
      absence CONSUMER PUBLISHER/DATASET   no grant lets CONSUMER read it
      receipts GRANT_ID                    all receipts under the grant
      grants PUBLISHER/DATASET             all grants on the dataset
      datasets DEPARTMENT                  all datasets of the department
      timeline GRANT_ID                    all records about the grant
      emergencies                          all grants that began as an emergency
      voters                               who has voted since genesis; many proofs share this file
    """
    del url
    shape = _SHAPES[kind]
    if len(arguments) != len(shape):
        raise click.UsageError(f"{kind} takes {' '.join(shape)}, then TARGET")
    if form == "tlog-proof" and kind != "record":
        raise click.UsageError("a tlog-proof shows a record; take json for other statements")
    if output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")
    self_test()
    genesis = read_genesis(genesis_path)
    try:
        with open_ledger(target, token) as source:
            ready = source if source.whole else ReplayedSource(genesis, source)
            prover = Prover(genesis, ready)
            data = _made(prover, kind if form == "json" else form, arguments)
    except Unprovable as error:
        raise Failure(str(error), error.remedy) from None
    except Unreadable as error:
        raise unreadable(error) from None
    write_new(output, data)
    height = prover.certificate.height
    console.print(f"{output}: {len(data)} bytes, as of height {height}", markup=False)


def _made(prover: Prover, kind: str, arguments: tuple[str, ...]) -> bytes:
    if kind == "voters":
        return prover.voters()
    if kind == "emergencies":
        return prover.emergencies()
    if kind == "absence":
        return prover.absence(_name(arguments[0]), *_dataset_name(arguments[1]))
    if kind == "grants":
        return prover.grants(*_dataset_name(arguments[0]))
    if kind == "datasets":
        return prover.datasets(_name(arguments[0]))
    text = arguments[0].lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Failure(f"{arguments[0]} is no id", "An id has 64 hexadecimal digits.")
    make = {
        "record": prover.record,
        "tlog-proof": prover.tlog_proof,
        "receipt": prover.receipt,
        "grant": prover.grant,
        "receipts": prover.receipts,
        "timeline": prover.timeline,
    }[kind]
    return make(bytes.fromhex(text))


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", text):
        raise Failure(f"{text} is no short name", "Short names are like housing or civil-affairs.")
    return text


def _dataset_name(text: str) -> tuple[str, str]:
    publisher, slash, dataset = text.partition("/")
    if not slash:
        raise Failure(f"{text} names no dataset", "Write publisher/name: health/vaccinations.")
    return _name(publisher), _name(dataset)


@click.command()
@click.argument("file", type=ExistingFile)
@GenesisOption
@VotersOption
@JsonOption
def check(file: Path, genesis_path: Path, voters_path: Path | None, as_json: bool) -> None:
    """Check the proof or evidence in FILE, offline, and say what it proves.

    Exit 0 only if it proves something; what a proof says holds as of the height it names, and
    evidence names who signed two things that contradict each other.
    """
    self_test()
    genesis = read_genesis(genesis_path)
    try:
        with file.open("rb") as opened:
            data = opened.read(PROOF_BYTES_MAX + 1)
        voters = None if voters_path is None else voters_path.read_bytes()
        shown = check_file(data, genesis, voters)
    except ProofRefused as error:
        if not as_json:
            raise Failure(f"{file} proves nothing: {error}", error.remedy) from None
        emit_json({"file": str(file), "proved": False, "why": str(error), "remedy": error.remedy})
        raise SystemExit(1) from None
    if as_json:
        emit_json(_as_json(file, shown))
    elif isinstance(shown, Convicted):
        show_convicted(shown)
    else:
        _show(file, shown)


def check_file(
    data: bytes, genesis: GenesisFile, voters: bytes | None = None
) -> Proved | Convicted:
    """What a proof or evidence file shows. Raises ProofRefused."""
    if data.startswith(FIRST_LINE.encode()):
        return check_tlog_proof(data, Trust(genesis, voters))
    if data.startswith(EVIDENCE_START):
        return check_evidence(data, genesis)
    for start, what, remedy in _NO_PROOFS:
        if data.startswith(start):
            raise ProofRefused("file", f"it is {what} and no proof", remedy=remedy)
    return check_proof(data, genesis, voters)


_NO_PROOFS = (
    (
        b'{\n "format": "concordat/voters/1"',
        "a voter chain",
        "Give it with --voters, and the proof as FILE.",
    ),
    (
        b'{\n  "concordat": "genesis',
        "a genesis file",
        "Give it with --genesis, and the proof as FILE.",
    ),
)
"""How files begin that come with proofs and are mistaken for them; what each is; what to do."""


def show_convicted(convicted: Convicted) -> None:
    """Whom an evidence file names, for a person."""
    console.print(f"ledger      {convicted.ledger_id.hex()}", markup=False)
    console.print(f"fingerprint {convicted.fingerprint}  (compare it by telephone)", markup=False)
    console.print(f"\nnamed: {', '.join(convicted.departments) or 'nobody'}", markup=False)
    if convicted.vouched:
        words = f"named by the word of founders: {', '.join(convicted.vouched)}"
        console.print(words, markup=False)
    for entry in convicted.accused:
        voter = "a voter" if entry.voter else "no voter"
        console.print(f"\n{entry.department}, {voter}:", markup=False)
        for sentence in entry.words:
            console.print(f"  {sentence}", markup=False)


def write_new(path: Path, data: bytes) -> None:
    """Writes a file that is not there yet. Raises Failure."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", "Check the path.") from None


def read_genesis(path: Path) -> GenesisFile:
    """A genesis file. Raises Failure."""
    try:
        return parse_genesis_file(path.read_bytes())
    except LedgerError as error:
        raise Failure(f"{path}: {error}", error.remedy) from None


def _show(file: Path, proved: Proved) -> None:
    checkpoint = proved.checkpoint
    count = f"{len(proved.signers)} of {proved.voters} voters"
    lines = (
        f"ledger      {proved.ledger_id.hex()}",
        f"fingerprint {proved.fingerprint}  (compare it by telephone)",
        f"as of       height {checkpoint.height}, {moment(proved.time_ms)}",
        f"checkpoint  {checkpoint.tree_size} leaves, root {checkpoint.root.hex()}",
        f"signed by   {', '.join(proved.signers)} ({count})",
        "",
        f"{file} proves:",
        *(f"  {sentence}" for sentence in proved.words),
    )
    for line in lines:
        console.print(line, markup=False)


def _as_json(file: Path, proved: Proved | Convicted) -> dict[str, Any]:
    if isinstance(proved, Convicted):
        return {
            "file": str(file),
            "proved": True,
            "ledger_id": proved.ledger_id.hex(),
            "fingerprint": proved.fingerprint,
            "kind": "evidence",
            **proved.facts(),
        }
    checkpoint = proved.checkpoint
    return {
        "file": str(file),
        "proved": True,
        "ledger_id": proved.ledger_id.hex(),
        "fingerprint": proved.fingerprint,
        "height": checkpoint.height,
        "tree_size": checkpoint.tree_size,
        "root": checkpoint.root.hex(),
        "time_ms": proved.time_ms,
        "signed_by": list(proved.signers),
        "voters": proved.voters,
        "kind": proved.kind,
        "statement": list(proved.words),
        "facts": proved.facts,
    }
