"""`concordat-node`: the operator's tool on the node's own machine.

The server, its databases and its web framework are loaded by the commands that need them alone:
they are most of a second.

Exit codes: 0 done · 1 something is wrong and the text says what to do · 2 wrong usage.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import uvloop

from ledger.checkpoints import origin
from ledger.errors import LedgerError
from node import logs
from node.config import Config, load_config
from node.errors import NodeError
from node.exchange.sources.port import SourceMisbehaved, SourceUnavailable
from node.identity import draw_record_key, load_identity, use_record_key
from node.renewal import renew as make_new
from node.runtime import load_genesis
from node.setup import init_node, key_fingerprints
from node.tokens import ROLES, Tokens
from node.witness import log_key, witness_keys

DAY_MS = 86_400_000

ConfigOption = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("node.toml"),
    show_default=True,
    help="The node's configuration file.",
)


def explained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns what can go wrong into a line for a person and exit code 1."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except (NodeError, LedgerError, SourceUnavailable, SourceMisbehaved) as error:
            click.echo(f"error: {error}\n  what to do: {error.remedy}", err=True)
            sys.exit(1)

    return run


@click.group()
@click.version_option(package_name="concordat-ledger")
def main() -> None:
    """Sets up and runs this department's Concordat node."""
    if not __debug__:
        click.echo("error: python -O strips the checks that a node relies on", err=True)
        sys.exit(1)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--department", required=True, help="Short name: lower-case letters, digits, hyphens."
)
@click.option("--title", required=True, help="Full name of the department.")
@click.option("--rpc-address", required=True, help="host:port under which peers reach this node.")
@click.option("--rpc-listen", default="0.0.0.0:7400", show_default=True, help="Where to listen.")
@click.option("--http-listen", default="127.0.0.1:8400", show_default=True, help="For apps.")
@click.option(
    "--join",
    "genesis_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Genesis file of the ledger to join; without it the node is a founder's.",
)
@explained
def init(
    folder: Path,
    department: str,
    title: str,
    rpc_address: str,
    rpc_listen: str,
    http_listen: str,
    genesis_path: Path | None,
) -> None:
    """Make keys, a configuration and the enrolment file in FOLDER."""
    enrolment = init_node(
        folder,
        department=department,
        title=title,
        rpc_address=rpc_address,
        rpc_listen=rpc_listen,
        http_listen=http_listen,
        join=None if genesis_path is None else load_genesis(genesis_path),
    )
    receiver = "whoever makes the genesis" if genesis_path is None else "a member who proposes it"
    click.echo(f"keys:        {folder / 'keys'}  (never copy them, never back them up)")
    click.echo(f"enrolment:   {folder / 'enrolment.json'}  (send this to {receiver})")
    click.echo(f"fingerprint: {enrolment.fingerprint}")


@main.command()
@ConfigOption
@explained
def check(config_path: Path) -> None:
    """Look at configuration, keys, genesis and sources without starting the node."""
    from node.exchange.sources.registry import load_sources

    config = load_config(config_path)
    identity = load_identity(config.path(config.node.keys))
    click.echo(f"configuration  ok  {config_path}")
    click.echo(f"keys           ok  node {identity.node_id.hex()}")
    genesis = load_genesis(config.path(config.node.genesis))
    click.echo(f"genesis        ok  {genesis.fingerprint}")
    tokens = Tokens(config.path(config.node.tokens)).all()
    click.echo(f"tokens         ok  {len(tokens)}")
    sources = load_sources(config.sources, config.base)
    click.echo(f"sources        ok  {', '.join(sources.datasets) or 'none'}")
    sources.close()


@main.command()
@ConfigOption
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
@explained
def run(config_path: Path, log_level: Any) -> None:
    """Run the node until SIGTERM or SIGINT."""
    from node.server import serve

    logs.configure(level=log_level)
    config = load_config(config_path)
    uvloop.run(serve(config, ready=_announce(config)))


def _announce(config: Config) -> Callable[[Any], None]:
    def ready(_: Any) -> None:
        scheme = "https" if config.http.tls_certificate else "http"
        click.echo(f"ready {scheme}://{config.http.listen}/v1", err=False)
        sys.stdout.flush()

    return ready


@main.group()
def token() -> None:
    """Bearer tokens of this node's apps, stewards, auditors and operators."""


