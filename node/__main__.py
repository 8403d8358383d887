"""The `concordat-node` command: the operator's tool on the node's own machine."""

import click


@click.group()
@click.version_option(package_name="concordat-ledger")
def main() -> None:
    """Run a department's node."""


if __name__ == "__main__":
    main()
