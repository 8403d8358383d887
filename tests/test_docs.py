"""What the documentation promises to be complete: codes, routes, settings, commands, links."""

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import click
import pytest

import cli.main
import node.__main__
from audit.findings import FINDINGS
from audit.gaps import GAPS
from audit.subjects import SUBJECT_FAULTS
from contracts.consortium import SETTINGS
from contracts.refusals import REFUSALS
from contracts.registry import CONTRACTS
from ledger.evidence import Evidence
from node.config import SECTIONS
from node.exchange.bulk import CODES
from node.http.app import make_routes
from node.http.problems import PROBLEMS
from node.messages import PeerMessage
from node.service import Service
from node.standing import Standing

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLE = ROOT / "docker" / "node.example.toml"

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "docker").rglob("*.md")])


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# Codes.


def part(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, f"there is no part {heading}"
    return rest.partition("\n## ")[0]


def documented(heading: str) -> list[str]:
    """The codes of a table of ERRORS.md: the first cell of each row."""
    return re.findall(r"^\| `([^`]+)` \|", part(read("ERRORS.md"), heading), re.MULTILINE)


def literal(value: ast.expr | None) -> str | None:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return None


def codes_in(folder: str, *makers: str) -> set[str]:
    """Text literals that are the first argument of one of these callables."""
    found: set[str | None] = set()
    for path in sorted((ROOT / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in makers:
                found.add(literal(call.args[0]))
    return {code for code in found if code is not None}


def exchange_codes() -> set[str]:
    raised = codes_in("node/exchange", "RpcError", "ExchangeRefused", "Rejected", "Refusal", "Stop")
    return raised | codes_in("node", "RpcError")


def peer_codes() -> set[str]:
    return codes_in("node", "Goodbye", "_on_problem", "_problem")


def alarm_codes() -> set[str]:
    named = codes_in("node", "Alarm")
    final = {standing.value for standing in Standing if standing.is_final}
    return named | final | {form.__name__ for form in get_args(Evidence)}


@pytest.mark.parametrize(
    ("heading", "codes"),
    [
        ("Refusals", set(REFUSALS)),
        ("Problems", set(PROBLEMS)),
        ("Audit findings", set(FINDINGS)),
        ("Gaps", set(GAPS)),
        ("Subjects", set(SUBJECT_FAULTS)),
        ("Exchanges", exchange_codes()),
        ("Bulk streams", set(CODES)),
        ("Peers", peer_codes()),
        ("Alarms", alarm_codes()),
    ],
)
def test_every_code_is_in_its_table_once_and_no_other_is(heading: str, codes: set[str]) -> None:
    assert codes, "the source names none"
    listed = documented(heading)
    assert sorted(listed) == sorted(codes)


def test_meanings_and_remedies_are_those_of_the_source() -> None:
    text = read("ERRORS.md")
    for table in (REFUSALS, PROBLEMS, FINDINGS):
        for code, explanation in cast("dict[str, Any]", table).items():
            assert f"| {explanation.meaning} | {explanation.remedy} |" in text, code


def test_every_error_that_ends_an_audit_is_listed() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "audit").rglob("*.py"))
    ends = r"^class ([A-Z]\w*)\((?:Exception|LedgerError|Unreadable)\):"
    found = set(re.findall(ends, source, re.MULTILINE)) - {"Behind"}
    assert {"Unreachable", "ProgressRefused"} <= found
    rows = re.findall(r"^\| `(\w+)` \(", part(read("ERRORS.md"), "Audit errors"), re.MULTILINE)
    assert sorted(rows) == sorted(found)


def test_statuses_are_those_of_the_source() -> None:
    listed = part(read("ERRORS.md"), "Problems")
    for code, kind in PROBLEMS.items():
        assert f"| `{code}` | {kind.status} |" in listed, code


# Routes, commands, settings, kinds.


def routes() -> list[str]:
    """Every route as "GET /v1/…"; the application needs no node to name them."""
    app = make_routes(cast("Service", SimpleNamespace()))
    paths = app.openapi()["paths"]
    return [f"{verb.upper()} {path}" for path, verbs in paths.items() for verb in verbs]


def test_every_route_is_documented_and_no_other_is() -> None:
    listed = re.findall(r"^\| `((?:GET|POST|PUT|DELETE|PATCH) [^`]+)` \|", read("HTTP.md"), re.M)
    assert sorted(listed) == sorted(routes())


@pytest.mark.parametrize("route", routes())
def test_every_route_has_an_example(route: str) -> None:
    verb, _, path = route.partition(" ")
    fixed = (re.escape(piece) for piece in re.split(r"{[a-z_]+}", "$URL" + path))
    called = re.compile(r'[^/\s"?]+'.join(fixed) + r'(["?\s]|$)')
    examples = [line for line in read("HTTP.md").splitlines() if line.startswith("    curl")]
    verbs = [example_verb(line) for line in examples if called.search(line)]
    assert verb in verbs


def example_verb(line: str) -> str:
    """What curl would send."""
    named = re.search(r"-X ([A-Z]+)", line)
    if named:
        return named[1]
    return "POST" if re.search(r"-d |--data-binary", line) or line.endswith("-d '{") else "GET"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and group of both command lines, by its whole name."""

    def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            for each in command.commands.values():
                yield from walk(each, f"{name} {each.name}")

    yield from walk(cli.main.main, "concordat")
    yield from walk(node.__main__.main, "concordat-node")


COMMANDS = dict(commands())


def section(name: str) -> str:
    """What CLI.md says about one command."""
    found = re.search(rf"^##+ `{re.escape(name)}`\n(.*?)(?=^##|\Z)", read("CLI.md"), re.M | re.S)
    assert found, f"{name} is not in CLI.md"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_help_and_options(name: str) -> None:
    command, text = COMMANDS[name], section(name)
    first = inspect.cleandoc(command.help or "").splitlines()[0]
    assert first in text
    if isinstance(command, click.Group):
        return
    assert re.search(rf"^    {re.escape(name)}\b", text, re.M), "there is no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(f"`{option}`" in text for option in parameter.opts), parameter.opts


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^##+ `([^`]+)`$", read("CLI.md"), re.M)) == set(COMMANDS)


def test_every_setting_of_the_consortium_is_documented_with_its_numbers() -> None:
    text = read("FORMATS.md")
    for name, rule in SETTINGS.items():
        row = f"| `{name}` | {rule.default:,} | {rule.least:,} | {rule.greatest:,} |"
        assert row in text, name


def test_every_kind_of_record_is_documented() -> None:
    text = part(read("FORMATS.md"), "9 Contracts")
    assert [kind for kind in CONTRACTS if f"`{kind}`" not in text] == []


def test_every_peer_message_is_documented_with_its_tag_and_fields() -> None:
    text = part(read("FORMATS.md"), "12 Peers")
    for form in get_args(PeerMessage):
        row = re.search(rf"^\| {form.__struct_config__.tag} \| {form.__name__} \|(.*)$", text, re.M)
        assert row, form.__name__
        assert [name for name in form.__struct_fields__ if name not in row[1]] == []


def example_settings() -> dict[str, Any]:
    """Settings of the example file by "section.key", also those that are commented out."""
    found: dict[str, Any] = {}
    name = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        plain = line.strip().removeprefix("#").strip()
        if header := re.fullmatch(r"\[([a-z_.-]+)\]", plain):
            name = header[1]
        elif re.match(r"[a-z_]+ *= *\S", plain):
            try:
                found |= {f"{name}.{key}": value for key, value in tomllib.loads(plain).items()}
            except tomllib.TOMLDecodeError:
                continue
    return found


def test_every_setting_of_a_node_is_in_the_example_with_its_default() -> None:
    shown = example_settings()
    expected = {
        f"{name}.{setting.name}": setting.default
        for name, form in SECTIONS.items()
        for setting in fields(form)
    }
    assert [key for key in expected if key not in shown] == []
    required = {"node.department"}
    differing = {key: shown[key] for key, value in expected.items() if shown[key] != value}
    assert set(differing) <= required


# Links and names.

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+)\)")


def links(page: Path) -> list[str]:
    """Targets of a page's links within the project."""
    found = LINK.findall(re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8")))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """What a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    absent = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not (ROOT / "docker").exists() and place.is_relative_to(ROOT / "docker"):
            continue
        if not place.exists() or (anchor and anchor not in anchors(place)):
            absent.append(target)
    assert absent == []


def test_every_decision_record_is_listed() -> None:
    listed = set(links(DOCS / "adr" / "README.md"))
    records = {path.name for path in (DOCS / "adr").glob("*.md")} - {"README.md"}
    assert sorted(records - listed) == []


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", read("THREAT_MODEL.md")))
    defined: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.M))
    assert named
    assert sorted(named - defined) == []


def test_every_file_that_the_architecture_names_exists() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|toml))`", read("ARCHITECTURE.md")))
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_every_command_that_a_remedy_names_exists() -> None:
    remedies = [each.remedy for each in REFUSALS.values()]
    remedies += [each.remedy for each in PROBLEMS.values()]
    named = [name for text in remedies for name in re.findall(r"`(concordat[^`]*)`", text)]
    assert named
    assert [name for name in named if name not in COMMANDS] == []
