"""`concordat audit export` and `concordat audit consistency`: the ledger in public formats."""

import base64
from pathlib import Path

import click

from audit.export import Unexportable, exported
from audit.forks import full_path, roots_at
from audit.sources.opening import open_ledger
from audit.verify import Unreadable
from cli.client import node_options
from cli.proofs import GenesisOption, read_genesis
from cli.show import Failure, JsonOption, console, emit_json, unreadable
from ledger.checkpoints import cosigner_name, from_note
from ledger.notes import COSIGNATURE_TYPE, parse_note, verifier_key


@click.command()
@click.argument("target")
@GenesisOption
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write; it must not be there yet.",
)
@node_options
def export(target: str, genesis_path: Path, output: Path, url: str, token: str | None) -> None:
    """Write the ledger in TARGET as static files for transparency-log tools (C2SP tlog-tiles).

    TARGET is a data directory or copy, another export, or a running node's URL. The folder can be
    served by any web server, and is itself a target of `audit verify` and `audit compare`.
    """
    del url
    genesis = read_genesis(genesis_path)
    if output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")
    count = 0
    try:
        with open_ledger(target, token) as source:
            for name, data in exported(source, genesis):
                path = output / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                count += 1
    except Unreadable as error:
        raise unreadable(error) from None
    except Unexportable as error:
        raise Failure(str(error), error.remedy) from None
    except OSError as error:
        raise Failure(
            f"cannot write {output}: {error.strerror}",
            "Check the path, and the space that is left; remove what has been written of it.",
        ) from None
    console.print(f"{output}: {count} files, signed for transparency-log tools by", markup=False)
    for key in _verifiers(output / "checkpoint"):
        console.print(key, markup=False)


def _verifiers(checkpoint: Path) -> list[str]:
    """The verifier keys of the nodes whose cosignatures a checkpoint carries."""
    entry, cosignatures = from_note(parse_note(checkpoint.read_bytes()))
    return [
        verifier_key(cosigner_name(entry.ledger_id, each.node_id), COSIGNATURE_TYPE, each.node_id)
        for each in cosignatures
    ]


@click.command()
@click.argument("old_size", type=click.IntRange(min=1))
@click.argument("new_size", type=click.IntRange(min=1))
@click.argument("target")
@node_options
@JsonOption
def consistency(
    old_size: int, new_size: int, target: str, url: str, token: str | None, as_json: bool
) -> None:
    """Prove that the tree of OLD_SIZE leaves is a prefix of that of NEW_SIZE (RFC 9162 §2.1.4).

    TARGET as for `audit export`. Prints both roots and the proof's hashes, lowest first.
    """
    del url
    if old_size > new_size:
        raise click.UsageError("OLD_SIZE is at most NEW_SIZE")
    try:
        with open_ledger(target, token) as source:
            roots = roots_at(source, [old_size, new_size])
            if new_size not in roots:
                raise Failure(
                    f"the ledger has fewer than {new_size} leaves", "Give a smaller size."
                )
            path = (
                full_path(source, old_size=old_size, new_size=new_size)
                if old_size < new_size
                else ()
            )
    except Unreadable as error:
        raise unreadable(error) from None
    if path and old_size & (old_size - 1) == 0:
        path = path[1:]
    hashes = [base64.b64encode(digest).decode("ascii") for digest in path]
    old_root, new_root = (
        base64.b64encode(roots[size]).decode("ascii") for size in (old_size, new_size)
    )
    if as_json:
        emit_json(
            {
                "old_size": old_size,
                "old_root": old_root,
                "new_size": new_size,
                "new_root": new_root,
                "hashes": hashes,
            }
        )
        return
    console.print(f"old {old_size} {old_root}\nnew {new_size} {new_root}", markup=False)
    for line in hashes:
        console.print(line, markup=False)
