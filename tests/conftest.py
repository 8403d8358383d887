"""What every test may ask for: the shared vectors, and tools that the machine may lack."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "concordat",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("concordat")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public vectors and data beside this checkout; skips where it is absent."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of shared vectors is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of this checkout."""
    return PROJECT


def needs_tool(*names: str) -> None:
    """Skip where a program is missing, with its name; under CI=true that is a failure."""
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
