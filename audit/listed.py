"""Proofs that an answer is complete by the heads of lists, each a file of its own. Pure.

Who read a dataset or a field:

    grants.json                all grants on the dataset, by the head of their list
    receipts-<grant id>.json   all receipts under one of them, by the head of theirs
    record-<record id>.json    what was asked for: the fields of each version of a grant

An amendment makes a version, and the state of the grant, shown with its receipts, counts them: no
version is missing. Times are those of blocks, which the proofs do not show.

    timeline.json              every record about a grant
    record-<record id>.json    a denial in the name of a grant by who does not provide its data
    emergencies.json           every grant that began as an emergency

What other questions are about is on no list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from audit.proofs.build import Prover, Unprovable
from audit.proofs.check import check_proof
from ledger.genesis import GenesisFile

GRANTS_MAX = 10_000
"""Limit of the grants on one dataset for which proofs are made, a file or more each."""

_ABOUT_GRANT = """
SELECT record_id, kind, department
FROM record_grants JOIN records USING (record_id) WHERE grant_id = $grant"""

_GRANTS_ON = "SELECT grant_id FROM grants WHERE dataset = $dataset"

_LINES_ON = """
SELECT grant_id, lines.record_id FROM receipt_lines lines JOIN grants USING (grant_id)
WHERE dataset = $dataset ORDER BY leaf_index, line"""

_VERSIONS_ON = """
SELECT record_id FROM grant_versions JOIN grants USING (grant_id)
WHERE dataset = $dataset ORDER BY grant_id, version"""

_OTHER = "Run `concordat audit verify` on it: the answer and the proofs do not agree."


Ask = Callable[[str, Mapping[str, str | int]], Sequence[tuple[Any, ...]]]
"""The rows that a query in SQL over the tables of a ledger finds; Unanswerable passes through."""


def listed_proofs(
    name: str,
    prover: Prover,
    genesis: GenesisFile,
    ask: Ask,
    parameters: Mapping[str, str | int],
) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files that prove the answer to a listed question.

    ask: of tables as of the prover's certificate. Raises Unprovable, also if an answer from the
    tables would not be what the proofs show.
    """
    voters = prover.voters()
    yield "voters.json", voters
    match name:
        case "timeline":
            yield from _timeline(prover, genesis, ask, str(parameters["grant"]))
        case "emergencies":
            yield from _emergencies(prover, genesis, ask)
        case _:
            yield from _readers(prover, genesis, ask, str(parameters["dataset"]))


def _timeline(
    prover: Prover, genesis: GenesisFile, ask: Ask, grant_id: str
) -> Iterator[tuple[str, bytes]]:
    data = prover.timeline(bytes.fromhex(grant_id))
    facts = check_proof(data, genesis, prover.voters()).facts
    proved = [entry["record_id"] for entry in facts["records"]]
    told = {record_id: about for record_id, *about in ask(_ABOUT_GRANT, {"grant": grant_id})}
    beside = set(told).difference(proved)
    others = {
        record_id
        for record_id, (kind, department) in told.items()
        if kind == "exchange.denials" and department != facts["request"]["provider"]
    }
    if not beside <= others or not set(told).issuperset(proved):
        raise Unprovable(f"the records about grant {grant_id} are not those proved", _OTHER)
    yield "timeline.json", data
    for record_id in sorted(beside):
        yield f"record-{record_id}.json", prover.record(bytes.fromhex(record_id))


def _emergencies(prover: Prover, genesis: GenesisFile, ask: Ask) -> Iterator[tuple[str, bytes]]:
    data = prover.emergencies()
    facts = check_proof(data, genesis, prover.voters()).facts
    told = {grant_id for (grant_id,) in ask("SELECT grant_id FROM grants WHERE emergency", {})}
    if {entry["grant_id"] for entry in facts["grants"]} != told:
        raise Unprovable("the emergencies are not those that are proved", _OTHER)
    yield "emergencies.json", data


def _readers(
    prover: Prover, genesis: GenesisFile, ask: Ask, dataset: str
) -> Iterator[tuple[str, bytes]]:
    publisher, _, name = dataset.partition("/")
    voters = prover.voters()

    def facts(data: bytes) -> dict[str, Any]:
        return check_proof(data, genesis, voters).facts

    listed = prover.grants(publisher, name)
    ids = [entry["grant_id"] for entry in facts(listed)["grants"]]
    of = {"dataset": dataset}
    if set(ids) != {grant_id for (grant_id,) in ask(_GRANTS_ON, of)}:
        raise Unprovable(f"the grants on {dataset} are not those that are proved", _OTHER)
    if len(ids) > GRANTS_MAX:
        raise Unprovable(
            f"{dataset} has {len(ids)} grants, proofs are made for {GRANTS_MAX}",
            "Prove single grants with `concordat audit prove receipts`.",
        )
    yield "grants.json", listed
    lines: dict[str, list[str]] = {grant_id: [] for grant_id in ids}
    for grant_id, record_id in ask(_LINES_ON, of):
        lines[grant_id].append(record_id)
    for grant_id in ids:
        data = prover.receipts(bytes.fromhex(grant_id))
        if [entry["record_id"] for entry in facts(data)["records"]] != lines[grant_id]:
            raise Unprovable(f"the receipts of grant {grant_id} are not those proved", _OTHER)
        yield f"receipts-{grant_id}.json", data
    for (record_id,) in ask(_VERSIONS_ON, of):
        yield f"record-{record_id}.json", prover.record(bytes.fromhex(record_id))
