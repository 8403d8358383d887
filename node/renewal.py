"""A new node in the place of one whose key is spent: new keys, an empty store, an enrolment file.

What was is set aside, never deleted: the old keys, marked as spent, and the old store, which is
evidence. Only the node's secret stays, because it opens the vault. The new record key comes with
the enrolment; the old one counts until the department revokes it.
"""

from dataclasses import dataclass
from pathlib import Path

from ledger.genesis import EnrolmentFile
from node.config import Config
from node.errors import ConfigInvalid, IdentityInvalid, StoreCorrupt
from node.identity import create_identity, load_identity, mark_spent, read_secret
from node.runtime import load_genesis
from node.setup import enrol
from node.store.leveldb import LevelStore

_KEPT = ("secret",)


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was made, and where what was before now lies."""

    enrolment: EnrolmentFile
    enrolment_path: Path
    set_aside: tuple[Path, ...]


def renew(config: Config, *, rpc_address: str | None) -> Renewed:
    """Gives this folder a new node; the old one never takes part again.

    rpc_address: under which peers reach it; None for the old node's. Raises IdentityInvalid,
    StoreInUse while the old node runs, ConfigInvalid if the ledger names no address.
    """
    keys = config.path(config.node.keys)
    data = config.path(config.node.data)
    genesis = load_genesis(config.path(config.node.genesis))
    _check_not_running(data)
    old = load_identity(keys)
    department = next(
        (
            entry
            for entry in genesis.genesis.departments
            if entry.department == config.node.department
        ),
        None,
    )
    if department is None:
        raise ConfigInvalid(f"the genesis names no department {config.node.department}")
    address = rpc_address or next(
        (node.rpc_address for node in department.nodes if node.node_id == old.node_id), None
    )
    if address is None:
        raise ConfigInvalid("the genesis does not name this node", remedy="Give --rpc-address.")
    mark_spent(keys, standing="behind", detail="these keys were renewed")
    name = f"spent-{old.node_id.hex()[:16]}"
    fresh = keys.with_name(keys.name + ".new")
    identity = create_identity(
        fresh, keep={kept: read_secret(keys / f"{kept}.key") for kept in _KEPT}
    )
    set_aside = []
    for path in (data, keys):
        if path.exists():
            aside = path.with_name(f"{path.name}.{name}")
            if aside.exists():
                raise IdentityInvalid(f"{aside} is there already", remedy="Move it elsewhere.")
            path.rename(aside)
            set_aside.append(aside)
    fresh.rename(keys)
    enrolment = enrol(
        identity,
        ledger_id=genesis.ledger_id,
        department=department.department,
        title=department.title,
        rpc_address=address,
    )
    path = config.base / "enrolment.json"
    path.write_bytes(enrolment.to_json())
    return Renewed(enrolment, path, tuple(set_aside))


def _check_not_running(data: Path) -> None:
    if data.exists():
        try:
            LevelStore(data).close()
        except StoreCorrupt:
            return
