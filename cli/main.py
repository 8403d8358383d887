"""The `concordat` command."""

import click


@click.group()
@click.version_option(package_name="concordat-ledger")
def main() -> None:
    """Share data between departments on a ledger that anyone can check."""