@token.command("add")
@ConfigOption
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True)
@click.option("--dataset", "datasets", multiple=True, help="publisher/name; limits exchanges.")
@explained
def token_add(
    config_path: Path, name: str, role: Any, days: int, datasets: tuple[str, ...]
) -> None:
    """Make a token NAME and show it once."""
    config = load_config(config_path)
    expires_at_ms = time.time_ns() // 1_000_000 + days * DAY_MS
    tokens = Tokens(config.path(config.node.tokens))
    click.echo(tokens.add(name=name, role=role, expires_at_ms=expires_at_ms, datasets=datasets))


@token.command("list")
@ConfigOption
@click.option("--json", "as_json", is_flag=True)
@explained
def token_list(config_path: Path, as_json: bool) -> None:
    """List tokens; their secrets are not known here."""
    config = load_config(config_path)
    for entry in Tokens(config.path(config.node.tokens)).all():
        expires = time.strftime("%Y-%m-%d %H:%M", time.gmtime(entry.expires_at_ms / 1000))
        row = {
            "name": entry.name,
            "role": entry.role,
            "expires": expires,
            "datasets": list(entry.datasets),
        }
        if as_json:
            click.echo(json.dumps(row))
        else:
            scope = ", ".join(entry.datasets) or "all"
            click.echo(f"{entry.name:24} {entry.role:9} until {expires} UTC  datasets: {scope}")


@token.command("revoke")
@ConfigOption
@click.argument("name")
@explained
def token_revoke(config_path: Path, name: str) -> None:
    """Remove the token NAME; a running node refuses it at once."""
    config = load_config(config_path)
    if not Tokens(config.path(config.node.tokens)).revoke(name):
        click.echo(f"error: there is no token {name}", err=True)
        sys.exit(1)


@main.command()
@ConfigOption
@explained
def key(config_path: Path) -> None:
    """Show this node's public keys."""
    config = load_config(config_path)
    identity = load_identity(config.path(config.node.keys))
    for name, value in key_fingerprints(identity).items():
        click.echo(f"{name:22} {value}")
    if config.path(config.node.genesis).is_file():
        genesis = load_genesis(config.path(config.node.genesis))
        click.echo(f"{'log':22} {log_key(identity, origin(genesis.ledger_id))}")
    if config.witness.name:
        settings = config.witness
        for text in witness_keys(identity, settings.name, ml_dsa_44=settings.post_quantum):
            click.echo(f"{'as a witness':22} {text}")


@main.group("record-key")
def record_key() -> None:
    """Rotate the key with which this node signs its department's records."""


@record_key.command("new")
@ConfigOption
@click.option("--holder", default="the node", show_default=True, help="In whose hands it is.")
@explained
def record_key_new(config_path: Path, holder: str) -> None:
    """Draw the next key, and write record-key.json for `concordat consortium add-key`."""
    config = load_config(config_path)
    genesis = load_genesis(config.path(config.node.genesis))
    content = draw_record_key(
        config.path(config.node.keys),
        ledger_id=genesis.ledger_id,
        department=config.node.department,
        holder=holder,
    )
    path = config.path("record-key.json")
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    click.echo(f"key:  {content['key']}")
    click.echo(f"file: {path}  (for `concordat consortium add-key`)")


@record_key.command("use")
@ConfigOption
@explained
def record_key_use(config_path: Path) -> None:
    """Let the next start sign with the next key, once it is added; the old one is destroyed."""
    config = load_config(config_path)
    old, new = use_record_key(config.path(config.node.keys))
    click.echo(f"from the next start on: {new}")
    click.echo(f"then revoke:            {old}")


@main.command()
@ConfigOption
@click.option("--rpc-address", help="host:port for peers; as in the genesis unless given.")
@explained
def renew(config_path: Path, rpc_address: str | None) -> None:
    """Replace spent keys: new keys, an empty store, an enrolment for the consortium."""
    done = make_new(load_config(config_path), rpc_address=rpc_address)
    for path in done.set_aside:
        click.echo(f"set aside:   {path}  (keep it: it may be evidence)")
    click.echo(f"enrolment:   {done.enrolment_path}  (for `concordat consortium propose`)")
    click.echo(f"fingerprint: {done.enrolment.fingerprint}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--http-listen", default="127.0.0.1:8400", show_default=True)
@explained
def dev(folder: Path | None, http_listen: str) -> None:
    """Run a one-node consortium with sample data, for developers of apps."""
    from node.dev import run_dev

    logs.configure(level="warning")
    asyncio.run(run_dev(folder, http_listen=http_listen))


if __name__ == "__main__":
    main()
