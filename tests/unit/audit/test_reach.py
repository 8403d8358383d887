"""`audit.reach`, `graph`, `drawing` and `matrix`: who can have seen what, worked out twice."""

import json
import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest
from branches import write_store
from click.testing import CliRunner
from sharing_network import Network, make_network

from audit.drawing import draw
from audit.forks import leaves
from audit.graph import Cycle, as_graphml, cycles, providers, sharing_graph
from audit.matrix import _short, draw_matrix
from audit.reach import Sharing
from audit.tables import Tables, make_tables
from cli.main import main
from contracts.registry import CONTRACTS
from ledger.blocks import BlockHeader, parse_any_leaf
from ledger.records import Record, parse_leaf

RESIDENTS, TENANTS = "civil-affairs/residents", "housing/tenants"


@pytest.fixture(scope="module")
def network() -> Network:
    return make_network()


@pytest.fixture(scope="module")
def tables(network: Network) -> Tables:
    return make_tables(network.branch, network.branch.genesis)


@pytest.fixture(scope="module")
def sharing(tables: Tables) -> Sharing:
    return Sharing(tables)


def seen(sharing: Sharing, dataset: str, field: str | None = None) -> set[tuple[str, str]]:
    return {(sight.department, sight.how) for sight in sharing.reach(dataset, field)}


# Known answers.


def test_reach_follows_derived_data_in_the_order_of_the_ledger(sharing: Sharing) -> None:
    assert seen(sharing, RESIDENTS, "name") == {
        ("civil-affairs", "publishes"),
        ("civil-affairs", "may derive"),  # it read tenants before housing had read residents
        ("health", "read"),
        ("housing", "read"),
        ("tourism", "derived"),
    }
    (health,) = [each for each in sharing.reach(RESIDENTS, "name") if each.department == "health"]
    assert (health.exchanges, health.rows) == (2, 4), "only version 2 names the field"
    (tourism,) = [each for each in sharing.reach(RESIDENTS) if each.department == "tourism"]
    assert tourism.path == (RESIDENTS, TENANTS)


def test_a_field_that_nobody_was_granted_is_seen_by_its_publisher_alone(sharing: Sharing) -> None:
    assert seen(sharing, RESIDENTS, "birth_date") == {("civil-affairs", "publishes")}
    assert seen(sharing, RESIDENTS, "address") == {
        ("civil-affairs", "publishes"),
        ("transport", "may read"),
    }


@pytest.mark.parametrize(("dataset", "field"), [("health/none", None), (RESIDENTS, "rent")])
def test_what_there_is_not_has_no_reach(sharing: Sharing, dataset: str, field: str | None) -> None:
    with pytest.raises(KeyError):
        sharing.reach(dataset, field)


def test_a_revocation_stops_what_rests_on_the_grant(network: Network, sharing: Sharing) -> None:
    names = {grant_id.hex(): name for name, grant_id in network.grants.items()}
    stopped = sharing.stopped_by(network.grants["housing"].hex())
    assert {names[each.grant_id] for each in stopped} == {"housing", "tourism", "back"}
    assert sharing.stopped_by(network.grants["lines"].hex()) == [], "it is revoked already"
    ended = make_network()
    ended.revoke("housing", "civil-affairs")
    after = Sharing(make_tables(ended.branch, ended.branch.genesis))
    still = {grant_id for grant_id in sharing.grants if sharing.stands(grant_id)}
    assert still - {grant_id for grant_id in after.grants if after.stands(grant_id)} == {
        each.grant_id for each in stopped
    }
    codes = {(each.code, each.dataset, each.grant_id) for each in after.onward()}
    assert ("origin-ended", TENANTS, ended.grants["housing"].hex()) in codes


def test_a_leak_brings_out_what_was_published_and_received(sharing: Sharing) -> None:
    held = {(each.dataset, each.how): each for each in sharing.holdings("tourism")}
    assert set(held) == {
        ("tourism/guests", "publishes"),
        (TENANTS, "read"),
        (RESIDENTS, "derived"),
    }
    assert held[RESIDENTS, "derived"].fields == ("id_number", "name")
    assert held[TENANTS, "read"].rows == 10


def test_what_looks_shared_onward_is_named_with_its_fields(
    network: Network, sharing: Sharing
) -> None:
    (found,) = sharing.onward()
    assert (found.code, found.dataset, found.origin) == ("undeclared", "health/patients", RESIDENTS)
    assert (found.fields, found.allowed) == (("name",), False)
    assert found.grant_id == network.grants["health"].hex()


