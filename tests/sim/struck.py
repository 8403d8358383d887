"""What struck, how often, and what each kind of fault is: the table in `docs/TESTING.md`.

    PYTHONPATH=tests .venv/bin/python -m sim.struck

runs the seeds of `make test` and writes the table anew.
"""

import sys
from collections.abc import Mapping

from sim.catching import DOCUMENT, STEPS
from sim.modes import MODES
from sim.reporting import WHOLE
from sim.seeds import kinds_of, run_range

BEGIN, END = "<!-- faults -->\n", "<!-- end of faults -->\n"

WHAT = {
    "halves": "the cluster falls into two parts that do not hear each other",
    "isolation": "a node is cut off, both ways",
    "one-way": "a link loses everything in one direction",
    "deaf": "a node is heard and hears nobody",
    "mute": "a node hears and nobody hears it",
    "stale-leader": "a leader is cut off and hears old answers again",
    "mute-leader": "a leader hears what is committed and can tell nobody",
    "leader-in-minority": "a leader is left with too few, and hears their answers in a later term",
    "partial": "a node keeps one neighbour, while the others see each other",
    "filter": "one kind of message is lost on some links",
    "reconnect": "a connection comes up anew",
    "crash": "a process ends, and with it what was not on the disk",
    "crash-between-effects": "it ends after some effects of an input, before the others",
    "restart-all": "the power fails everywhere at once",
    "pause": "a process stands still, and then finds everything at once",
    "transfer": "the leader is told to hand over, to anybody",
    "fsync-failed": "a write fails, and nothing of it is there",
    "fsync-failed-kept": "a write fails, and all of it is there",
    "disk-full": "a write finds no room",
    "slow-disk": "writes take longer than an election for a while",
    "bit-rot": "values on a disk are damaged",
    "misdirected-read": "an entry is read from another's place",
    "store-went-back": "a backup of the store is restored",
    "lost-disk": "the disk is new and empty",
    "clock-jump": "a clock jumps, by up to a minute",
    "loss": "messages that are lost, up to 30 %",
    "duplication": "messages that come twice, up to 50 %",
    "reordering": "messages that come after a later one",
    "long-delay": "messages that take up to ten election timeouts",
    "late-copy": "messages that come once more, as late",
    "crash-at-write": "a process ends when its write has landed, before it hears of it",
    "write-lost": "a write under way at a crash is not there",
    "write-landed": "it is there, and nobody heard",
    "write-torn": "it is there in part",
    "watermark-lag": "the mark beside the keys is older than the store after a crash",
    "mixed-version": "runs in which half of the nodes are of an older version",
    "other-version": "a node is of another version after a restart",
    "log-trimmed": "nodes whose log no longer begins at the beginning",
    "caught-up-by-blocks": "answers with certified blocks",
    "fetched-outside": "blocks from strangers, for who knows nobody left",
    "shared-turn": "turns that several inputs may share",
    "busy": "records that a node has no room for",
    "skewed-clocks": "runs in which clocks are apart from the start, up to 3 s",
    "drifting-ticks": "runs in which ticks are not of one length",
    "small-limits": "runs in which windows and queues are small",
    "messages-encoded": "runs in which every message is encoded and decoded",
    "real-keys": "runs with Ed25519 instead of a stand-in",
    "decided-admit": "a node joins",
    "decided-promote": "learners become voters",
    "decided-demote": "a voter becomes a learner",
    "decided-swap": "a learner and a voter change places",
    "decided-retire": "a node leaves",
    "decided-replace": "a node's checkpoint key is rotated: another node comes in its stead",
    "decided-readmit": "the same for one that lost its disk",
    "decided-revoke-key": "departments revoke a record key of another",
    "crash-while-joint": "a crash between two sets of voters",
    "leader-left": "the leader is no voter any more",
    "node-retired": "a node that left stops, its key spent",
    "stranger-started": "a node starts that the ledger does not name",
    "key-added": "a department adds a record key",
    "key-revoked": "a record key counts no more",
    "unknown-key-refused": "records that are refused because their key is not in force",
    "lie-commit": "a liar calls committed what is not",
    "lie-acknowledgement": "it acknowledges what it does not hold",
    "lie-vote": "it votes for whoever asks",
    "lie-equivocation": "it proposes another entry for the same place",
    "lie-checkpoint": "it signs another root for a height",
    "lie-certificate": "it makes up a certificate",
    "lie-transfer": "it stands as if its leader had told it to",
    "lie-replay": "it says again what it once said",
    "lie-silence": "it says nothing",
    "twins-split": "its two twins speak with one half of the cluster each",
    "certified-fork": "two certificates contradict each other",
    "liar-named": "liars that the auditor names",
}
"""By kind."""


def table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The document's table. counts: by mode, then by kind."""
    lines = [
        "| kind | what happens | "
        + " | ".join(f"{counts[mode]['seeds']:,} {words}" for mode, words in HEADS.items())
        + " |",
        "|---|---|---|---|",
    ]
    kinds = dict.fromkeys(kind for mode in MODES for kind in kinds_of(mode))
    for kind in kinds:
        struck = " | ".join(f"{counts[mode].get(kind, 0):,}" for mode in HEADS)
        lines.append(f"| `{kind}` | {WHAT[kind]} | {struck} |")
    return "\n".join(lines) + "\n"


HEADS = {"crash": "seeds", "byzantine": "seeds with liars"}


def write_table(counts: Mapping[str, Mapping[str, int]]) -> None:
    """Puts the table where the document has it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + table(counts) + END + rest.split(END)[1], encoding="utf-8")


def main() -> int:
    """The command; 1 if a seed failed."""
    counts, failures = {}, 0
    for mode, seeds in WHOLE.items():
        tally = run_range(range(seeds), mode=mode, steps=STEPS[mode])
        print("\n".join([mode, *tally.lines()]), flush=True)
        counts[mode] = tally.counts | {"seeds": tally.seeds}
        failures += len(tally.failures)
    write_table(counts)
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
