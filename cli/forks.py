"""`concordat audit compare` and `concordat audit blame`: two ledgers, and who signed both."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click

from audit.admissions import signatories_in
from audit.blame import blame
from audit.evidence import check_evidence, evidence_file
from audit.forks import Comparison, Readable, Relation, compare, ledger_of, place
from audit.signed import SignedCheckpoint, SignedProposal, Statements, parse_shown_proposal
from audit.sources.live import LiveSource
from audit.sources.opening import OldCheckpoint, is_live, open_ledger, read_checkpoint
from audit.verify import Unreadable
from cli.client import node_options
from cli.proofs import GenesisOption, read_genesis, show_convicted, write_new
from cli.show import Failure, JsonOption, console, emit_json, unreadable
from ledger.checkpoints import contradict
from ledger.errors import Malformed
from ledger.signatures import self_test

OtherTokenOption = click.option(
    "--other-token",
    "other_tokens",
    multiple=True,
    help="Token for the second running node that is named, the third, and so on. (repeatable)",
)

_WORDS: dict[Relation, str] = {
    "same": "the same",
    "prefix": "one is a prefix of the other",
    "fork": "FORKED",
    "unknown": "not known",
}


@click.command(name="compare")
@click.argument("one")
@click.argument("other")
@OtherTokenOption
@node_options
@JsonOption
def compare_command(
    one: str,
    other: str,
    other_tokens: tuple[str, ...],
    url: str,
    token: str | None,
    as_json: bool,
) -> None:
    """Compare the ledgers ONE and OTHER: the same, one a prefix of the other, or forked, and where.

    Each is a data directory or copy, a running node's URL, or the file of an old checkpoint (a
    signed note, a certificate, or what `audit verify` remembers). Exit 0 if they are the same or
    one is a prefix.
    """
    del url
    with ExitStack() as stack:
        sides = _sides((one, other), token, other_tokens, stack)
        ids = [_ledger_id(side) for side in sides]
        if None not in ids and ids[0] != ids[1]:
            raise Failure(
                f"{one} and {other} are different ledgers", "Compare two copies of one ledger."
            )
        facts = _compared(sides)
    if as_json:
        emit_json({"one": one, "other": other, **facts})
    else:
        console.print(f"{one} and {other}: {_WORDS[facts['relation']]}", markup=False)
        for name, value in facts.items():
            if name != "relation" and value is not None:
                console.print(f"  {name.replace('_', ' '):18} {value}", markup=False)
        if facts["relation"] == "fork":
            console.print(f"\n`concordat audit blame {one} {other}` names who signed both.")
    if facts["relation"] in ("fork", "unknown"):
        raise SystemExit(1)


def _sides(
    targets: Sequence[str],
    token: str | None,
    other_tokens: Sequence[str],
    stack: ExitStack,
    *,
    statements: bool = False,
) -> list[Readable | OldCheckpoint]:
    """Everything that was named, opened. statements: also what running nodes show beside leaves.

    Running nodes take the tokens in order; the last one serves those that are left.
    """
    tokens = [token, *other_tokens]
    sides: list[Readable | OldCheckpoint] = []
    for target in targets:
        used = (tokens.pop(0) if len(tokens) > 1 else tokens[0]) if is_live(target) else None
        try:
            if is_live(target) or Path(target).is_dir():
                opened = open_ledger(target, used, statements=statements)
                sides.append(stack.enter_context(opened))
            else:
                sides.append(read_checkpoint(Path(target)))
        except Unreadable as error:
            raise unreadable(error, target) from None
    return sides


def _ledger_id(side: Readable | OldCheckpoint) -> bytes | None:
    return side.checkpoint.ledger_id if isinstance(side, OldCheckpoint) else ledger_of(side)


def _compared(sides: list[Readable | OldCheckpoint]) -> dict[str, Any]:
    one, other = sides
    try:
        if isinstance(one, OldCheckpoint) and isinstance(other, OldCheckpoint):
            return {"relation": _two_checkpoints(one, other)}
        if isinstance(one, OldCheckpoint):
            assert not isinstance(other, OldCheckpoint)
            return {"relation": place(one.checkpoint, other), "checkpoint": _shown(one)}
        if isinstance(other, OldCheckpoint):
            return {"relation": place(other.checkpoint, one), "checkpoint": _shown(other)}
        return _facts(compare(one, other))
    except Unreadable as error:
        raise unreadable(error) from None


def _two_checkpoints(one: OldCheckpoint, other: OldCheckpoint) -> Relation:
    if one.checkpoint == other.checkpoint:
        return "same"
    return "fork" if contradict(one.checkpoint, other.checkpoint) else "unknown"


def _shown(old: OldCheckpoint) -> str:
    entry = old.checkpoint
    return f"height {entry.height}, {entry.tree_size} leaves, root {entry.root.hex()}"


def _facts(found: Comparison) -> dict[str, Any]:
    names = ("one", "other")
    return {
        "relation": found.relation,
        "common_height": found.common.height,
        "common_leaves": found.common.tree_size,
        "common_root": found.common.root.hex(),
        "differs_at_leaf": found.leaf_index,
        "shorter": None if found.shorter is None else names[found.shorter],
        **{f"{name}_height": end.height for name, end in zip(names, found.ends, strict=True)},
        **{f"{name}_root": end.root.hex() for name, end in zip(names, found.ends, strict=True)},
    }


def _signed(sides: Sequence[Readable | OldCheckpoint], ledger_id: bytes) -> Statements:
    """What came beside ledgers: signatures on old checkpoints, and what running nodes show."""
    checkpoints: list[SignedCheckpoint] = []
    proposals: list[SignedProposal] = []
    for side in sides:
        if isinstance(side, OldCheckpoint):
            checkpoints += [SignedCheckpoint(side.checkpoint, each) for each in side.cosignatures]
        elif isinstance(side, LiveSource):
            for data in side.proposals:
                with suppress(Malformed):
                    proposals.append(parse_shown_proposal(data, ledger_id))
    return Statements(tuple(checkpoints), tuple(proposals))


@click.command(name="blame")
@click.argument("targets", nargs=-1, required=True)
@GenesisOption
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Evidence file to write, for `audit check`; nothing is overwritten.",
)
@OtherTokenOption
@node_options
@JsonOption
def blame_command(
    targets: tuple[str, ...],
    genesis_path: Path,
    output: Path | None,
    other_tokens: tuple[str, ...],
    url: str,
    token: str | None,
    as_json: bool,
) -> None:
    """Name every department that signed two things that contradict each other, and nobody else.

    TARGETS are data directories or copies, running nodes' URLs, and files of old checkpoints with
    their signatures. One directory or node is enough where the node kept evidence. Exit 1 if
    somebody is named.
    """
    del url
    self_test()
    genesis = read_genesis(genesis_path)
    if output is not None and output.exists():
        raise Failure(f"{output} is there already", "Choose another name; nothing is overwritten.")
    with ExitStack() as stack:
        sides = _sides(targets, token, other_tokens, stack, statements=True)
        more = _signed(sides, genesis.ledger_id)
        stores = [side for side in sides if not isinstance(side, OldCheckpoint)]
        try:
            signatories = signatories_in(genesis, stores)
            found = blame(signatories, genesis.ledger_id, stores, more=more)
        except Unreadable as error:
            raise unreadable(error) from None
    if not found:
        if as_json:
            emit_json({"departments": [], "vouched": [], "accused": []})
        else:
            console.print("Nobody signed two things that contradict each other.")
        return
    data = evidence_file(found, genesis, signatories)
    convicted = check_evidence(data, genesis)
    if output is not None:
        write_new(output, data)
    if as_json:
        emit_json(convicted.facts())
    else:
        show_convicted(convicted)
    raise SystemExit(1)
