"""A small ledger of sharing whose answers can be worked out by hand.

civil-affairs/residents (id_number, name, birth_date, address)
    g-housing, onward ──> housing ── derives ──> housing/tenants (id_number, rent)
                                          g-tourism ──> tourism, after housing had read
                                          g-back    ──> civil-affairs
    g-health          ──> health, name only in version 2
    g-transport       ──> transport, never used
health/vaccinations (id_number, vaccine)
    g-civil           ──> civil-affairs
transport/lines (no persons)
    g-lines           ──> housing, revoked
tourism/guests (id_number, address): offered after tourism had read housing/tenants
health/patients (id_number, name): offered after health had read residents, undeclared
"""

from dataclasses import dataclass, field

from branches import Branch
from builders import START_MS, Consortium
from recorded import RIGHT

from contracts.catalog import DatasetOffer, Description, Field
from contracts.exchanges import Receipt, ReceiptLine, Receipts
from contracts.grants import GrantAmend, GrantApprove, GrantDecision, GrantRequest
from contracts.limits import Limits
from ledger.attachments import items_root
from ledger.codec import encode


@dataclass
class Network:
    """The ledger so far. grants: ids by the names that tests give them."""

    branch: Branch = field(default_factory=lambda: Branch(Consortium()))
    grants: dict[str, bytes] = field(default_factory=dict)
    exchanges: int = 0

    def send(self, department: str, kind: str, body: object, **more: object) -> bytes:
        """A record in a block of its own; its id."""
        self.exchanges += 1
        made = {"created_ms": START_MS + 9_000, "nonce": self.exchanges.to_bytes(16, "big")}
        record = self.branch.consortium.record(department, kind, body, **made | more)
        self.branch.block(record)
        return record.record_id

    def publish(self, name: str, fields: str, *derived_from: str, person: bool = True) -> None:
        """A department's dataset, "publisher/name", with the fields named."""
        department, _, short = name.partition("/")
        names = fields.split()
        described = Description(
            title=short.capitalize(),
            description="for tests",
            fields=tuple(Field(each, "text", each) for each in names),
            subject_field=names[0] if person else None,
        )
        origins = tuple(sorted(self.grants[each] for each in derived_from))
        offer = DatasetOffer(
            short, "personal" if person else "public", "conditional", not origins, (), origins
        )
        self.send(department, "dataset.publish", offer, document=encode(described))

    def request(self, dataset: str, fields: str, *, onward: bool = False) -> GrantRequest:
        """What is asked for."""
        provider, _, short = dataset.partition("/")
        return GrantRequest(
            provider=provider,
            dataset=short,
            fields=tuple(sorted(fields.split())),
            purpose=RIGHT[1],
            description="a test",
            legal_basis=RIGHT[2],
            legal_reference="none",
            valid_from_ms=START_MS,
            valid_until_ms=START_MS + 86_400_000,
            limits=Limits(),
            onward=onward,
        )

    def grant(
        self, name: str, consumer: str, dataset: str, fields: str, *, onward: bool = False
    ) -> None:
        """An approved grant."""
        asked = self.request(dataset, fields, onward=onward)
        self.grants[name] = self.send(consumer, "grant.request", asked)
        self.send(asked.provider, "grant.approve", GrantApprove(self.grants[name]))

    def amend(
        self, name: str, consumer: str, dataset: str, fields: str, *, version: int, onward: bool
    ) -> None:
        """Another version, approved."""
        asked = self.request(dataset, fields, onward=onward)
        self.send(consumer, "grant.amend", GrantAmend(self.grants[name], asked))
        self.send(asked.provider, "grant.approve", GrantApprove(self.grants[name], version))

    def read(self, name: str, provider: str, count: int = 1, *, version: int = 1) -> bytes:
        """Receipts of so many exchanges of two rows each; the record's id."""
        items = []
        for _ in range(count):
            self.exchanges += 1
            number = self.exchanges.to_bytes(32, "big")
            items.append(encode(Receipt(number, *[bytes(32)] * 3, 2, 20, 2, bytes(32))))
        right = (version, *RIGHT[1:])
        line = ReceiptLine(
            self.grants[name], *right, count, 2 * count, 20 * count, items_root(items)
        )
        return self.send(provider, "exchange.receipts", Receipts((line,)), items=tuple(items))

    def revoke(self, name: str, provider: str) -> None:
        """The provider ends a grant."""
        self.send(provider, "grant.revoke", GrantDecision(self.grants[name], "a test"))


def make_network() -> Network:
    """The ledger of the picture above, certified by everybody."""
    made = Network()
    residents, tenants = "civil-affairs/residents", "housing/tenants"
    made.publish(residents, "id_number name birth_date address")
    made.publish("health/vaccinations", "id_number vaccine")
    made.publish("transport/lines", "line stop", person=False)
    made.grant("housing", "housing", residents, "id_number name", onward=True)
    made.grant("health", "health", residents, "id_number")
    made.grant("transport", "transport", residents, "id_number address")
    made.grant("civil", "civil-affairs", "health/vaccinations", "id_number vaccine")
    made.grant("lines", "housing", "transport/lines", "line stop")
    made.publish(tenants, "id_number rent", "housing")
    made.grant("tourism", "tourism", tenants, "id_number rent")
    made.grant("back", "civil-affairs", tenants, "rent")
    made.read("back", "housing")
    made.read("housing", "civil-affairs", 40)
    made.read("tourism", "housing", 5)
    made.read("health", "civil-affairs", 3)
    made.amend("health", "health", residents, "id_number name", version=2, onward=False)
    made.read("health", "civil-affairs", 2, version=2)
    made.read("civil", "health", 7)
    made.read("lines", "transport", 300)
    made.revoke("lines", "transport")
    made.publish("health/patients", "id_number name ward")
    made.publish("tourism/guests", "id_number address")
    made.branch.certify(made.branch.consortium.departments)
    return made
