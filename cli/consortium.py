"""`concordat consortium`: enrolment files become a genesis that every founder signs.

No department hands out a private key: each makes its enrolment with `concordat-node init`, one
person assembles them, all compare the fingerprint by telephone, and each signs on its own machine.
"""

import os
import time
from pathlib import Path
from typing import Any

import click

from cli.show import Failure, JsonOption, console, emit_json, fields
from contracts.consortium import SETTINGS, check_genesis
from ledger.codec import encode
from ledger.errors import LedgerError
from ledger.genesis import (
    FounderSignature,
    Genesis,
    GenesisFile,
    Setting,
    parse_enrolment_file,
    parse_genesis,
    parse_genesis_file,
)
from ledger.signatures import Signer
from ledger.statements import genesis_statement

FilePath = click.Path(path_type=Path, dir_okay=False)
ExistingFile = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def consortium() -> None:
    """Found a consortium, and decide together about it."""


@consortium.command()
@click.argument("enrolments", nargs=-1, required=True, type=ExistingFile)
@click.option("--title", required=True, help="The consortium's name.")
@click.option("-o", "--output", type=FilePath, default=Path("genesis.json"), show_default=True)
@click.option("--voter", "voters", multiple=True, help="Department that votes; default: all.")
@click.option("--set", "settings", multiple=True, help="name=value; see docs/FORMATS.md.")
def assemble(
    enrolments: tuple[Path, ...],
    title: str,
    output: Path,
    voters: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:
    """Make an unsigned genesis from the departments' ENROLMENTS."""
    if output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")
    departments = []
    for path in enrolments:
        file = _explained(parse_enrolment_file, path.read_bytes(), str(path))
        try:
            file.check()
        except LedgerError as error:
            raise Failure(f"{path}: {error}", error.remedy) from None
        departments.append(file.enrolment.department)
    departments.sort(key=lambda entry: entry.department)
    names = {entry.department for entry in departments}
    for name in voters:
        if name not in names:
            raise Failure(f"{name} has no enrolment here", f"Enrolled are: {', '.join(names)}")
    genesis = Genesis(
        version=1,
        title=title,
        created_ms=time.time_ns() // 1_000_000,
        departments=tuple(departments),
        voters=tuple(
            sorted(
                node.node_id
                for entry in departments
                if not voters or entry.department in voters
                for node in entry.nodes
            )
        ),
        settings=tuple(sorted(_settings(settings), key=lambda entry: entry.name)),
    )
    data = encode(genesis)
    try:
        parse_genesis(data)
        check_genesis(genesis)
    except LedgerError as error:
        raise Failure(str(error), error.remedy) from None
    file = GenesisFile(genesis, data, ())
    output.write_bytes(file.to_json())
    console.print(f"{output}: {len(departments)} departments, {len(genesis.voters)} voters")
    console.print(f"fingerprint: {file.fingerprint}")
    console.print("next: every founder compares it by telephone and runs `consortium sign`")


@consortium.command()
@click.argument("genesis_path", type=ExistingFile)
@click.option("--keys", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--department", required=True)
@click.option("--fingerprint", help="What you heard by telephone; asked for if not given.")
def sign(genesis_path: Path, keys: Path, department: str, fingerprint: str | None) -> None:
    """Sign GENESIS_PATH with this department's record key, after comparing the fingerprint."""
    file = _explained(parse_genesis_file, genesis_path.read_bytes(), str(genesis_path))
    heard = fingerprint or click.prompt("the fingerprint, as you heard it by telephone")
    if "".join(heard.split()) != "".join(file.fingerprint.split()):
        raise Failure(
            f"the fingerprint is {file.fingerprint}",
            "It is not the one you heard: ask who assembled it for the right file.",
        )
    seed = _read_key(keys / "record.key")
    signer = Signer(seed)
    statement = genesis_statement(file.ledger_id)
    signature = FounderSignature(department, signer.public_key, signer.sign(statement))
    others = tuple(entry for entry in file.signatures if entry.department != department)
    signed = GenesisFile(file.genesis, file.genesis_bytes, (*others, signature))
    try:
        signed.check_signatures()
    except LedgerError as error:
        raise Failure(str(error), "Is this the department's own folder of keys?") from None
    genesis_path.write_bytes(signed.to_json())
    missing = signed.missing_founders()
    console.print(f"signed by {department}; missing: {', '.join(missing) or 'nobody'}")


@consortium.command()
@click.argument("parts", nargs=-1, required=True, type=ExistingFile)
@click.option("-o", "--output", type=FilePath, required=True)
def merge(parts: tuple[Path, ...], output: Path) -> None:
    """Put signatures that founders made on copies of one genesis into one file."""
    files = [_explained(parse_genesis_file, path.read_bytes(), str(path)) for path in parts]
    if any(file.genesis_bytes != files[0].genesis_bytes for file in files):
        raise Failure("the files hold different genesis", "All founders sign the very same one.")
    signatures = {entry.department: entry for file in files for entry in file.signatures}
    merged = GenesisFile(
        files[0].genesis, files[0].genesis_bytes, tuple(v for _, v in sorted(signatures.items()))
    )
    try:
        merged.check_signatures()
    except LedgerError as error:
        raise Failure(str(error), error.remedy) from None
    output.write_bytes(merged.to_json())
    console.print(f"{output}: missing: {', '.join(merged.missing_founders()) or 'nobody'}")


@consortium.command()
@click.argument("genesis_path", type=ExistingFile)
@JsonOption
def show(genesis_path: Path, as_json: bool) -> None:
    """Show a genesis: fingerprint, departments, voters, who has signed."""
    file = _explained(parse_genesis_file, genesis_path.read_bytes(), str(genesis_path))
    try:
        file.check_signatures()
    except LedgerError as error:
        raise Failure(str(error), error.remedy) from None
    values: dict[str, Any] = {
        "title": file.genesis.title,
        "ledger_id": file.ledger_id.hex(),
        "fingerprint": file.fingerprint,
        "departments": [entry.department for entry in file.genesis.departments],
        "voters": [
            entry.department
            for entry in file.genesis.departments
            if any(node.node_id in file.genesis.voters for node in entry.nodes)
        ],
        "signed_by": [entry.department for entry in file.signatures],
        "missing": list(file.missing_founders()),
        "settings": {entry.name: entry.value for entry in file.genesis.settings},
    }
    if as_json:
        emit_json(values)
    else:
        fields(str(genesis_path), values)


@consortium.command()
@click.argument("enrolment_path", type=ExistingFile)
@JsonOption
def enrolment(enrolment_path: Path, as_json: bool) -> None:
    """Show an enrolment and check its signatures."""
    file = _explained(parse_enrolment_file, enrolment_path.read_bytes(), str(enrolment_path))
    try:
        file.check()
    except LedgerError as error:
        raise Failure(str(error), error.remedy) from None
    department = file.enrolment.department
    values = {
        "department": department.department,
        "title": department.title,
        "fingerprint": file.fingerprint,
        "nodes": [f"{node.node_id.hex()[:16]}… at {node.rpc_address}" for node in department.nodes],
        "record_keys": [entry.key.hex() for entry in department.record_keys],
    }
    if as_json:
        emit_json(values)
    else:
        fields(str(enrolment_path), values)


def _settings(pairs: tuple[str, ...]) -> list[Setting]:
    found = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in SETTINGS or not value.isdigit():
            raise Failure(
                f"--set {pair} is not setting=number", f"Settings are: {', '.join(SETTINGS)}"
            )
        found.append(Setting(name, int(value)))
    return found


def _explained(parse: Any, data: bytes, name: str) -> Any:
    try:
        return parse(data)
    except LedgerError as error:
        raise Failure(f"{name}: {error}", error.remedy) from None


def _read_key(path: Path) -> bytes:
    try:
        if os.stat(path).st_mode & 0o077:
            raise Failure(f"{path} can be read by others", f"chmod 600 {path}")
        seed = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}", "Give the folder of keys.") from None
    except ValueError:
        raise Failure(f"{path} is no key", "Give the folder that `init` made.") from None
    if len(seed) != 32:
        raise Failure(f"{path} is no key", "Give the folder that `init` made.")
    return seed
