"""`concordat audit clocks`: block times beside the clocks of those who signed them."""

from pathlib import Path

import click

from audit.admissions import signatories_in
from audit.clocks import APART_MS, Reading, readings
from audit.proofs.check import moment
from cli.client import node_options
from cli.proofs import GenesisOption, read_genesis
from cli.show import JsonOption, console, emit_json, table
from cli.targets import opened


@click.command()
@click.argument("target")
@GenesisOption
@click.option(
    "--seconds",
    default=APART_MS // 1_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="How far a block's time may be from its signers' median.",
)
@node_options
@JsonOption
def clocks(
    target: str, genesis_path: Path, seconds: int, url: str, token: str | None, as_json: bool
) -> None:
    """Compare the times of certified blocks in TARGET with the clocks of those who signed them.

    TARGET is a data directory or copy, an export, or a running node's URL; verify it first. Only
    certificates that are kept can be looked at. Exit 1 if a time is further from the median.
    """
    del url
    genesis = read_genesis(genesis_path)
    with opened(target, token) as source:
        found = list(readings(source, signatories_in(genesis, [source])))
    apart = [each for each in found if abs(each.apart_ms) > 1_000 * seconds]
    if as_json:
        emit_json([_as_json(each, far=each in apart) for each in found])
    else:
        _show(found, apart)
    if apart:
        raise SystemExit(1)


def _show(found: list[Reading], apart: list[Reading]) -> None:
    table(
        "Certified blocks and their signers' clocks",
        ("height", "block time", "signers' median", "apart (s)", "signers", "furthest (s)"),
        [
            (
                each.height,
                moment(each.block_ms),
                moment(1_000 * each.median_s),
                f"{each.apart_ms / 1_000:+.1f}" + (" FAR" if each in apart else ""),
                each.signers,
                f"{each.furthest[0]} {each.furthest[1]:+d}",
            )
            for each in found
        ],
    )
    console.print(f"{len(apart)} of {len(found)} are far apart: ask their leaders and signers")


def _as_json(reading: Reading, *, far: bool) -> dict[str, object]:
    return {
        "height": reading.height,
        "block_ms": reading.block_ms,
        "median_ms": 1_000 * reading.median_s,
        "apart_ms": reading.apart_ms,
        "signers": reading.signers,
        "furthest": reading.furthest[0],
        "furthest_s": reading.furthest[1],
        "far": far,
    }
