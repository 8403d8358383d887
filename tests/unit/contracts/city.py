"""A city that shares data for a while: scripted from a seed, sensible and not so sensible.

Each act is signed by a department and put into the next block; most are what somebody would do,
some are tried by the wrong department, at the wrong time, about the wrong version. Time passes
between blocks, nights and weekends too.
"""

import random
from typing import Any

from builders import Consortium
from harness import Ledger, description, lines_of, receipt, receipt_lines, token
from oracle import DAY_MS, HOUR_MS, Oracle, Right

import contracts.emergencies as emergencies
from contracts.catalog import DatasetOffer, DatasetWithdraw
from contracts.exchanges import Acknowledgement, Acknowledgements, Item, Key, Keys, Receipts
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

FIELDS = ("district", "insured", "person")
PURPOSES = ("dpv:ServiceProvision", "dpv:PublicBenefit", "dpv:LegalCompliance")
LEGAL_BASES = ("dpv:LegalObligation", "dpv:PublicInterest", "dpv:VitalInterest")

WEIGHTS = {
    "receipts": 60,
    "halves": 20,
    "request": 20,
    "decide": 24,
    "amend": 3,
    "stop": 1.5,
    "resume": 3,
    "end": 0.5,
    "declare": 2,
    "publish": 1,
    "withdraw-dataset": 0.1,
}
"""What is tried, and how often."""


class City:
    """A ledger and an oracle that see the same records. differences: where they disagree."""

    def __init__(self, seed: int, *, departments: int = 46, datasets: int = 60) -> None:
        self.chance = random.Random(seed)
        names = tuple(f"department-{number:02}" for number in range(departments))
        self.names = names
        self.ledger = Ledger(Consortium(departments=names))
        self.oracle = Oracle()
        self.sent: list[tuple[Record, str, Any, Any]] = []
        self.differences: list[str] = []
        self.judged = self.refused = self.numbers = 0
        for number in range(datasets):
            self._publish(names[number % departments])
        self.block(1_000)

    # Acts.

    def act(self) -> None:
        """Somebody does something."""
        word = self.chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
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
            f"data-{self.numbers}", secrecy, sharing, True, tuple(approvers), tuple(origins)
        )
        document = description(FIELDS, subject)
        record = self.ledger.sign(by, "dataset.publish", offer, document=document, valid_ms=DAY_MS)
        self.sent.append((record, by, offer, (FIELDS, subject)))

    def _withdraw_dataset(self) -> None:
        publisher, name = self.chance.choice(sorted(self.oracle.data))
        self._send(publisher, "dataset.withdraw", DatasetWithdraw(name, "replaced"))

    def _wanted(self, provider: str, name: str, **changes: Any) -> GrantRequest:
        now = self.ledger.time_ms
        pick = self.chance.choice
        start = now + pick((0, 0, 0, HOUR_MS, 2 * DAY_MS))
        limits = Limits(
            exchanges_max=pick((0, 10, 100)),
            rows_max=pick((0, 20, 1_000)),
            size_bytes_max=pick((0, 0, 0, 9_000)),
            rate=pick((None, None, None, Rate(2, HOUR_MS))),
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
        chosen = self._some("approved")
        if chosen is None:
            return
        grant_id, right = chosen
        self.numbers += 1
        made = [receipt(self.numbers, rows=self.chance.choice((0, 1, 3)))]
        made += [receipt(-self.numbers, rows=1)] * (self.chance.random() < 0.2)
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
        """The consumer's half of an exchange, or a sealed one's key; now and then too early."""
        chosen = self._some("approved")
        if chosen is None:
            return
        grant_id, right = chosen
        kind = self.chance.choice(("acknowledgements", "keys"))
        left = right.total[0] - right.acknowledged
        if kind == "keys":
            left = min(right.sealed, right.acknowledged) - right.opened
        if left <= 0 and self.chance.random() < 0.8:
            return
        self.numbers += 1
        name = token("half", self.numbers)
        by = right.consumer if kind == "acknowledgements" else right.request.provider
        item: Item = Acknowledgement(name, name, name, name)
        if kind == "keys":
            item = Key(name, name, bytes(WRAPPED_BYTES))
        lines = lines_of({grant_id: [item]})
        body = Acknowledgements(lines) if kind == "acknowledgements" else Keys(lines)
        self._send(by, f"exchange.{kind}", body, items=(encode(item),))

    # Blocks.

    def block(self, step_ms: int) -> None:
        """Executes what was sent, and compares every verdict."""
        sent, self.sent = self.sent, []
        time_ms = self.ledger.time_ms + step_ms
        block = self.ledger.execute(*(each[0] for each in sent), time_ms=time_ms)
        given = {each.record_id: each.refusal for each in block.refused}
        for record, by, body, fields in sent:
            kind = record.header.kind
            expected = self.oracle.judge(
                kind, by, body, record_id=record.record_id, time_ms=time_ms, fields=fields
            )
            refusal = given.get(record.record_id)
            code = None if refusal is None else refusal.code
            self.judged += 1
            self.refused += code is not None
            if (code is None) != (not expected) or (code is not None and code not in expected):
                self.differences.append(f"{kind} by {by}: {code}, the oracle says {expected}")

    def compare(self) -> None:
        """Every grant's state, counts and lateness."""
        now = self.ledger.tip.time_ms
        for grant_id, right in self.oracle.rights.items():
            known = grant(self.ledger.state, grant_id)
            assert known is not None
            total = [known.total.exchanges, known.total.rows, known.total.size_bytes]
            is_late = overdue(self.ledger.state, known, time_ms=now)
            halves = (right.acknowledged, right.sealed, right.opened)
            mine = (right.status, right.version, right.total, self.oracle.is_overdue(right, now))
            theirs = (known.status, known.version, total, is_late)
            if (theirs, (known.acknowledged, known.sealed, known.opened)) != (mine, halves):
                self.differences.append(f"{grant_id.hex()[:8]}: {theirs}, the oracle says {mine}")
        assert len(self.oracle.rights) == len(self.ledger.grants())
