"""`python -m fuzz.peers`: coverage-guided fuzzing of what a peer may send, by atheris (libFuzzer).

Takes libFuzzer's options, `-max_total_time=60` say, and folders of inputs to begin with.
"""

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["node", "ledger", "consensus"]):
    from fuzz.peer_streams import check, framed, samples, shortened


def check_both(data: bytes) -> None:
    """The bytes as they are, and as frames whose lengths are right."""
    check(data)
    check(framed(data))


if __name__ == "__main__":
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="concordat-fuzz-") as folder:
        for number, sample in enumerate(samples()):
            (Path(folder) / f"sample-{number}").write_bytes(sample)
            (Path(folder) / f"short-{number}").write_bytes(shortened(sample))
        atheris.Setup([*sys.argv, folder], check_both)
        atheris.Fuzz()
