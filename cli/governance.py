"""`concordat consortium propose`, `vote`, `withdraw`, `status`, and a department's own keys."""

import json
import time
from pathlib import Path
from typing import Any

import click

from cli.client import Client, connect, node_options
from cli.consortium import ExistingFile
from cli.show import Failure, JsonOption, console, emit_json, fields, table
from cli.writing import Writer, writes

PREFIX_MIN = 8
"""Fewest characters of an id that stand for the whole one."""

ReasonOption = click.option("--reason", required=True, help="Why; everybody reads it.")


@click.group()
def propose() -> None:
    """Propose a change; it is this department's ballot for it, too."""


def _propose(writer: Writer, reason: str, action: str, **parts: Any) -> None:
    writer.post("/v1/proposals", {"action": {"action": action, **parts}, "reason": reason})


@propose.command("admit-department")
@click.argument("enrolment", type=ExistingFile)
@ReasonOption
@writes
def admit_department(writer: Writer, enrolment: Path, reason: str) -> None:
    """Admit the department whose ENROLMENT file `concordat-node init --join` made."""
    _propose(writer, reason, "admit-department", enrolment=_enrolment(enrolment))


@propose.command("suspend-department")
@click.argument("department")
@ReasonOption
@writes
def suspend_department(writer: Writer, department: str, reason: str) -> None:
    """Suspend DEPARTMENT: it may only end and settle what it began."""
    _propose(writer, reason, "suspend-department", department=department)


@propose.command("resume-department")
@click.argument("department")
@ReasonOption
@writes
def resume_department(writer: Writer, department: str, reason: str) -> None:
    """Make the suspended DEPARTMENT active again."""
    _propose(writer, reason, "resume-department", department=department)


@propose.command("retire-department")
@click.argument("department")
@ReasonOption
@writes
def retire_department(writer: Writer, department: str, reason: str) -> None:
    """Retire DEPARTMENT and its nodes for good."""
    _propose(writer, reason, "retire-department", department=department)


@propose.command("admit-node")
@click.argument("enrolment", type=ExistingFile)
@ReasonOption
@writes
def admit_node(writer: Writer, enrolment: Path, reason: str) -> None:
    """Admit another node of a member, by its ENROLMENT file, as a learner."""
    _propose(writer, reason, "admit-node", enrolment=_enrolment(enrolment))


@propose.command("retire-node")
@click.argument("node")
@ReasonOption
@writes
def retire_node(writer: Writer, node: str, reason: str) -> None:
    """Retire NODE (an id, its beginning, or a department with one node) for good."""
    _propose(writer, reason, "retire-node", node_id=_node(writer.client, node))


@propose.command("replace-node")
@click.argument("node")
@click.argument("enrolment", type=ExistingFile)
@click.option("--votes", is_flag=True, help="The successor votes in the old node's place.")
@ReasonOption
@writes
def replace_node(writer: Writer, node: str, enrolment: Path, votes: bool, reason: str) -> None:
    """Retire NODE and admit its department's new one by its ENROLMENT file."""
    node_id = _node(writer.client, node)
    parts = {"node_id": node_id, "enrolment": _enrolment(enrolment), "votes": votes}
    _propose(writer, reason, "replace-node", **parts)


@propose.command("change-voters")
@click.option("--join", "joining", multiple=True, help="Node that is to vote.")
@click.option("--leave", "leaving", multiple=True, help="Node that is to vote no more.")
@ReasonOption
@writes
def change_voters(
    writer: Writer, joining: tuple[str, ...], leaving: tuple[str, ...], reason: str
) -> None:
    """Make learners voters and voters learners, in one change."""
    parts = {
        "joining": [_node(writer.client, each) for each in joining],
        "leaving": [_node(writer.client, each) for each in leaving],
    }
    _propose(writer, reason, "change-voters", **parts)


@propose.command("revoke-key")
@click.argument("key")
@ReasonOption
@writes
def propose_revoke_key(writer: Writer, key: str, reason: str) -> None:
    """Revoke the record KEY of whatever department, also its last one."""
    _propose(writer, reason, "revoke-key", key=key)


@propose.command("change-setting")
@click.argument("name")
@click.argument("value", type=click.IntRange(min=0))
@ReasonOption
@writes
def change_setting(writer: Writer, name: str, value: int, reason: str) -> None:
    """Change the setting NAME of the consortium to VALUE."""
    _propose(writer, reason, "change-setting", name=name, value=value)


@propose.command("adopt-document")
@click.argument("kind", type=click.Choice(["calendar", "vocabulary"]))
@click.argument("publisher")
@click.argument("document")
@ReasonOption
@writes
def adopt_document(writer: Writer, kind: str, publisher: str, document: str, reason: str) -> None:
    """Put the calendar or vocabulary in force that PUBLISHER put forward, by its digest."""
    parts = {"kind": kind, "publisher": publisher, "document": document}
    _propose(writer, reason, "adopt-document", **parts)


@click.command("publish")
@click.argument("kind", type=click.Choice(["calendar", "vocabulary"]))
@click.argument("file", type=click.File("rb"))
@writes
def publish_document(writer: Writer, kind: str, file: Any) -> None:
    """Put the calendar or vocabulary of the JSON FILE forward; ballots put it in force."""
    try:
        content = json.load(file)
    except ValueError as error:
        raise Failure(f"{file.name} is not JSON: {error}", "See docs/HTTP.md.") from None
    writer.post(f"/v1/documents/{kind}", content)


@click.command()
@click.argument("proposal")
@click.argument("ballot", type=click.Choice(["yes", "no"]))
@writes
def vote(writer: Writer, proposal: str, ballot: str) -> None:
    """Cast this department's ballot on PROPOSAL, or change it."""
    proposal_id = _proposal(writer.client, proposal)
    writer.post(f"/v1/proposals/{proposal_id}/ballot", {"approves": ballot == "yes"})


