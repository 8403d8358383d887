"""An operator with root on one node, who can fix every checksum."""

import tempfile
from pathlib import Path

import msgspec
from branches import Branch, write_store
from builders import Consortium
from recorded import dataset

from attacks.listing import THE_LEDGER, attack, flipped
from attacks.world import (
    World,
    at_leaf,
    verified,
)
from audit.sources.directory import DirectorySource
from audit.verify import Audit
from contracts.grants import parse_grant
from ledger import store_keys
from ledger.codec import encode
from ledger.types import Height


@attack("operator", "altered leaf", "bad-signature", THE_LEDGER)
def changes_a_record(world: World) -> set[str]:
    """Changes a word of a grant request in the store."""
    key = at_leaf(world.branch, "grant.request")
    world.branch.values[key] = world.branch.values[key].replace(b"a test", b"a jest")
    return verified(world.branch)


@attack("operator", "altered leaf", "broken-link", THE_LEDGER)
def swaps_two_records(world: World) -> set[str]:
    """Swaps two approvals within their block."""
    keys = [
        key
        for key, value in sorted(world.branch.values.items())
        if key[:1] == store_keys.LEAF and b"grant.approve" in value
    ][:2]
    values = world.branch.values
    values[keys[0]], values[keys[1]] = values[keys[1]], values[keys[0]]
    return verified(world.branch)


@attack("operator", "missing leaf", "key-missing", THE_LEDGER)
def drops_a_record(world: World) -> set[str]:
    """Takes a revocation out of the store."""
    del world.branch.values[at_leaf(world.branch, "grant.revoke")]
    return verified(world.branch)


@attack("operator", "altered attachment", "attachment-mismatch", THE_LEDGER)
def alters_an_item(world: World) -> set[str]:
    """Changes the number of rows in one receipt of a batch."""
    attached = [
        key
        for key in sorted(world.branch.values)
        if key[:1] == store_keys.ATTACHED and len(world.branch.values[key]) > 1_000
    ]
    key = attached[0]
    world.branch.values[key] = flipped(world.branch.values[key], 200)
    return verified(world.branch)


@attack("operator", "altered state", "key-differs", THE_LEDGER)
def revives_a_grant(world: World) -> set[str]:
    """Sets a revoked grant back to approved in the state."""
    key = store_keys.state_key(b"grant/" + world.revoked)
    grant = parse_grant(world.branch.values[key])
    world.branch.values[key] = encode(msgspec.structs.replace(grant, status="approved"))
    return verified(world.branch)


@attack("operator", "altered state", "key-missing", THE_LEDGER)
def shortens_a_list(world: World) -> set[str]:
    """Takes an item out of the stored list of a dataset's grants."""
    key = next(key for key in sorted(world.branch.values) if key[:1] == store_keys.LIST_ITEM)
    del world.branch.values[key]
    return verified(world.branch)


@attack("operator", "planted key", "key-unexpected", THE_LEDGER)
def plants_a_record_index(world: World) -> set[str]:
    """Adds an entry to the index of records that leads to no record."""
    world.branch.values[store_keys.record_key(bytes(32))] = bytes(16)
    return verified(world.branch)


@attack("operator", "damaged file", "file-damaged", "the damaged file and its own checksum")
def damages_a_file(world: World) -> set[str]:
    """Changes a byte in a file of the store and leaves its checksum."""

    with tempfile.TemporaryDirectory() as folder:
        store = write_store(world.branch, Path(folder) / "data")
        path = max(store.glob("*.log"), key=lambda each: each.stat().st_size)
        data = path.read_bytes()
        path.write_bytes(flipped(data, len(data) // 2))
        with DirectorySource(store) as source:
            return {each.code for each in Audit(world.branch.genesis, source).run().findings}


@attack("operator", "shorter ledger", "ledger-shorter", "the remembered checkpoint's note")
def restores_an_old_backup(world: World) -> set[str]:
    """Shows a store as it was before a grant was used."""
    seen = world.branch.checkpoint
    earlier = Branch(world.consortium)
    earlier.block(dataset(world.consortium, "health", "vaccinations"))
    earlier.certify(world.consortium.departments)
    return verified(earlier, seen)


@attack("operator", "shorter ledger", "incomplete-block", THE_LEDGER)
def cuts_the_last_block(world: World) -> set[str]:
    """Takes the last block's header, so that its records hang in the air."""
    last = max(key for key in world.branch.values if key[:1] == store_keys.LEAF)
    del world.branch.values[last]
    return verified(world.branch)


@attack("operator", "other genesis", "other-ledger", "both genesis files and their fingerprints")
def exchanges_the_genesis(world: World) -> set[str]:
    """Puts another genesis into the store."""
    other = Consortium(settings=(("record-skew-ms", 1_000),)).genesis_file
    world.branch.values[store_keys.GENESIS_MARK] = other.genesis_bytes
    return verified(world.branch)


@attack("operator", "altered Raft log", "entry-invalid", THE_LEDGER)
def rewrites_the_raft_log(world: World) -> set[str]:
    """Changes an entry of the Raft log, so that the block seems to come from elsewhere."""
    key = store_keys.entry_key(3)
    world.branch.values[key] = flipped(world.branch.values[key], 60)
    return verified(world.branch)


@attack("operator", "false certificate", "certificate-invalid", THE_LEDGER)
def certifies_alone(world: World) -> set[str]:
    """Adds a block and certifies it with the one key it has."""
    world.branch.block()
    world.branch.certify(("health",))
    return verified(world.branch)


@attack("operator", "false certificate", "certificate-invalid", THE_LEDGER)
def moves_a_certificate(world: World) -> set[str]:
    """Shows the certificate of an earlier block for a later one."""
    height = world.branch.checkpoint.height
    world.branch.block()
    values = world.branch.values
    values[store_keys.certificate_key(Height(height + 1))] = values[
        store_keys.certificate_key(Height(height))
    ]
    return verified(world.branch)
