"""The rules of sharing once more, dumb and plain, from the documentation: what must come out.

Nothing here is taken from the contracts but the formats of bodies. `Oracle.judge` gives *all*
reasons for which a record has to be refused, in no order; none means that it has to be accepted,
and then it remembers what the record changed. Calendars are counted with `datetime`, one day after
the other, Monday to Friday in UTC.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from ruled import Asked, Rules, said, text

PURPOSES = {"dpv:ServiceProvision", "dpv:PublicBenefit", "dpv:LegalCompliance"}
"""Those that the city uses; the vocabulary has more."""
LEGAL_BASES = {"dpv:LegalObligation", "dpv:PublicInterest", "dpv:VitalInterest"}

YEARS_MS = 5 * 366 * 86_400_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

ACCEPT_DAYS = {"open": 1, "conditional": 3, "closed": 5}
DECIDE_DAYS = {"open": 1, "conditional": 10, "closed": 20}


@dataclass
class Data:
    """A dataset."""

    fields: set[str]
    subject: str | None
    sharing: str
    approvers: set[str]
    origins: list[bytes]
    sealed: bool
    carried: str
    classification: str
    withdrawn: bool = False
    rules: Rules | None = None
    document: bytes | None = None


@dataclass
class Waiting:
    """A version of a grant that nobody has decided yet."""

    version: int
    request: Any
    sharing: str
    deciders: set[str]
    clock_ms: int
    stage: str = "received"
    approved: set[str] = field(default_factory=set)


@dataclass
class Right:
    """A grant."""

    consumer: str
    request: Any
    stoppers: set[str]
    asked_ms: int
    status: str = "requested"
    version: int = 1
    versions: int = 1
    waiting: Waiting | None = None
    suspended_by: str = ""
    emergency: bool = False
    confirmed_ms: int | None = None
    reviewed: bool = False
    total: list[int] = field(default_factory=lambda: [0, 0, 0])
    before: list[int] = field(default_factory=lambda: [0, 0, 0])
    windows: dict[tuple[int, int], int] = field(default_factory=dict)
    acknowledged: int = 0
    sealed: int = 0
    opened: int = 0
    voided: int = 0
    denied: int = 0

    @property
    def is_used_up(self) -> bool:
        """Whether not one more exchange fits, or no row."""
        limits = self.request.limits
        used = [total - before for total, before in zip(self.total, self.before, strict=True)]
        most = (limits.exchanges_max, limits.rows_max, limits.size_bytes_max)
        return any(limit and got >= limit for got, limit in zip(used, most, strict=True))


class Oracle:
    """Everything that the rules have to remember."""

    def __init__(self) -> None:
        self.data: dict[tuple[str, str], Data] = {}
        self.rights: dict[bytes, Right] = {}

    def judge(
        self, kind: str, by: str, body: Any, *, record_id: bytes, time_ms: int, fields: Any = None
    ) -> set[str]:
        """Every reason to refuse; if there is none, the record counts. fields: of a description."""
        name = "_" + kind.replace(".", "_")
        codes: set[str]
        if kind == "dataset.publish":
            codes = self._publish(by, body, fields, time_ms)
        elif kind == "policy.publish":
            codes = self._rule(by, body, fields)
        elif kind in ("grant.request", "emergency.start"):
            codes = self._ask(kind, by, body, record_id, time_ms)
        elif kind == "exchange.receipts":
            codes = self._receipts(by, body, time_ms)
        else:
            codes = getattr(self, name)(by, body, time_ms)
        return codes

    # Datasets.

    def _publish(self, by: str, body: Any, fields: Any, time_ms: int) -> set[str]:
        codes = set()
        if (by, body.name) in self.data:
            codes.add("dataset-exists")
        for origin in body.derived_from:
            right = self.rights.get(origin)
            if right is None:
                codes.add("unknown-grant")
            else:
                if right.consumer != by:
                    codes.add("not-the-consumer")
                codes |= self._stops(right, time_ms)
                if not right.request.onward:
                    codes.add("not-onward")
        if not codes:
            names, subject = fields
            approvers = set(body.co_approvers)
            origins = list(body.derived_from)
            secret = body.classification == "sensitive" or body.sharing == "closed"
            self.data[by, body.name] = Data(
                fields=set(names),
                subject=subject,
                sharing=body.sharing,
                approvers=approvers,
                origins=origins,
                sealed=secret and body.carried == "nodes",
                carried=body.carried,
                classification=body.classification,
            )
        return codes

    def _dataset_withdraw(self, by: str, body: Any, time_ms: int) -> set[str]:
        data = self.data.get((by, body.name))
        if data is None:
            return {"unknown-dataset"}
        if data.withdrawn:
            return {"dataset-withdrawn"}
        data.withdrawn = True
        return set()

    # Policies.

    def _rule(self, by: str, body: Any, rules: Rules) -> set[str]:
        data = self.data.get((by, body.dataset))
        if data is None:
            return {"unknown-dataset"}
        if data.withdrawn:
            return {"dataset-withdrawn"}
        data.rules, data.document = rules, sha256(text(rules).encode()).digest()
        return set()

    def _policy_withdraw(self, by: str, body: Any, time_ms: int) -> set[str]:
        data = self.data.get((by, body.dataset))
        if data is None or data.rules is None:
            return {"other-policy"}
        data.rules = data.document = None
        return set()

    def by_policy(self, grant_id: bytes) -> tuple[str, tuple[str, ...]]:
        """What the policy in force says about the version of a grant that waits."""
        right = self.rights[grant_id]
        assert right.waiting is not None
        asked = right.waiting.request
        data = self.data[asked.provider, asked.dataset]
        if data.rules is None:
            return "steward", ()
        return said(data.rules, Asked(right.consumer, asked, data.classification, data.sharing))

    def _cited(self, by: str, body: Any) -> set[str]:
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}
        codes = set()
        if by != right.request.provider:
            codes.add("not-the-provider")
        if (
            self.data[right.request.provider, right.request.dataset].document
            != body.citation.document
        ):
            codes.add("other-policy")
        return codes

    def _grant_permit(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._cited(by, body) or self._grant_approve(by, body, time_ms)

    def _grant_forbid(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._cited(by, body) or self._grant_refuse(by, body, time_ms)

    # Grants.

    def _terms(self, by: str, asked: Any, time_ms: int) -> set[str]:
        data = self.data.get((asked.provider, asked.dataset))
        if data is None:
            return {"unknown-dataset"}
        span = asked.valid_until_ms - asked.valid_from_ms
        limits = asked.limits
        broken = {
            "dataset-withdrawn": data.withdrawn,
            "own-dataset": asked.provider == by,
            "own-approval": by in data.approvers,
            "unknown-field": not set(asked.fields) <= data.fields,
            "unknown-purpose": asked.purpose not in PURPOSES,
            "unknown-legal-basis": asked.legal_basis not in LEGAL_BASES,
            "invalid-limits": data.subject is None
            and bool(limits.subjects_max or limits.subjects_named),
            "invalid-validity": span <= 0 or span > YEARS_MS or asked.valid_until_ms <= time_ms,
        }
        return {code for code, is_so in broken.items() if is_so}

    def _ask(self, kind: str, by: str, body: Any, record_id: bytes, time_ms: int) -> set[str]:
        emergency = kind == "emergency.start"
        asked = body.request if emergency else body
        codes = self._terms(by, asked, time_ms)
        data = self.data.get((asked.provider, asked.dataset))
        if data is not None and data.sharing == "closed":
            codes.add("not-shared")
        if emergency:
            if any(self._review_late(each, time_ms) for each in self._unreviewed(by)):
                codes.add("review-missing")
            narrow = (
                len(asked.fields) <= 8
                and 0 < asked.limits.exchanges_max <= 1_000
                and asked.limits.subjects_named
                and not asked.onward
                and asked.valid_until_ms <= time_ms + 3 * DAY_MS
            )
            if not narrow:
                codes.add("emergency-too-wide")
        if not codes:
            assert data is not None
            right = Right(by, asked, {asked.provider} | data.approvers, time_ms)
            right.emergency = emergency
            if not emergency:
                right.waiting = self._wait(asked, data, 1, time_ms)
            self.rights[record_id] = right
        return codes

    @staticmethod
    def _wait(asked: Any, data: Data, version: int, time_ms: int) -> Waiting:
        return Waiting(version, asked, data.sharing, {asked.provider} | data.approvers, time_ms)

    def _grant_amend(self, by: str, body: Any, time_ms: int) -> set[str]:
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}
        asked = body.request
        codes = self._terms(by, asked, time_ms)
        if right.consumer != by:
            codes.add("not-the-consumer")
        if (asked.provider, asked.dataset) != (right.request.provider, right.request.dataset):
            codes.add("other-dataset")
        if right.status not in ("approved", "suspended") or right.emergency:
            codes.add("already-decided")
        if right.waiting is not None:
            codes.add("already-pending")
        if not codes:
            right.versions += 1
            data = self.data[asked.provider, asked.dataset]
            right.waiting = self._wait(asked, data, right.versions, time_ms)
        return codes

    def _about(
        self, by: str, body: Any, stages: tuple[str, ...], *, whose: str
    ) -> tuple[set[str], Right | None]:
        """Why nobody, or not this department, can say this about what waits."""
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}, None
        codes = set()
        waiting = right.waiting
        deciders = right.stoppers if waiting is None else waiting.deciders
        if whose == "consumer" and by != right.consumer:
            codes.add("not-the-consumer")
        if whose == "provider" and by != right.request.provider:
            codes.add("not-the-provider")
        if whose == "deciders" and by not in deciders:
            codes.add("not-the-provider")
        if waiting is None:
            return codes | {"already-decided"}, right
        if waiting.version != body.version:
            codes.add("other-version")
        if waiting.stage not in stages:
            codes.add("already-decided")
        return codes, right

    def _grant_accept(self, by: str, body: Any, time_ms: int) -> set[str]:
        codes, right = self._about(by, body, ("received",), whose="provider")
        if not codes and right is not None and right.waiting is not None:
            right.waiting.stage = "in-review"
        return codes

    def _grant_ask(self, by: str, body: Any, time_ms: int) -> set[str]:
        codes, right = self._about(by, body, ("received", "in-review"), whose="deciders")
        if not codes and right is not None and right.waiting is not None:
            right.waiting.stage = "information-asked"
        return codes

    def _grant_answer(self, by: str, body: Any, time_ms: int) -> set[str]:
        codes, right = self._about(by, body, ("information-asked",), whose="consumer")
        if not codes and right is not None and right.waiting is not None:
            right.waiting.stage, right.waiting.clock_ms = "in-review", time_ms
        return codes

    def _grant_approve(self, by: str, body: Any, time_ms: int) -> set[str]:
        codes, right = self._about(by, body, ("received", "in-review"), whose="deciders")
        if right is None or right.waiting is None:
            return codes
        waiting = right.waiting
        if by in waiting.approved:
            codes.add("already-decided")
        if right.status == "suspended":
            codes.add("grant-suspended")
        if waiting.request.valid_until_ms <= time_ms:
            codes.add("invalid-validity")
        if codes:
            return codes
        waiting.approved.add(by)
        waiting.stage = "in-review"
        if waiting.approved == waiting.deciders:
            right.request, right.version, right.waiting = waiting.request, waiting.version, None
            right.status, right.stoppers = "approved", set(waiting.deciders)
            right.before = list(right.total)
        return codes

    def _grant_refuse(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._drop(by, body, "deciders", "refused")

    def _grant_retract(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._drop(by, body, "consumer", "withdrawn")

    def _drop(self, by: str, body: Any, whose: str, after: str) -> set[str]:
        anywhere = ("received", "in-review", "information-asked")
        codes, right = self._about(by, body, anywhere, whose=whose)
        if not codes and right is not None:
            right.waiting = None
            if right.status == "requested":
                right.status = after
        return codes

    def _stop(self, by: str, body: Any, before: tuple[str, ...], after: str) -> set[str]:
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}
        codes = set()
        if by not in right.stoppers:
            codes.add("not-the-provider")
        if after == "approved" and right.status == "suspended" and by != right.suspended_by:
            codes.add("not-the-suspender")
        if right.status not in before:
            codes.add("already-decided")
        if not codes:
            right.status = after
            if after == "suspended":
                right.suspended_by = by
            if after == "revoked":
                right.waiting = None
        return codes

    def _grant_suspend(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._stop(by, body, ("approved",), "suspended")

    def _grant_resume(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._stop(by, body, ("suspended",), "approved")

    def _grant_revoke(self, by: str, body: Any, time_ms: int) -> set[str]:
        return self._stop(by, body, ("approved", "suspended"), "revoked")

    def _grant_withdraw(self, by: str, body: Any, time_ms: int) -> set[str]:
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}
        codes = set()
        if by != right.consumer:
            codes.add("not-the-consumer")
        if right.status in ("refused", "revoked", "withdrawn"):
            codes.add("already-decided")
        if not codes:
            right.status, right.waiting = "withdrawn", None
        return codes

    # Emergencies.

    def _unreviewed(self, consumer: str) -> list[Right]:
        return [
            right
            for right in self.rights.values()
            if right.consumer == consumer and right.confirmed_ms is not None and not right.reviewed
        ]

    @staticmethod
    def _review_late(right: Right, time_ms: int) -> bool:
        started = right.confirmed_ms
        return started is not None and not right.reviewed and time_ms >= started + DAY_MS

    def _emergency_confirm(self, by: str, body: Any, time_ms: int) -> set[str]:
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}
        if not right.emergency:
            return {"no-emergency"}
        codes = set()
        if by not in right.stoppers:
            codes.add("not-the-provider")
        if right.status != "requested":
            codes.add("already-decided")
        if time_ms >= right.asked_ms + HOUR_MS:
            codes.add("emergency-lapsed")
        if len(self._unreviewed(right.consumer)) >= 16:
            codes.add("review-missing")
        if not codes:
            right.status, right.confirmed_ms = "approved", time_ms
        return codes

    def _emergency_review(self, by: str, body: Any, time_ms: int) -> set[str]:
        right = self.rights.get(body.grant_id)
        if right is None:
            return {"unknown-grant"}
        if not right.emergency:
            return {"no-emergency"}
        codes = set()
        if by not in right.stoppers:
            codes.add("not-the-provider")
        if right.confirmed_ms is None or right.reviewed:
            codes.add("already-decided")
        if not codes:
            right.reviewed = True
            if body.verdict == "unjustified" and right.status in ("approved", "suspended"):
                right.status = "revoked"
        return codes

    # Exchanges.

    def _stops(self, right: Right, time_ms: int) -> set[str]:
        """Every reason for which nothing goes through under a grant now."""
        asked = right.request
        status = {
            "requested": "grant-not-active",
            "refused": "grant-not-active",
            "suspended": "grant-suspended",
            "revoked": "grant-revoked",
            "withdrawn": "grant-withdrawn",
        }
        codes = {status[right.status]} if right.status in status else set()
        if time_ms < asked.valid_from_ms:
            codes.add("grant-not-started")
        if time_ms >= asked.valid_until_ms:
            codes.add("grant-expired")
        if right.emergency and self._review_late(right, time_ms):
            codes.add("review-missing")
        if asked.limits.hours is not None:
            moment = datetime.fromtimestamp(time_ms / 1_000, UTC)
            minute = 60 * moment.hour + moment.minute
            start, stop = asked.limits.hours.from_minute, asked.limits.hours.until_minute
            inside = start <= minute < stop if start < stop else minute >= start or minute < stop
            if not inside:
                codes.add("outside-hours")
        data = self.data[asked.provider, asked.dataset]
        if data.withdrawn:
            codes.add("dataset-withdrawn")
        for origin in data.origins:
            source = self.rights[origin]
            if self._stops(source, time_ms) - {"outside-hours"} or not source.request.onward:
                codes.add("origin-ended")
        return codes

    def _receipts(self, by: str, body: Any, time_ms: int) -> set[str]:
        """A batch counts whole or not at all."""
        codes: set[str] = set()
        for line in body.lines:
            right = self.rights.get(line.grant_id)
            if right is None:
                codes.add("unknown-grant")
                continue
            asked = right.request
            codes |= self._stops(right, time_ms)
            if by != asked.provider:
                codes.add("not-the-provider")
            data = self.data[asked.provider, asked.dataset]
            if data.sealed and not line.sealed:
                codes.add("seal-required")
            if data.carried == "elsewhere" and line.sealed:
                codes.add("carried-elsewhere")
            if line.version != right.version:
                codes.add("other-version")
            if line.purpose != asked.purpose:
                codes.add("purpose-mismatch")
            if line.legal_basis != asked.legal_basis:
                codes.add("legal-basis-mismatch")
            more = (line.count, line.rows, line.size_bytes)
            most = (
                asked.limits.exchanges_max,
                asked.limits.rows_max,
                asked.limits.size_bytes_max,
            )
            words = ("exchanges-exhausted", "rows-exhausted", "bytes-exhausted")
            for code, used, old, new, limit in zip(
                words, right.total, right.before, more, most, strict=True
            ):
                if limit and used - old + new > limit:
                    codes.add(code)
            rate = asked.limits.rate
            if rate is not None:
                window = (rate.window_ms, time_ms // rate.window_ms)
                if right.windows.get(window, 0) + line.count > rate.exchanges:
                    codes.add("rate-exceeded")
        if not codes:
            for line in body.lines:
                right = self.rights[line.grant_id]
                more = (line.count, line.rows, line.size_bytes)
                right.total = [a + b for a, b in zip(right.total, more, strict=True)]
                right.sealed += line.count if line.sealed else 0
                rate = right.request.limits.rate
                if rate is not None:
                    window = (rate.window_ms, time_ms // rate.window_ms)
                    right.windows[window] = right.windows.get(window, 0) + line.count
        return codes

    def _exchange_acknowledgements(self, by: str, body: Any, time_ms: int) -> set[str]:
        [line] = body.lines
        right = self.rights[line.grant_id]
        if by != right.consumer:
            return {"not-the-consumer"}
        if right.acknowledged + line.count > right.total[0]:
            return {"more-than-received"}
        right.acknowledged += line.count
        return set()

    def _exchange_voids(self, by: str, body: Any, time_ms: int) -> set[str]:
        [line] = body.lines
        right = self.rights[line.grant_id]
        if by != right.request.provider:
            return {"not-the-provider"}
        if right.voided + line.count > right.total[0]:
            return {"more-than-received"}
        right.voided += line.count
        return set()

    def _exchange_denials(self, by: str, body: Any, time_ms: int) -> set[str]:
        [line] = body.lines
        right = self.rights[line.grant_id]
        if by == right.request.provider:
            right.denied += line.count
        return set()

    def _exchange_keys(self, by: str, body: Any, time_ms: int) -> set[str]:
        [line] = body.lines
        right = self.rights[line.grant_id]
        codes = set(self._stops(right, time_ms))
        if by != right.request.provider:
            codes.add("not-the-provider")
        if right.opened + line.count > min(right.sealed, right.acknowledged):
            codes.add("not-acknowledged")
        if not codes:
            right.opened += line.count
        return codes

    # Clocks.

    def is_overdue(self, right: Right, time_ms: int) -> bool:
        """Whether the deciders are late; days are counted one after the other."""
        waiting = right.waiting
        if waiting is None or waiting.stage == "information-asked":
            return False
        days = (ACCEPT_DAYS if waiting.stage == "received" else DECIDE_DAYS)[waiting.sharing]
        day = datetime.fromtimestamp(waiting.clock_ms / 1_000, UTC).date()
        while days:
            day += timedelta(days=1)
            days -= day.isoweekday() <= 5
        end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        return time_ms >= int(end.timestamp()) * 1_000
