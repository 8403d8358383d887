"""What a provider's node shows an auditor of its own exchanges (`audit.openings`).

The vault is read through once from its beginning to its end: this is asked for now and then, by a
person, and nothing is kept on its account.
"""

from collections.abc import Iterator
from typing import Any

from audit.openings import Asked, Opening
from contracts.catalog import dataset
from contracts.grants import grant
from contracts.queries import Field, QueryRefused, named_subjects, parse_query
from contracts.state import View
from node.exchange.vault import Vault


def openings(
    vault: Vault, view: View, *, grant_id: bytes | None, queries: bool
) -> Iterator[Opening]:
    """The openings of what this node provided, of one grant or of all. Blocking, one by one.

    queries: also what was asked, and the salts of those whom a query names: these are people's
    identifiers.
    """
    for exchange_id, content in vault.provided():
        of = bytes.fromhex(content["grant"])
        if grant_id is not None and of != grant_id:
            continue
        yield Opening(
            exchange_id=exchange_id.hex(),
            grant_id=of.hex(),
            tags=content["subject_tags"],
            asked=_asked(vault, view, of, content) if queries else None,
        )


def _asked(vault: Vault, view: View, grant_id: bytes, content: dict[str, Any]) -> Asked:
    known = grant(view, grant_id)
    assert known is not None, "what was provided was provided under a grant"
    offered = dataset(view, known.request.provider, known.request.dataset)
    assert offered is not None, "an approved grant has its dataset"
    fields = [Field(name, kind) for name, kind in offered.fields]
    try:
        query = parse_query(content["query"].encode(), fields)
    except QueryRefused:
        named = None
    else:
        named = named_subjects(query, offered.subject_field)
    salts = {each: vault.salt(grant_id, each) for each in sorted(named or ())}
    return Asked(
        fields=content["fields"],
        query=content["query"],
        request_blinding=content["request_blinding"],
        salts={each: salt.hex() for each, salt in salts.items() if salt is not None},
    )
