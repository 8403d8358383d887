"""`audit.emergencies`: none is left out, and each is shown with what became of it."""

import json
from pathlib import Path

import msgspec
import pytest
from branches import Branch, write_store
from builders import START_MS, Consortium
from click.testing import CliRunner
from recorded import dataset, grant_request

import contracts.emergencies as forms
from audit.emergencies import emergencies
from cli.main import main
from contracts.grants import GrantRequest
from contracts.limits import Limits
from contracts.registry import CONTRACTS
from ledger.records import Record

DAY_MS = 86_400_000


class Flood:
    """A ledger on which four emergencies end in four ways, and an ordinary grant stands beside."""

    def __init__(self) -> None:
        self.consortium = Consortium(("health", "housing"), voter_count=1)
        self.branch = Branch(self.consortium)
        self.branch.block(dataset(self.consortium, "health", "table"))
        ordinary = grant_request(self.consortium, "housing", "health", "table")
        self.branch.block(ordinary)
        form = CONTRACTS["grant.request"].body
        asked: GrantRequest = form.decode(bytes(ordinary.header.body))
        self.ids: dict[str, bytes] = {}
        for name in ("declared", "awaiting-review", "justified", "unjustified"):
            start = self.record("housing", "emergency.start", self.start(asked, name))
            self.ids[name] = start.record_id
            self.branch.block(start)
            if name == "declared":
                continue
            confirmation = forms.EmergencyConfirm(start.record_id)
            self.branch.block(self.record("health", "emergency.confirm", confirmation))
            if name != "awaiting-review":
                review = forms.EmergencyReview(start.record_id, name, "two hundred were found")
                self.branch.block(self.record("health", "emergency.review", review))

    def start(self, asked: GrantRequest, name: str) -> forms.EmergencyStart:
        narrow = msgspec.structs.replace(
            asked,
            limits=Limits(exchanges_max=5, subjects_named=True),
            valid_until_ms=START_MS + DAY_MS,
        )
        return forms.EmergencyStart(narrow, f"a flood that ends {name}")

    def record(self, by: str, kind: str, body: object) -> Record:
        return self.consortium.record(by, kind, body, created_ms=START_MS + 9_000)


@pytest.fixture(scope="module")
def flood() -> Flood:
    return Flood()


def test_every_emergency_is_listed_with_its_outcome_and_no_other_grant(flood: Flood) -> None:
    found = emergencies(flood.branch, flood.consortium.genesis_file)
    outcomes = {value.grant_id: found.outcome(value) for value in found.grants}
    assert outcomes == {grant_id: name for name, grant_id in flood.ids.items()}
    assert [value.grant_id for value in found.grants] == list(flood.ids.values())


def test_the_command_names_who_acted_and_fails_on_what_is_unjustified(
    flood: Flood, tmp_path: Path
) -> None:
    write_store(flood.branch, tmp_path / "data")
    genesis = tmp_path / "genesis.json"
    genesis.write_bytes(flood.consortium.genesis_file.to_json())
    arguments = ["audit", "emergencies", str(tmp_path / "data"), "--genesis", str(genesis)]
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 1, done.output
    listed = {each["outcome"]: each for each in json.loads(done.output)}
    assert set(listed) == set(flood.ids)
    assert listed["unjustified"]["started_by"] == "housing (tester)"
    assert listed["unjustified"]["confirmed_by"] == "health (tester)"
    assert listed["unjustified"]["findings"] == "two hundred were found"
    assert listed["declared"]["confirmed_by"] is None
    shown = CliRunner().invoke(main, arguments)
    assert shown.exit_code == 1
    assert "4 emergencies" in shown.output
