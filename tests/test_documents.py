"""The documents build without a warning, and every command of the tutorial runs as it is written."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PAGES = sorted((_ROOT / "docs" / "tutorial").glob("*.md"))
_BLOCK = re.compile(r'^```(bash|python title="([\w.]+)")\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_TIMEOUT_S = 1200.0


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=_ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # of what another version will be
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "decisions" / "0001-legal-requests-are-granted-whole.html").exists()


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_tutorial_runs_as_written(page: Path, tmp_path: Path) -> None:
    """Blocks of bash run one after another in one shell; those of Python are files that they find."""
    script = ["set -euo pipefail"]
    for kind, name, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "bash":
            script.append(text)
        else:
            (tmp_path / name).write_text(text, encoding="utf-8")
    assert len(script) > 1
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (tmp_path / "output.txt").open("w") as output:  # not a pipe, which servers in the background would keep open
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(_ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(_TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what a page that failed has left in the background
    assert status == 0, (tmp_path / "output.txt").read_text()
