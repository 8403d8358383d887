"""Ledgers for the contracts' tests; each proves itself whole when its test is over."""

from collections.abc import Iterator

import pytest
from harness import Ledger, Stage


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A ledger at genesis."""
    made = Ledger()
    yield made
    made.verify()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A ledger with a dataset and an approved grant."""
    made = Stage()
    yield made
    made.verify()
