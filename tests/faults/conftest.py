"""Three nodes on hosts of their own, founded once a module and started anew for each test."""

from collections.abc import Iterator

import pytest
from founding import found_here

from cli.demo.cluster import Cluster
from faults.network import Network, made_network, place_on

TITLES = {"housing": "Housing Bureau", "tourism": "Tourism Bureau", "transport": "Transport Bureau"}


@pytest.fixture(scope="module")
def three_hosts() -> Iterator[Network]:
    """Hosts that every test of a module shares."""
    yield from made_network(list(TITLES))


@pytest.fixture(scope="module")
def founded(three_hosts: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A consortium on them; none of its nodes runs."""
    made = Cluster(tmp_path_factory.mktemp("three"), TITLES)
    place_on(three_hosts, made)
    try:
        found_here(made)
        yield made
    finally:
        made.close()


@pytest.fixture
def network(three_hosts: Network) -> Iterator[Network]:
    """The hosts, with every link whole before and after the test."""
    three_hosts.heal()
    yield three_hosts
    three_hosts.heal()


@pytest.fixture
def cluster(network: Network, founded: Cluster) -> Iterator[Cluster]:
    """The consortium, every node ready; its ledger has what earlier tests wrote."""
    founded.start()
    yield founded
    for department in founded.departments.values():
        department.stop()
