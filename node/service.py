"""A node with everything that belongs to it, as the HTTP interface and the command line see it."""

from dataclasses import dataclass, field

from audit.index import Index
from node.authoring import Author
from node.exchange.approvals import Approver
from node.exchange.bulk import Bulk, Journal
from node.exchange.consumer import Consumer
from node.exchange.provider import Provider
from node.exchange.sources.registry import Sources
from node.exchange.vault import Vault
from node.runtime import Node
from node.tokens import Tokens
from node.witness import Witness
from node.witnessed import Witnessed


@dataclass(frozen=True, slots=True)
class Service:
    """The parts, wired in `node.server`. witness: None if this node is none for others."""

    node: Node
    author: Author
    tokens: Tokens
    sources: Sources
    vault: Vault
    provider: Provider
    consumer: Consumer
    journal: Journal
    bulk_receipts: Bulk
    bulk_acknowledgements: Bulk
    approver: Approver
    witness: Witness | None
    witnessed: Witnessed
    index: Index = field(default_factory=Index)
    open_streams: list[int] = field(default_factory=list)