@click.command()
@click.argument("proposal")
@writes
def withdraw(writer: Writer, proposal: str) -> None:
    """Take this department's PROPOSAL back."""
    writer.post(f"/v1/proposals/{_proposal(writer.client, proposal)}/withdraw", None)


@click.command("add-key")
@click.argument("key_file", type=ExistingFile)
@writes
def add_key(writer: Writer, key_file: Path) -> None:
    """Add the record key in KEY_FILE, as `concordat-node record-key new` made it."""
    writer.post("/v1/keys", _json_file(key_file))


@click.command("revoke-key")
@click.argument("key")
@click.option("--reason", required=True, help="Why; everybody reads it.")
@writes
def revoke_key(writer: Writer, key: str, reason: str) -> None:
    """Revoke this department's record KEY; the last one stays."""
    writer.post(f"/v1/keys/{key}/revoke", {"reason": reason})


@click.command()
@click.argument("proposal", required=False)
@click.option("--all", "everything", is_flag=True, help="Also proposals that are closed.")
@node_options
@JsonOption
def status(
    url: str, token: str | None, proposal: str | None, everything: bool, as_json: bool
) -> None:
    """Departments, nodes, voters and open proposals; or one PROPOSAL with its ballots."""
    client = connect(url, token)
    if proposal is not None:
        value = client.get(f"/v1/proposals/{_proposal(client, proposal)}")
        emit_json(value) if as_json else fields(value["proposal_id"], _shown(value))
        return
    known = client.get("/v1/consortium")
    proposals = list(client.pages("/v1/proposals", status=None if everything else "open"))
    proposals.sort(key=lambda entry: (entry["opened_height"], entry["proposal_id"]))
    if as_json:
        emit_json({"consortium": known, "proposals": proposals})
        return
    _show_consortium(known)
    table(
        "proposals" if everything else "open proposals",
        ("proposal", "by", "what", "stands", "until"),
        [
            (
                entry["proposal_id"][:16],
                entry["proposer"],
                _what(entry["action"]),
                f"{entry['status']}: {entry['approvals']} of {entry['needed']} that decide",
                _moment(entry["expires_ms"]),
            )
            for entry in proposals
        ],
    )


def _show_consortium(known: dict[str, Any]) -> None:
    rows = [
        (
            entry["department"],
            entry["title"],
            entry["status"],
            len(entry["record_keys"]),
            [f"{each['node_id'][:16]} {each['role']}" for each in entry["nodes"]],
        )
        for entry in known["departments"]
    ]
    table(known["title"], ("department", "title", "status", "record keys", "nodes"), rows)
    sets = len(known["voters"]), len(known["incoming"]), len(known["target_voters"])
    if known["incoming"]:
        console.print(f"voters: {sets[0]}, changing to {sets[1]}: both have to agree")
    elif known["voters"] != known["target_voters"]:
        console.print(f"voters: {sets[0]}; {sets[2]} are decided and come in a moment")
    else:
        console.print(f"voters: {sets[0]}")


def _shown(value: dict[str, Any]) -> dict[str, Any]:
    """A proposal, field by field, for a person."""
    action = value["action"]
    enrolment = action.get("enrolment")
    shown = value | {
        "action": _what(action),
        "expires": _moment(value["expires_ms"]),
        "ballots": [
            f"{cast['department']}: {'yes' if cast['approves'] else 'no'}"
            + ("" if cast["counts"] else " (does not count)")
            for cast in value["ballots"]
        ],
    }
    if enrolment is not None:
        shown["compare by telephone"] = enrolment["fingerprint"]
        shown["nodes"] = [f"{each['node_id']} {each['rpc_address']}" for each in enrolment["nodes"]]
    return shown


def _what(action: dict[str, Any]) -> str:
    """An action in a few words."""
    parts = []
    for name, value in action.items():
        if name == "action":
            continue
        if name == "enrolment":
            parts.append(
                f"{value['department']} {value['nodes'][0]['node_id'][:16]}"
                if value["nodes"]
                else value["department"]
            )
        elif isinstance(value, list):
            parts += [f"{name} {each[:16]}" for each in value]
        else:
            parts.append(str(value)[:64])
    return " ".join([action["action"], *parts])


def _moment(time_ms: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(time_ms / 1000))
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"


def _enrolment(path: Path) -> Any:
    return _json_file(path)


def _json_file(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: {error}", "Give the file that `concordat-node` made.") from None


def _node(client: Client, text: str) -> str:
    """A node's id from the id, its beginning, or a department with one node. Raises Failure."""
    found = []
    for entry in client.get("/v1/consortium")["departments"]:
        ids = [each["node_id"] for each in entry["nodes"]]
        if entry["department"] == text:
            found = ids
            break
        found += [each for each in ids if len(text) >= PREFIX_MIN and each.startswith(text)]
    return _only(found, text, "node", "`concordat consortium status`")


def _proposal(client: Client, text: str) -> str:
    """A proposal's id from the id or its beginning. Raises Failure."""
    if len(text) == 64:
        return text
    ids = [entry["proposal_id"] for entry in client.pages("/v1/proposals")]
    found = [each for each in ids if len(text) >= PREFIX_MIN and each.startswith(text)]
    return _only(found, text, "proposal", "`concordat consortium status --all`")


def _only(found: list[str], text: str, what: str, where: str) -> str:
    if len(found) != 1:
        count = "no" if not found else f"{len(found)}"
        raise Failure(
            f"{count} {what} is meant by {text}",
            f"Give its id, or at least {PREFIX_MIN} characters of it: {where} shows them.",
        )
    return found[0]
