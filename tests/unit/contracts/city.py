"""A city that shares data for a while: scripted from a seed, sensible and not so sensible.

Each act is signed by a department and put into the next block; most are what somebody would do,
some are tried by the wrong department, at the wrong time, about the wrong version. Time passes
between blocks, nights and weekends too.
"""

import random
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from builders import Consortium
from harness import Ledger, description, lines_of, receipt, receipt_lines, token
from oracle import DAY_MS, HOUR_MS, Oracle, Right
from ruled import drawn, text

import contracts.emergencies as emergencies
import contracts.policies as policies
from audit.cedar import ENGINE, decide
from contracts.catalog import DatasetOffer, DatasetWithdraw, dataset
from contracts.exchanges import (
    Acknowledgement,
    Acknowledgements,
    Denial,
    Denials,
    Item,
    Key,
    Keys,
    Receipts,
    Void,
    Voids,
)
from contracts.grants import (
    GrantAmend,
    GrantApprove,
    GrantDecision,
    GrantReply,
    GrantRequest,
    grant,
    overdue,
)
from contracts.limits import Hours, Limits, Rate
from ledger.codec import encode
from ledger.records import Record
from ledger.sealing import WRAPPED_BYTES

DEPARTMENTS, DATASETS = 46, 60
FIELDS = ("district", "insured", "person")
PURPOSES = ("dpv:ServiceProvision", "dpv:PublicBenefit", "dpv:LegalCompliance")
LEGAL_BASES = ("dpv:LegalObligation", "dpv:PublicInterest", "dpv:VitalInterest")

WEIGHTS = {
    "receipts": 60,
    "halves": 20,
    "deny": 4,
    "request": 20,
    "decide": 24,
    "amend": 3,
    "stop": 1.5,
    "resume": 3,
    "end": 0.5,
    "declare": 2,
    "publish": 1,
    "withdraw-dataset": 0.1,
    "rule": 3,
    "unrule": 0.1,
}
"""What is tried, and how often."""

CALM = {
    "receipts": 80,
    "halves": 30,
    "request": 2.6,
    "decide": 4,
    "amend": 0.3,
    "stop": 0.15,
    "resume": 0.3,
    "end": 0.05,
    "declare": 0.2,
    "publish": 0.1,
    "withdraw-dataset": 0.01,
    "rule": 0.3,
    "unrule": 0.01,
}
"""How often over a year: few grants, much under each."""


