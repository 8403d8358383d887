"""`concordat audit prove` and `concordat audit check`: stand-alone proof files."""

import base64
import re
from pathlib import Path
from typing import Any

import click

from audit.evidence import EVIDENCE_START, Convicted, check_evidence
from audit.proofs.build import Prover, Unprovable
from audit.proofs.check import Proved, check_proof, check_tlog_proof, moment
from audit.proofs.format import KINDS, PROOF_BYTES_MAX, ProofRefused
from audit.proofs.node_word import RECEIPT_START, NodeWord, check_node_word
from audit.proofs.trust import Trust
from audit.sources.opening import is_live, open_ledger
from audit.sources.replayed import ReplayedSource
from audit.verify import Unreadable
from cli.client import Client, connect, node_options
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
    type=click.Choice(("json", "tlog-proof", "cose")),
    default="json",
    help="json, or for a record C2SP's tlog-proof, or of a running node its COSE receipt.",
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
    shape = _SHAPES[kind]
    if len(arguments) != len(shape):
        raise click.UsageError(f"{kind} takes {' '.join(shape)}, then TARGET")
    if form != "json" and kind != "record":
        raise click.UsageError(f"{form} is for a record; take json for other statements")
    if form == "cose" and not is_live(target):
        raise click.UsageError("a COSE receipt is a running node's word: give its URL as TARGET")
    if output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")
    self_test()
    genesis = read_genesis(genesis_path)
    if form == "cose":
        write_new(output, _receipt(genesis, connect(target, token), _id(arguments[0]).hex()))
        console.print(f"{output}: check it with --record and the record's proof", markup=False)
        return
    del url
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
    make = {
        "record": prover.record,
        "tlog-proof": prover.tlog_proof,
        "receipt": prover.receipt,
        "grant": prover.grant,
        "receipts": prover.receipts,
        "timeline": prover.timeline,
    }[kind]
    return make(_id(arguments[0]))


def _id(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise Failure(f"{text} is no id", "An id has 64 hexadecimal digits.")
    return bytes.fromhex(text)


def _receipt(genesis: GenesisFile, node: Client, record_id: str) -> bytes:
    """A node's COSE receipt of a record, checked with the record. Raises Failure."""
    record = base64.b64decode(node.get(f"/v1/records/{record_id}")["raw"])
    receipt = node.request("GET", f"/v1/records/{record_id}/receipt").content
    try:
        check_node_word(receipt, record, Trust(genesis))
    except ProofRefused as error:
        raise Failure(f"the node's receipt proves nothing: {error}", error.remedy) from None
    return receipt


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
@click.option(
    "--record",
    "record_path",
    type=ExistingFile,
    help="Of a COSE receipt: the record, as its bytes or a proof file of it.",
)
@JsonOption
def check(
    file: Path,
    genesis_path: Path,
    voters_path: Path | None,
    record_path: Path | None,
    as_json: bool,
) -> None:
    """Check the proof, receipt or evidence in FILE, offline, and say what it proves.

    Exit 0 only if it proves something; what a proof says holds as of the height it names, and
    evidence names who signed two things that contradict each other.
    """
    self_test()
    genesis = read_genesis(genesis_path)
    try:
        with file.open("rb") as opened:
            data = opened.read(PROOF_BYTES_MAX + 1)
        voters = None if voters_path is None else voters_path.read_bytes()
        record = None if record_path is None else record_path.read_bytes()
        shown = check_file(data, genesis, voters, record)
    except ProofRefused as error:
        if not as_json:
            raise Failure(f"{file} proves nothing: {error}", error.remedy) from None
        emit_json({"file": str(file), "proved": False, "why": str(error), "remedy": error.remedy})
        raise SystemExit(1) from None
    if as_json:
        emit_json(_as_json(file, shown))
    elif isinstance(shown, Convicted):
        show_convicted(shown)
    elif isinstance(shown, NodeWord):
        for line in (
            *_of_ledger(shown),
            "",
            f"{file} says:",
            *(f"  {each}" for each in shown.words),
        ):
            console.print(line, markup=False)
    else:
        _show(file, shown)


def check_file(
    data: bytes, genesis: GenesisFile, voters: bytes | None = None, record: bytes | None = None
) -> Proved | Convicted | NodeWord:
    """What a proof, evidence or receipt file shows. record: of a receipt. Raises ProofRefused."""
    if data.startswith(RECEIPT_START):
        if record is None:
            raise ProofRefused(
                "COSE receipt",
                "it does not hold the record that it is about",
                remedy="Give the record with --record: its bytes, or a proof file of it.",
            )
        return check_node_word(data, record, Trust(genesis, voters))
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
    """Writes a file that is not there yet, whole or not at all. Raises Failure."""
    made = False
    try:
        with path.open("xb") as file:
            made = True
            file.write(data)
    except OSError as error:
        if made:
            path.unlink()
        raise Failure(
            f"cannot write {path}: {error.strerror}", "Check the path, and the space that is left."
        ) from None


def read_genesis(path: Path) -> GenesisFile:
    """A genesis file. Raises Failure."""
    try:
        return parse_genesis_file(path.read_bytes())
    except LedgerError as error:
        raise Failure(f"{path}: {error}", error.remedy) from None


def _of_ledger(shown: Proved | NodeWord) -> tuple[str, ...]:
    return (
        f"ledger      {shown.ledger_id.hex()}",
        f"fingerprint {shown.fingerprint}  (compare it by telephone)",
    )


def _show(file: Path, proved: Proved) -> None:
    checkpoint = proved.checkpoint
    count = f"{len(proved.signers)} of {proved.voters} voters"
    lines = (
        *_of_ledger(proved),
        f"as of       height {checkpoint.height}, {moment(proved.time_ms)}",
        f"checkpoint  {checkpoint.tree_size} leaves, root {checkpoint.root.hex()}",
        f"signed by   {', '.join(proved.signers)} ({count})",
        "",
        f"{file} proves:",
        *(f"  {sentence}" for sentence in proved.words),
    )
    for line in lines:
        console.print(line, markup=False)


def _as_json(file: Path, proved: Proved | Convicted | NodeWord) -> dict[str, Any]:
    of = {
        "file": str(file),
        "proved": True,
        "ledger_id": proved.ledger_id.hex(),
        "fingerprint": proved.fingerprint,
    }
    if isinstance(proved, Convicted):
        return {**of, "kind": "evidence", **proved.facts()}
    if isinstance(proved, NodeWord):
        said = {"signed_by": [proved.department], "kind": "node's word"}
        return {**of, **said, "statement": list(proved.words), "facts": proved.facts}
    checkpoint = proved.checkpoint
    return {
        **of,
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
