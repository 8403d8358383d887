"""The sharing graph: departments, datasets, grants and derivations, as networkx sees them.

    department ── publishes ──> dataset ── grant (purpose, exchanges) ──> department
                                   └── derived (grant) ──> dataset

A leaf module: nothing that verifies imports it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import networkx as nx

from audit.reach import Sharing

CYCLE_LENGTH_MAX = 6
"""Limit of the departments in a cycle that is looked for."""

CYCLES_MAX = 1_000
"""Limit of the cycles that are listed."""


DATASET_WORDS = ("title", "classification", "sharing", "status", "fields")
GRANT_WORDS = ("purpose", "legal_basis", "fields", "status", "onward", "exchanges", "rows")
"""Columns of `audit.tables` that the graph's nodes and edges have as attributes."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Departments that share in a circle, each with the next and the last with the first.

    data_returns: whether a department was shown data derived from its own on that way.
    """

    departments: tuple[str, ...]
    exchanges: int
    data_returns: bool


@dataclass(frozen=True, slots=True)
class Provider:
    """How much hangs on one department.

    consumers: who received from it. only_source_of: those of them that receive from nobody else.
    cut_off: departments that would no longer be joined to the largest part of the graph without it.
    share: its part of all exchanges, in thousandths.
    """

    department: str
    datasets: int
    authoritative: int
    consumers: int
    only_source_of: tuple[str, ...]
    cut_off: tuple[str, ...]
    exchanges: int
    share: int


def sharing_graph(sharing: Sharing) -> "nx.MultiDiGraph":
    """The whole graph; attributes are text and numbers, as GraphML wants them.

    Edges of grants have the grant's id as their key, so each grant is one edge.
    """
    graph = nx.MultiDiGraph()
    for name in sharing.departments:
        graph.add_node(name, kind="department")
    for name, row in sharing.datasets.items():
        graph.add_node(name, kind="dataset", **{word: row[word] for word in DATASET_WORDS})
        graph.add_edge(name.split("/")[0], name, key="publishes", kind="publishes")
        for grant_id in sharing.origins(name):
            origin = sharing.grants[grant_id]["dataset"]
            graph.add_edge(origin, name, key=grant_id, kind="derived")
    for grant_id, grant in sharing.grants.items():
        told = {word: grant[word] for word in GRANT_WORDS} | {"stands": sharing.stands(grant_id)}
        graph.add_edge(grant["dataset"], grant["consumer"], key=grant_id, kind="grant", **told)
    return graph


def as_graphml(sharing: Sharing) -> bytes:
    """The graph as GraphML, for graph tools."""
    lines: Iterator[str] = nx.generate_graphml(sharing_graph(sharing))
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(lines) + "\n").encode()


def _departments(sharing: Sharing) -> "nx.DiGraph":
    """Departments alone: an edge from a provider to each that received from it."""
    graph = nx.DiGraph()
    graph.add_nodes_from(sharing.departments)
    for grant in sharing.grants.values():
        edge = (grant["provider"], grant["consumer"])
        if grant["exchanges"]:
            before = graph.edges[edge]["exchanges"] if graph.has_edge(*edge) else 0
            graph.add_edge(*edge, exchanges=before + grant["exchanges"])
    return graph


def cycles(sharing: Sharing) -> list[Cycle]:
    """Cycles of at most CYCLE_LENGTH_MAX departments, the first CYCLES_MAX found; short ones first.

    Each begins with the department that comes first in the alphabet.
    """
    graph = _departments(sharing)
    returned = {
        (line.dataset.split("/")[0], line.consumer)
        for line in sharing.lines
        if any(name.split("/")[0] == line.consumer for name, _ in line.carried)
    }
    found: list[Cycle] = []
    for loop in islice(nx.simple_cycles(graph, length_bound=CYCLE_LENGTH_MAX), CYCLES_MAX):
        start = loop.index(min(loop))
        names = (*loop[start:], *loop[:start])
        steps = list(zip(names, (*names[1:], names[0]), strict=True))
        found.append(
            Cycle(
                names,
                sum(graph.edges[step]["exchanges"] for step in steps),
                any(step in returned for step in steps),
            )
        )
    return sorted(found, key=lambda cycle: (len(cycle.departments), cycle.departments))


def providers(sharing: Sharing) -> list[Provider]:
    """Every department that others received from, the one that most hangs on first."""
    graph = _departments(sharing)
    joined = graph.to_undirected()
    joined.remove_nodes_from(list(nx.isolates(joined)))
    cutting = set(nx.articulation_points(joined))
    total = sum(exchanges for _, _, exchanges in graph.edges(data="exchanges"))
    found: list[Provider] = []
    for name in sharing.departments:
        consumers = sorted(graph.successors(name))
        if not consumers:
            continue
        published = [
            row for dataset, row in sharing.datasets.items() if dataset.split("/")[0] == name
        ]
        exchanges = sum(graph.edges[name, other]["exchanges"] for other in consumers)
        found.append(
            Provider(
                department=name,
                datasets=len(published),
                authoritative=sum(row["authoritative"] for row in published),
                consumers=len(consumers),
                only_source_of=tuple(
                    other for other in consumers if list(graph.predecessors(other)) == [name]
                ),
                cut_off=tuple(_cut_off(joined, name)) if name in cutting else (),
                exchanges=exchanges,
                share=1_000 * exchanges // total,
            )
        )
    return sorted(
        found, key=lambda each: (-len(each.only_source_of), -each.exchanges, each.department)
    )


def _cut_off(joined: "nx.Graph", name: str) -> list[str]:
    """Who is not in the largest part that is left without `name`, of those that were joined."""
    left = joined.subgraph(nx.node_connected_component(joined, name) - {name})
    parts = sorted(nx.connected_components(left), key=lambda part: (-len(part), min(part)))
    return sorted(other for part in parts[1:] for other in part)