class City:
    """A ledger and an oracle that see the same records. differences: where they disagree.

    documents: by digest. lies: automatic decisions that their policy does not support, by record
    id; unsupported: those of them on the ledger. judged, refused: records, the latter by code.
    automatic: what policies said.
    """

    def __init__(self, seed: int, *, calm: bool = False) -> None:
        """calm: acts are weighted as over a year, and a batch of receipts holds several."""
        self.chance = random.Random(seed)
        names = tuple(f"department-{number:02}" for number in range(DEPARTMENTS))
        self.weights = WEIGHTS | CALM if calm else WEIGHTS
        self.batch = 6 if calm else 1
        self.names = names
        self.ledger = Ledger(Consortium(departments=names))
        self.oracle = Oracle()
        self.sent: list[tuple[Record, str, Any, Any]] = []
        self.differences: list[str] = []
        self.documents: dict[bytes, bytes] = {}
        self.lies: set[bytes] = set()
        self.unsupported: set[bytes] = set()
        self.automatic = Counter[str]()
        self.refused = Counter[str]()
        self.judged = self.numbers = 0
        for number in range(DATASETS):
            self._publish(names[number % DEPARTMENTS])
        self.block(1_000)

    # Acts.

    def act(self) -> None:
        """Somebody does something."""
        word = self.chance.choices(list(self.weights), list(self.weights.values()))[0]
        getattr(self, "_" + word.replace("-", "_"))()

    def _send(self, by: str, kind: str, body: Any, fields: Any = None, **more: Any) -> Record:
        if self.chance.random() < 0.06:
            by = self.chance.choice(self.names)
        record = self.ledger.sign(by, kind, body, valid_ms=DAY_MS, **more)
        self.sent.append((record, by, body, fields))
        return record

    def _publish(self, by: str | None = None) -> None:
        by = by or self.chance.choice(self.names)
        others = [name for name in self.names if name != by]
        self.numbers += 1
        sharing = self.chance.choices(("open", "conditional", "closed"), (3, 6, 1))[0]
        approvers = sorted(self.chance.sample(others, self.chance.choice((0, 0, 1, 2))))
        onward = [
            grant_id
            for grant_id, right in self.oracle.rights.items()
            if right.consumer == by and right.request.onward
        ]
        origins = sorted(onward[:1]) if self.chance.random() < 0.5 else []
        subject = self.chance.choice(("person", None))
        secrecy = self.chance.choice(("personal", "personal", "sensitive"))
        offer = DatasetOffer(
            name=f"data-{self.numbers}",
            classification=secrecy,
            sharing=sharing,
            authoritative=True,
            co_approvers=tuple(approvers),
            derived_from=tuple(origins),
            carried=self.chance.choice(("nodes", "nodes", "nodes", "elsewhere")),
        )
        document = description(FIELDS, subject)
        self.documents[sha256(document).digest()] = document
        record = self.ledger.sign(by, "dataset.publish", offer, document=document, valid_ms=DAY_MS)
        self.sent.append((record, by, offer, (FIELDS, subject)))

    def _withdraw_dataset(self) -> None:
        publisher, name = self.chance.choice(sorted(self.oracle.data))
        self._send(publisher, "dataset.withdraw", DatasetWithdraw(name, "replaced"))

    def _rule(self) -> None:
        """A publisher's policy, for which the stewards then need not be asked."""
        publisher, name = self.chance.choice(sorted(self.oracle.data))
        rules = drawn(self.chance, self.names, PURPOSES)
        document = text(rules).encode()
        self.documents[sha256(document).digest()] = document
        body = policies.PolicyPublish(name)
        self._send(publisher, "policy.publish", body, rules, document=document)

    def _unrule(self) -> None:
        ruled = sorted(key for key, data in self.oracle.data.items() if data.rules is not None)
        publisher, name = self.chance.choice(ruled or sorted(self.oracle.data))
        self._send(publisher, "policy.withdraw", policies.PolicyWithdraw(name, "it is reviewed"))

    def _by_policy(self, grant_id: bytes) -> None:
        """What the provider's node does about a request: it evaluates, signs and cites.

        Now and then one says something else than its policy, or cites another one.
        """
        right = self.oracle.rights[grant_id]
        assert right.waiting is not None
        asked, state = right.waiting.request, self.ledger.state
        in_force = policies.policy(state, asked.provider, asked.dataset)
        if in_force is None or in_force.document is None:
            return
        offered = dataset(state, asked.provider, asked.dataset)
        assert offered is not None
        written = self.documents[in_force.document].decode()
        found = decide(written, consumer=right.consumer, request=asked, offered=offered)
        expected = self.oracle.by_policy(grant_id)
        if (found.verdict, found.policies) != expected:
            self.differences.append(f"{written}: {found}, the oracle says {expected}")
        self.automatic[found.verdict] += 1
        verdict = found.verdict
        if self.chance.random() < 0.1:
            verdict = self.chance.choice(("permit", "forbid"))
        if verdict == "steward":
            return
        document = in_force.document if self.chance.random() < 0.85 else bytes(32)
        citation = policies.Citation(document, ENGINE, found.policies or ("rule-9",))
        body: Any = policies.GrantPermit(grant_id, right.waiting.version, citation)
        if verdict == "forbid":
            reason = "forbidden by policy"
            body = policies.GrantForbid(grant_id, right.waiting.version, citation, reason)
        record = self._send(asked.provider, f"grant.{verdict}", body)
        if verdict != found.verdict:
            self.lies.add(record.record_id)

    def _wanted(self, provider: str, name: str, **changes: Any) -> GrantRequest:
        now = self.ledger.time_ms
        pick = self.chance.choice
        start = now + pick((0, 0, 0, HOUR_MS, 2 * DAY_MS))
        limits = Limits(
            exchanges_max=pick((0, 0, 10, 100, 1_000)),
            rows_max=pick((0, 0, 20, 1_000, 10_000)),
            size_bytes_max=pick((0, 0, 0, 0, 9_000)),
            rate=pick((None, None, None, None, Rate(2, HOUR_MS), Rate(20, HOUR_MS))),
            hours=pick((*6 * (None,), Hours(480, 1_020, "+00:00"), Hours(1_200, 300, "+00:00"))),
            subjects_max=pick((0, 0, 0, 5)),
            subjects_named=False,
        )
        asked = {
            "provider": provider,
            "dataset": name,
            "fields": tuple(sorted(self.chance.sample(FIELDS, self.chance.randint(1, 2)))),
            "purpose": pick((*5 * PURPOSES, "dpv:Curiosity")),
            "description": "",
            "legal_basis": pick(LEGAL_BASES),
            "legal_reference": "",
            "valid_from_ms": start,
            "valid_until_ms": start + pick((0, HOUR_MS, *4 * (DAY_MS, 20 * DAY_MS, 90 * DAY_MS))),
            "limits": limits,
            "onward": pick((False, False, True)),
        }
        return GrantRequest(**(asked | changes))

    def _request(self) -> None:
        provider, name = self.chance.choice(sorted(self.oracle.data))
        consumer = self.chance.choice(self.names)
        self._send(consumer, "grant.request", self._wanted(provider, name))

    def _declare(self) -> None:
        provider, name = self.chance.choice(sorted(self.oracle.data))
        wide = self.chance.random() < 0.2
        limits = Limits(exchanges_max=0 if wide else 50, subjects_named=True)
        now = self.ledger.time_ms
        asked = self._wanted(
            provider,
            name,
            limits=limits,
            onward=False,
            valid_from_ms=now,
            valid_until_ms=now + DAY_MS,
        )
        consumer = self.chance.choice(self.names)
        self._send(consumer, "emergency.start", emergencies.EmergencyStart(asked, "a flood"))

    def _usable(self) -> tuple[bytes, Right] | None:
        """A grant that is approved, not over and not used up; now and then any other."""
        if self.chance.random() < 0.1:
            return self._some("approved")
        now = self.ledger.time_ms
        found = [
            (grant_id, right)
            for grant_id, right in self.oracle.rights.items()
            if right.status == "approved"
            and now < right.request.valid_until_ms
            and not right.is_used_up
        ]
        return self.chance.choice(found) if found else None

    def _some(self, *wanted: str) -> tuple[bytes, Right] | None:
        """A grant in one of these states, or sometimes any; "waits" is one of them."""
        found = [
            (grant_id, right)
            for grant_id, right in self.oracle.rights.items()
            if right.status in wanted or ("waits" in wanted and right.waiting is not None)
        ]
        if self.chance.random() < 0.05:
            found = list(self.oracle.rights.items())
        return self.chance.choice(found) if found else None

    def _decide(self) -> None:
        chosen = self._some("waits", "requested")
        if chosen is None:
            return
        grant_id, right = chosen
        if right.emergency:
            self._see_to(grant_id, right)
            return
        waiting = right.waiting
        deciders = sorted(right.stoppers if waiting is None else waiting.deciders)
        by = self.chance.choice(deciders)
        version = right.versions + (self.chance.random() < 0.03)
        if waiting is not None and waiting.stage == "information-asked":
            word, by = self.chance.choice(("answer", "retract")), right.consumer
        else:
            word = self.chance.choices(
                ("approve", "accept", "ask", "refuse", "retract"), (14, 4, 2, 2, 1)
            )[0]
        if word == "retract":
            by = right.consumer
        if word == "accept":
            by = right.request.provider
        body: Any = GrantReply(grant_id, "as agreed", version)
        if word in ("approve", "accept"):
            body = GrantApprove(grant_id, version)
        self._send(by, f"grant.{word}", body)

    def _see_to(self, grant_id: bytes, right: Right) -> None:
        by = self.chance.choice(sorted(right.stoppers))
        if right.confirmed_ms is None:
            self._send(by, "emergency.confirm", emergencies.EmergencyConfirm(grant_id))
        else:
            verdict = self.chance.choice(("justified", "justified", "unjustified"))
            body = emergencies.EmergencyReview(grant_id, verdict, "it was looked into")
            self._send(by, "emergency.review", body)

    def _amend(self) -> None:
        chosen = self._some("approved", "suspended")
        if chosen is not None:
            grant_id, right = chosen
            asked = self._wanted(right.request.provider, right.request.dataset)
            self._send(right.consumer, "grant.amend", GrantAmend(grant_id, asked))

    def _stop(self) -> None:
        chosen = self._some("approved")
        if chosen is not None:
            grant_id, right = chosen
            if right.emergency and self.chance.random() < 0.7:
                self._see_to(grant_id, right)
                return
            by = self.chance.choice(sorted(right.stoppers))
            word = self.chance.choice(("suspend", "suspend", "revoke"))
            self._send(by, f"grant.{word}", GrantDecision(grant_id, "an odd pattern"))

    def _resume(self) -> None:
        chosen = self._some("suspended")
        if chosen is not None:
            grant_id, right = chosen
            by = self.chance.choice((right.suspended_by or right.consumer, right.request.provider))
            self._send(by, "grant.resume", GrantDecision(grant_id, "it was explained"))

    def _end(self) -> None:
        chosen = self._some("approved", "requested")
        if chosen is not None:
            grant_id, right = chosen
            self._send(right.consumer, "grant.withdraw", GrantDecision(grant_id, "done"))

    def _receipts(self) -> None:
        chosen = self._usable()
        if chosen is None:
            return
        grant_id, right = chosen
        made = []
        for _ in range(self.chance.randint(1, self.batch) + (self.chance.random() < 0.2)):
            self.numbers += 1
            made.append(receipt(self.numbers, rows=self.chance.choice((0, 1, 3))))
        stated = {
            "version": right.version,
            "purpose": right.request.purpose,
            "legal_basis": right.request.legal_basis,
        }
        if self.chance.random() < 0.04:
            wrong = {"version": 9, "purpose": PURPOSES[0], "legal_basis": LEGAL_BASES[2]}
            word = self.chance.choice(sorted(wrong))
            stated[word] = wrong[word]
        data = self.oracle.data[right.request.provider, right.request.dataset]
        stated["sealed"] = data.sealed if self.chance.random() < 0.97 else not data.sealed
        lines = receipt_lines({grant_id: made}, **stated)
        items = tuple(encode(each) for each in made)
        self._send(right.request.provider, "exchange.receipts", Receipts(lines), items=items)

    def _halves(self) -> None:
        """What follows a receipt, by either side; now and then too early, or too much."""
        chosen = self._usable()
        if chosen is None:
            return
        grant_id, right = chosen
        kind = self.chance.choices(("acknowledgements", "keys", "voids"), (6, 5, 1))[0]
        left = right.total[0] - right.acknowledged
        if kind == "keys":
            left = min(right.sealed, right.acknowledged) - right.opened
        elif kind == "voids":
            left = right.total[0] - right.voided
        if left <= 0 and self.chance.random() < 0.8:
            return
        count = max(1, min(left, self.chance.randint(1, self.batch)))
        made: list[Item] = []
        for _ in range(count):
            self.numbers += 1
            name = token("half", self.numbers)
            if kind == "acknowledgements":
                made.append(Acknowledgement(name, name, name, name))
            elif kind == "keys":
                made.append(Key(name, name, bytes(WRAPPED_BYTES)))
            else:
                made.append(Void(name, name, 0, "the line broke"))
        by = right.consumer if kind == "acknowledgements" else right.request.provider
        form = {"acknowledgements": Acknowledgements, "keys": Keys, "voids": Voids}[kind]
        self._send_items(by, f"exchange.{kind}", form, grant_id, made)

    def _deny(self) -> None:
        """A provider says whom it refused."""
        chosen = self._some("approved", "revoked", "suspended")
        if chosen is None:
            return
        grant_id, right = chosen
        self.numbers += 1
        name = token("denied", self.numbers)
        made = [Denial(name, right.consumer, name, "grant-expired", 1)]
        self._send_items(right.request.provider, "exchange.denials", Denials, grant_id, made)

    def _send_items(
        self, by: str, kind: str, form: Any, grant_id: bytes, made: Sequence[Item]
    ) -> None:
        items = tuple(encode(each) for each in made)
        self._send(by, kind, form(lines_of({grant_id: made})), items=items)

    # Blocks.

    def block(self, step_ms: int) -> None:
        """Executes what was sent, and compares every verdict; then policies see to what waits."""
        sent, self.sent = self.sent, []
        time_ms = self.ledger.time_ms + step_ms
        block = self.ledger.execute(*(each[0] for each in sent), time_ms=time_ms)
        given = {each.record_id: each.refusal for each in block.refused}
        asked = []
        for record, by, body, fields in sent:
            kind = record.header.kind
            expected = self.oracle.judge(
                kind, by, body, record_id=record.record_id, time_ms=time_ms, fields=fields
            )
            refusal = given.get(record.record_id)
            code = None if refusal is None else refusal.code
            self.judged += 1
            if code is None:
                if kind in ("grant.request", "grant.amend"):
                    asked.append(record.record_id if kind == "grant.request" else body.grant_id)
                if record.record_id in self.lies:
                    self.unsupported.add(record.record_id)
            else:
                self.refused[code] += 1
            if (code is None) != (not expected) or (code is not None and code not in expected):
                self.differences.append(f"{kind} by {by}: {code}, the oracle says {expected}")
        for grant_id in asked:
            if self.oracle.rights[grant_id].waiting is not None:
                self._by_policy(grant_id)

    def compare(self) -> None:
        """Every grant's state, counts and lateness."""
        now = self.ledger.tip.time_ms
        for grant_id, right in self.oracle.rights.items():
            known = grant(self.ledger.state, grant_id)
            assert known is not None
            total = [known.total.exchanges, known.total.rows, known.total.size_bytes]
            is_late = overdue(self.ledger.state, known, time_ms=now)
            halves = [right.acknowledged, right.sealed, right.opened, right.voided, right.denied]
            mine = (right.status, right.version, right.total, self.oracle.is_overdue(right, now))
            theirs = (known.status, known.version, total, is_late)
            counted = [known.acknowledged, known.sealed, known.opened, known.voided, known.denied]
            if (theirs, counted) != (mine, halves):
                self.differences.append(f"{grant_id.hex()[:8]}: {theirs}, the oracle says {mine}")
        assert len(self.oracle.rights) == len(self.ledger.grants())