def test_cycles_and_providers_are_those_of_the_picture(sharing: Sharing) -> None:
    assert cycles(sharing) == [
        Cycle(("civil-affairs", "health"), 5 + 7, data_returns=False),
        Cycle(("civil-affairs", "housing"), 40 + 1, data_returns=False),
    ]
    found = {each.department: each for each in providers(sharing)}
    assert set(found) == {"civil-affairs", "health", "housing", "transport"}
    assert found["civil-affairs"].only_source_of == ("health",)
    assert found["housing"].only_source_of == ("tourism",)
    assert set(found["housing"].cut_off) == {"tourism", "transport"}
    assert found["transport"].share == 1_000 * 300 // 358


def test_data_that_comes_back_is_said() -> None:
    made = make_network()
    made.read("back", "housing")
    sharing = Sharing(make_tables(made.branch, made.branch.genesis))
    returning = {each.departments: each.data_returns for each in cycles(sharing)}
    assert returning == {("civil-affairs", "health"): False, ("civil-affairs", "housing"): True}
    assert ("civil-affairs", "derived") in seen(sharing, RESIDENTS, "name")


# A second computation, from the leaves, by trying every chain of receipts.


def random_network(seed: int) -> Network:
    """Datasets, grants and reads at random; what is derived may be derived from again."""
    chance = random.Random(seed)
    made = Network()
    departments = made.branch.consortium.departments
    held: list[tuple[str, str, str]] = []
    names = [f"{department}/source" for department in departments]
    for name in names:
        made.publish(name, "id_number a b c")
    depth = dict.fromkeys(names, 0)
    for number in range(14):
        dataset = chance.choice(names)
        provider = dataset.split("/")[0]
        consumer = chance.choice([each for each in departments if each != provider])
        fields = " ".join(sorted({"id_number", *chance.sample("abc", 2)}))
        made.grant(str(number), consumer, dataset, fields, onward=True)
        held.append((str(number), consumer, dataset))
        if chance.random() < 0.7 and depth[dataset] < 2:
            name = f"{consumer}/derived-{number}"
            made.publish(name, "id_number a b c", str(number))
            names.append(name)
            depth[name] = depth[dataset] + 1
        for grant, _, of in chance.choices(held, k=3):
            made.read(grant, of.split("/")[0])
    return made


Line = tuple[str, str, str, frozenset[str]]
"""Grant, consumer, dataset and fields of a line of receipts."""


def lines_of(network: Network) -> tuple[list[Line], dict[str, list[str]]]:
    """Every line of receipts in order, and the grants that each dataset is derived from."""
    asked: dict[str, tuple[str, str, frozenset[str]]] = {}
    origins: dict[str, list[str]] = {}
    lines: list[Line] = []
    for header, body in bodies(network):
        if header.kind == "grant.request":
            request = (header.department, f"{body.provider}/{body.dataset}", frozenset(body.fields))
            asked[header.record_id] = request
        elif header.kind == "dataset.publish":
            derived_from = [each.hex() for each in body.derived_from]
            origins[f"{header.department}/{body.name}"] = derived_from
        elif header.kind == "exchange.receipts":
            lines += [(line.grant_id.hex(), *asked[line.grant_id.hex()]) for line in body.lines]
    return lines, origins


class _Header:
    def __init__(self, record: Record) -> None:
        self.kind, self.department = record.header.kind, record.header.department
        self.record_id = record.record_id.hex()


def bodies(network: Network) -> Iterator[tuple[_Header, object]]:
    for data in leaves(network.branch):
        if not isinstance(parse_any_leaf(data), BlockHeader):
            record = parse_leaf(data)
            kind = record.header.kind
            yield _Header(record), CONTRACTS[kind].body.decode(bytes(record.header.body))


def chains(lines: list[Line], origins: dict[str, list[str]], start: int) -> Iterator[str]:
    """The consumers at the ends of all chains of receipts that begin with a line."""
    yield lines[start][1]
    for later in range(start + 1, len(lines)):
        if lines[start][0] in origins[lines[later][2]]:
            yield from chains(lines, origins, later)


@pytest.mark.parametrize("seed", range(3))
def test_every_chain_of_receipts_leads_to_the_same_departments(seed: int) -> None:
    network = random_network(seed)
    sharing = Sharing(make_tables(network.branch, network.branch.genesis))
    lines, origins = lines_of(network)
    assert any(origins.values()), "nothing is derived"
    through_derived = 0
    for dataset, row in sharing.datasets.items():
        for field in row["fields"].split(","):
            expected = {
                consumer
                for start, line in enumerate(lines)
                if line[2] == dataset and field in line[3]
                for consumer in chains(lines, origins, start)
            }
            found = sharing.reach(dataset, field)
            assert {each.department for each in found if each.exchanges} == expected
            through_derived += sum(each.how == "derived" for each in found)
            for department in sharing.departments:
                holds = any(
                    each.dataset == dataset and field in each.fields and each.exchanges
                    for each in sharing.holdings(department)
                )
                assert holds == (department in expected)
    assert through_derived


# Files and commands.


