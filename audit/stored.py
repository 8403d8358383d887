"""A store's keys by kind, for a person (`ledger.store_keys`)."""

from ledger import store_keys

KINDS: dict[bytes, str] = {
    store_keys.ATTACHED: "attachment",
    store_keys.BLOCK: "block",
    store_keys.CERTIFICATE: "certificate",
    store_keys.DOCUMENT: "document",
    store_keys.ENTRY: "Raft entry",
    store_keys.LIST_ITEM: "list item",
    store_keys.LEAF: "leaf",
    store_keys.MARK: "mark",
    store_keys.NONCE: "nonce",
    store_keys.OWN_SIGNATURE: "own signature",
    store_keys.STATE_PAGE: "state page",
    store_keys.RECORD: "record",
    store_keys.TILE: "tile",
    store_keys.STATE_VALUE: "state value",
    store_keys.PROMISE: "promise",
    store_keys.EVIDENCE: "evidence",
}


def name_of(key: bytes) -> str:
    """A stored key for a person."""
    kind = KINDS.get(key[:1])
    if kind is None:
        return f"key {key[:40].hex()}"
    rest = key[1:]
    if len(rest) == 8 and key[:1] not in (store_keys.STATE_PAGE, store_keys.STATE_VALUE):
        return f"{kind} {store_keys.read_number(rest)}"
    return f"{kind} {rest[:40].hex()}"


def after(prefix: bytes) -> bytes:
    """The first key after every key of one kind."""
    return bytes([prefix[0] + 1])
