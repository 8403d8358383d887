"""Who can have seen what: data flows along receipts, also through derived data. Pure.

A line of receipts carries the fields that its grant's version names. If its dataset is derived, it
carries, too, whatever had gone out by then under the grants from which the dataset is derived:
which of its fields come from which origin the catalogue does not say, so each may. Lines are taken
in the order of the ledger, so nobody is said to have seen what came later.

What is shown is an upper bound of what went through Concordat: a query may ask for fewer fields
than were granted, and an exchange that was taken back counts, also a sealed one whose key never
came. What a department does with data beyond what it declares is not in a ledger
(docs/THREAT_MODEL.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from audit.tables import Tables

FieldOf = tuple[str, str]
"""A dataset, "publisher/name", and one of its fields."""

How = Literal["publishes", "read", "derived", "may read", "may derive"]


@dataclass(frozen=True, slots=True)
class Line:
    """What went out under one grant in one record. carried: what it may have shown."""

    grant_id: str
    consumer: str
    dataset: str
    time_ms: int
    exchanges: int
    rows: int
    carried: frozenset[FieldOf]


@dataclass(frozen=True, slots=True)
class Sight:
    """A department that can have seen something, under one grant.

    how: it publishes it; it read it; it read what is derived from it; or, although nothing went out
    yet, a grant that stands lets it. path: the datasets from the origin to the one that was read.
    """

    department: str
    how: How
    grant_id: str
    purpose: str
    legal_basis: str
    path: tuple[str, ...]
    exchanges: int = 0
    rows: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """What a department holds of one dataset, and so can lose. grants: under which, sorted."""

    dataset: str
    how: How
    classification: str
    fields: tuple[str, ...]
    grants: tuple[str, ...]
    exchanges: int = 0
    rows: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """A grant that lets nothing through any more once another one is revoked.

    path: the datasets from the revoked grant's to this one's.
    """

    grant_id: str
    consumer: str
    dataset: str
    purpose: str
    path: tuple[str, ...]
    exchanges: int
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class Onward:
    """What a person should look into about sharing further.

    code: `origin-ended`, derived data whose origin no longer allows it: the contracts let nothing
    through; `undeclared`, a dataset with fields that its publisher had received before, not offered
    as derived: a reason to ask. fields: in question. allowed: whether that grant allows sharing on.
    """

    code: Literal["origin-ended", "undeclared"]
    department: str
    dataset: str
    origin: str
    grant_id: str
    fields: tuple[str, ...]
    allowed: bool


class Sharing:
    """What a ledger's tables say about who received what.

    datasets, grants: rows by name or id. versions: the fields of each version of a grant.
    """

    def __init__(self, tables: Tables) -> None:
        self.time_ms = tables.time_ms
        self.departments = tuple(row["department"] for row in tables.named("departments"))
        self.datasets: dict[str, dict[str, Any]] = {
            row["dataset"]: row for row in tables.named("datasets")
        }
        self.grants: dict[str, dict[str, Any]] = {
            row["grant_id"]: row for row in tables.named("grants")
        }
        self.versions: dict[tuple[str, int], frozenset[str]] = {
            (row["grant_id"], row["version"]): frozenset(row["fields"].split(","))
            for row in tables.named("grant_versions")
        }
        self._tables = tables

    def origins(self, dataset: str) -> tuple[str, ...]:
        """The grants under which a dataset's publisher received what it is derived from."""
        named = self.datasets[dataset]["derived_from"]
        return tuple(named.split(",")) if named else ()

    def derived(self, grant_id: str) -> list[str]:
        """The datasets that are derived from what was received under a grant, sorted."""
        return sorted(name for name in self.datasets if grant_id in self.origins(name))

    def stands(self, grant_id: str) -> bool:
        """Whether a grant may let exchanges through now, its limits and hours apart."""
        grant = self.grants[grant_id]
        return (
            grant["status"] == "approved"
            and grant["valid_until_ms"] > self.time_ms
            and self.datasets[grant["dataset"]]["status"] == "offered"
            and all(
                self.stands(origin) and self.grants[origin]["onward"]
                for origin in self.origins(grant["dataset"])
            )
        )

    @cached_property
    def lines(self) -> list[Line]:
        """Every line of receipts, in the order of the ledger."""
        return list(self._flow())

    def _flow(self) -> Iterator[Line]:
        gone_out: dict[str, frozenset[FieldOf]] = {}
        for row in self._tables.named("receipt_lines"):
            grant = self.grants[row["grant_id"]]
            dataset = grant["dataset"]
            fields = self.versions[row["grant_id"], row["version"]]
            carried = frozenset((dataset, name) for name in fields).union(
                *(gone_out.get(origin, frozenset()) for origin in self.origins(dataset))
            )
            known = gone_out.get(row["grant_id"], frozenset())
            if not carried <= known:
                gone_out[row["grant_id"]] = known | carried
            yield Line(
                grant_id=row["grant_id"],
                consumer=grant["consumer"],
                dataset=dataset,
                time_ms=row["time_ms"],
                exchanges=row["exchanges"],
                rows=row["rows"],
                carried=carried,
            )

    # Who.

    def reach(self, dataset: str, field: str | None = None) -> list[Sight]:
        """Everybody who can have seen a dataset, or one of its fields; by department.

        Raises KeyError if there is no such dataset or it never had such a field.
        """
        known = self.datasets[dataset]
        if field is not None and field not in known["fields"].split(","):
            raise KeyError(f"{dataset} has no field {field}")
        sights = [Sight(known["dataset"].split("/")[0], "publishes", "", "", "", (dataset,))]
        lines: dict[str, list[Line]] = {}
        for line in self.lines:
            if any(name == dataset and field in (None, each) for name, each in line.carried):
                lines.setdefault(line.grant_id, []).append(line)
        sights += [
            self._sight(grant_id, dataset, "derived", "read", found)
            for grant_id, found in lines.items()
        ]
        for grant_id in self._allowed(dataset, field, frozenset(lines)):
            if grant_id not in lines:
                sights.append(self._sight(grant_id, dataset, "may derive", "may read", []))
        return sorted(sights, key=lambda sight: (sight.department, sight.how, sight.grant_id))

    def _sight(
        self, grant_id: str, dataset: str, through: How, direct: How, lines: list[Line]
    ) -> Sight:
        grant = self.grants[grant_id]
        return Sight(
            department=grant["consumer"],
            how=direct if grant["dataset"] == dataset else through,
            grant_id=grant_id,
            purpose=grant["purpose"],
            legal_basis=grant["legal_basis"],
            path=self._path(dataset, grant["dataset"]),
            exchanges=sum(line.exchanges for line in lines),
            rows=sum(line.rows for line in lines),
            first_ms=min((line.time_ms for line in lines), default=None),
            last_ms=max((line.time_ms for line in lines), default=None),
        )

    def _allowed(self, dataset: str, field: str | None, sources: frozenset[str]) -> set[str]:
        """Grants that stand and would show it now; sources: those under which it has gone out."""
        allowed = {
            grant_id
            for grant_id, grant in self.grants.items()
            if grant["dataset"] == dataset
            and self.stands(grant_id)
            and (field is None or field in grant["fields"].split(","))
        }
        while True:
            more = {
                grant_id
                for grant_id, grant in self.grants.items()
                if self.stands(grant_id)
                and any(
                    origin in allowed or origin in sources
                    for origin in self.origins(grant["dataset"])
                )
            }
            if more <= allowed:
                return allowed
            allowed |= more

    def _path(self, origin: str, dataset: str) -> tuple[str, ...]:
        """A shortest way of derivation between two datasets, both included; () if there is none."""
        if origin == dataset:
            return (dataset,)
        found = [
            (*before, dataset)
            for grant_id in self.origins(dataset)
            if (before := self._path(origin, self.grants[grant_id]["dataset"]))
        ]
        return min(found, key=lambda path: (len(path), path), default=())

    # What.

    def holdings(self, department: str) -> list[Holding]:
        """Everything that a leak at a department can bring out, by dataset."""
        held = [
            Holding(name, "publishes", row["classification"], tuple(row["fields"].split(",")), ())
            for name, row in self.datasets.items()
            if name.split("/")[0] == department
        ]
        parts: dict[tuple[str, How], list[Line]] = {}
        for line in self.lines:
            if line.consumer == department:
                for name in sorted({name for name, _ in line.carried}):
                    how: How = "read" if name == line.dataset else "derived"
                    parts.setdefault((name, how), []).append(line)
        for (name, how), lines in parts.items():
            fields = {each for line in lines for of, each in line.carried if of == name}
            held.append(
                Holding(
                    dataset=name,
                    how=how,
                    classification=self.datasets[name]["classification"],
                    fields=tuple(sorted(fields)),
                    grants=tuple(sorted({line.grant_id for line in lines})),
                    exchanges=sum(line.exchanges for line in lines),
                    rows=sum(line.rows for line in lines),
                    first_ms=min(line.time_ms for line in lines),
                    last_ms=max(line.time_ms for line in lines),
                )
            )
        return sorted(held, key=lambda each: (each.dataset, each.how))

    # What if.

    def stopped_by(self, grant_id: str) -> list[Stopped]:
        """The grants that stand and would stop if this one were revoked, itself among them.

        Raises KeyError if there is no such grant.
        """
        start = self.grants[grant_id]["dataset"]
        last_ms = {line.grant_id: line.time_ms for line in self.lines}
        found: dict[str, tuple[str, ...]] = {grant_id: (start,)}
        wave = [grant_id]
        while wave:
            reached: list[str] = []
            for ended in wave:
                for dataset in self.derived(ended):
                    for other, grant in sorted(self.grants.items()):
                        if grant["dataset"] == dataset and other not in found:
                            found[other] = (*found[ended], dataset)
                            reached.append(other)
            wave = reached
        return [
            Stopped(
                grant_id=other,
                consumer=self.grants[other]["consumer"],
                dataset=self.grants[other]["dataset"],
                purpose=self.grants[other]["purpose"],
                path=path,
                exchanges=self.grants[other]["exchanges"],
                last_ms=last_ms.get(other),
            )
            for other, path in found.items()
            if self.stands(other)
        ]

    # Whether.

    def onward(self) -> list[Onward]:
        """Derived data whose origin has ended, and data that looks as if it were shared on."""
        found = [
            Onward(
                code="origin-ended",
                department=name.split("/")[0],
                dataset=name,
                origin=self.grants[grant_id]["dataset"],
                grant_id=grant_id,
                fields=tuple(self.grants[grant_id]["fields"].split(",")),
                allowed=self.grants[grant_id]["onward"],
            )
            for name, row in sorted(self.datasets.items())
            if row["status"] == "offered"
            for grant_id in self.origins(name)
            if not (self.stands(grant_id) and self.grants[grant_id]["onward"])
        ]
        return found + list(self._undeclared())

    def _undeclared(self) -> Iterator[Onward]:
        """Datasets about the same persons as one that their publisher had read, with its fields."""
        first: dict[str, int] = {}
        received: dict[str, set[str]] = {}
        for line in self.lines:
            first.setdefault(line.grant_id, line.time_ms)
            own = (each for of, each in line.carried if of == line.dataset)
            received.setdefault(line.grant_id, set()).update(own)
        for name, row in sorted(self.datasets.items()):
            if row["status"] != "offered" or row["subject_field"] is None:
                continue
            declared = {self.grants[each]["dataset"] for each in self.origins(name)}
            for grant_id, fields in sorted(received.items()):
                grant = self.grants[grant_id]
                common = fields.intersection(row["fields"].split(",")) - {row["subject_field"]}
                if (
                    grant["consumer"] == name.split("/")[0]
                    and grant["dataset"] not in declared
                    and first[grant_id] <= row["published_ms"]
                    and self.datasets[grant["dataset"]]["subject_field"] == row["subject_field"]
                    and common
                ):
                    yield Onward(
                        code="undeclared",
                        department=grant["consumer"],
                        dataset=name,
                        origin=grant["dataset"],
                        grant_id=grant_id,
                        fields=tuple(sorted(common)),
                        allowed=grant["onward"],
                    )
