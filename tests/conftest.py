"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Hear Ctrl-C even if started in the background, where a shell has it ignored: our commands inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the files under tests/golden")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Compare a text with the file named after the test; a missing file fails, ``--update-golden`` writes it."""
    source = Path(request.node.path).relative_to(_TESTS).with_suffix("")
    path = _TESTS / "golden" / source / f"{request.node.name}.txt"

    def check(text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists():
            pytest.fail(f"no golden file {path.relative_to(_TESTS.parent)}: write it with --update-golden, and read it")
        else:
            assert text == path.read_text(encoding="utf-8"), f"differs from {path.relative_to(_TESTS.parent)}"

    return check