def test_the_graph_has_each_grant_once_in_every_format(sharing: Sharing, tmp_path: Path) -> None:
    graph = sharing_graph(sharing)
    kinds = [kind for _, _, kind in graph.edges(data="kind")]
    assert (kinds.count("grant"), kinds.count("derived")) == (len(sharing.grants), 1)
    path = tmp_path / "graph.graphml"
    path.write_bytes(as_graphml(sharing))
    read = nx.read_graphml(path)
    assert set(read.nodes) == set(graph.nodes)
    assert read.number_of_edges() == graph.number_of_edges()


def test_the_picture_draws_and_names_everything_and_is_always_the_same(sharing: Sharing) -> None:
    picture = draw(sharing, title="<Sharing> & more", note="of a test")
    assert picture == draw(sharing, title="<Sharing> & more", note="of a test")
    root = ElementTree.fromstring(picture)
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "<Sharing> & more" in words
    asked_for = {grant["dataset"].split("/")[1] for grant in sharing.grants.values()}
    assert asked_for < set(words) and "tenants" in words
    assert words.count("1 dataset that nobody asked for") == 2
    assert words.count("service provision · legal obligation") == 6
    assert {"45 exchanges", "0 exchanges", "who reads it"} < set(words)
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    for grant_id in sharing.grants:
        assert any(grant_id in title for title in titles)


def test_the_picture_of_many_grants_counts_what_went_from_whom_to_whom(sharing: Sharing) -> None:
    picture = draw_matrix(sharing, title="<Sharing> & more", note="of a test")
    assert picture == draw_matrix(sharing, title="<Sharing> & more", note="of a test")
    root = ElementTree.fromstring(picture)
    told = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    pairs: dict[tuple[str, str], list[str]] = {}
    for grant_id, grant in sharing.grants.items():
        pairs.setdefault((grant["provider"], grant["consumer"]), []).append(grant_id)
    for (provider, consumer), ids in pairs.items():
        standing = sum(sharing.stands(each) for each in ids)
        exchanges = sum(sharing.grants[each]["exchanges"] for each in ids)
        said = f"{len(ids)} grants, {standing} in force, {exchanges} exchanges"
        assert f"{provider} to {consumer}: {said}" in told
    assert len(told) == len(pairs) + 1
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<Sharing> & more", "civil-affairs", "45"} <= set(words)
    counts = {0: "0", 999: "999", 1_240: "1.2k", 48_900: "48k", 3_100_000: "3.1M"}
    assert {count: _short(count) for count in counts} == counts


def test_the_commands_answer_from_a_directory(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, genesis = write_store(network.branch, tmp_path / "data"), tmp_path / "genesis.json"
    genesis.write_bytes(network.branch.genesis.to_json())
    of = [str(folder), "--genesis", str(genesis)]
    run = CliRunner().invoke

    def rows(*arguments: str) -> list[dict[str, object]]:
        done = run(main, ["audit", "graph", *arguments, *of, "--as", "json"])
        assert done.exit_code == 0, done.output
        answer = json.loads(done.output)
        assert answer["root"] == network.branch.checkpoint.root.hex()
        return list(answer["rows"])

    assert len(rows("reach", RESIDENTS, "--field", "name")) == 5
    assert len(rows("revocation", network.grants["housing"].hex())) == 3
    assert [row["how"] for row in rows("leak", "tourism")] == ["derived", "read", "publishes"]
    assert [row["departments"] for row in rows("cycles")] == [
        "civil-affairs, health",
        "civil-affairs, housing",
    ]
    assert rows("providers")[0]["department"] == "civil-affairs"
    assert rows("onward")[0]["code"] == "undeclared"
    for wrong in (["reach", "no/thing"], ["revocation", "00"], ["leak", "nobody"]):
        assert run(main, ["audit", "graph", *wrong, *of]).exit_code == 1
    for suffix in ("svg", "graphml", "json"):
        output = tmp_path / f"sharing.{suffix}"
        done = run(main, ["audit", "graph", "draw", *of, "-o", str(output)])
        assert done.exit_code == 0, done.output
        assert output.stat().st_size > 1_000
    monkeypatch.setattr("cli.graph.GRANTS_MAX", 1)
    for name, more in (("table", ()), ("arrows", ("--every-grant",))):
        output = tmp_path / f"{name}.svg"
        assert run(main, ["audit", "graph", "draw", *of, "-o", str(output), *more]).exit_code == 0
        same = output.read_bytes() == (tmp_path / "sharing.svg").read_bytes()
        assert same == (name == "arrows")
    written = json.loads((tmp_path / "sharing.json").read_text(encoding="utf-8"))
    assert written["height"] == network.branch.checkpoint.height
    assert run(main, ["audit", "graph", "draw", *of, "-o", str(tmp_path / "x.gif")]).exit_code == 2
