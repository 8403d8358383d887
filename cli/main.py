"""`concordat`: the command line for people."""

import sys

import click

from cli.audit import audit
from cli.clocks import clocks
from cli.consortium import consortium
from cli.emergencies import emergencies_command
from cli.exports import consistency, export
from cli.forks import blame_command, compare_command
from cli.gaps import gaps
from cli.governance import (
    add_key,
    propose,
    publish_document,
    revoke_key,
    status,
    vote,
    withdraw,
)
from cli.grants import emergency, grant
from cli.graph import graph
from cli.imports import import_xroad
from cli.policies import policies_command, policy
from cli.proofs import check, prove
from cli.questions import ask, sql, tables_command
from cli.sharing import dataset, exchange, node
from cli.show import Guarded
from cli.subjects import openings, subjects


@click.group(cls=Guarded, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="concordat-ledger")
def main() -> None:
    """Data sharing between departments, with a ledger that anyone can check.

    Shell completion: `eval "$(_CONCORDAT_COMPLETE=bash_source concordat)"`.
    """
    if not __debug__:
        click.echo("error: python -O strips the checks that this tool relies on", err=True)
        sys.exit(1)


for each in (
    ask,
    blame_command,
    check,
    clocks,
    compare_command,
    consistency,
    emergencies_command,
    export,
    gaps,
    graph,
    openings,
    policies_command,
    prove,
    sql,
    subjects,
    tables_command,
):
    audit.add_command(each)
exchange.add_command(import_xroad)
for command in (add_key, propose, publish_document, revoke_key, status, vote, withdraw):
    consortium.add_command(command)
for command in (audit, consortium, dataset, emergency, exchange, grant, node, policy):
    main.add_command(command)


@main.command()
@click.option("--keep", is_flag=True, help="Leave the cluster running and print how to use it.")
def demo(keep: bool) -> None:
    """Five departments share data under grants, and an auditor who trusts nobody proves it."""
    from cli.demo.story import run_demo

    sys.exit(run_demo(keep=keep))
