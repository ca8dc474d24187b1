"""The documents build without a warning, and the commands in them run as they are written."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import signal
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import tomllib

from tests.documents import ROOT, blocks_of, commands_of, stray_commands

_DOCS = ROOT / "docs"
_TUTORIALS = sorted((_DOCS / "tutorial").glob("*.md"))
_PAGES = [ROOT / "README.md", *sorted(_DOCS.glob("*.md"))]  # these take files for granted, and each other's
_RUN = [page for page in _PAGES if any(block.is_run for block in blocks_of(page))]
_EXTRAS = re.compile(r"\[([\w,]+)\]")
_TIMEOUT_S = 1200.0


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # of what another version will be
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert (tmp_path / "decisions" / "0001-legal-requests-are-granted-whole.html").exists()


def run_page(page: Path, folder: Path) -> None:
    """Blocks of commands run one after another in one shell; those with a title are files that they find."""
    script = ["set -euo pipefail"]
    for block in blocks_of(page):
        if block.is_run:
            script.append(block.text)
        elif block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
    assert len(script) > 1
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    printed = folder / "output.txt"
    with printed.open("w") as output:  # not a pipe, which servers in the background would keep open
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(_TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what a page that failed has left in the background
    assert status == 0, printed.read_text()


@pytest.mark.parametrize("page", _TUTORIALS, ids=name_of)
def test_every_command_of_a_tutorial_runs_as_written(page: Path, tmp_path: Path) -> None:
    assert all(not block.reason for block in blocks_of(page)), "a tutorial is run whole"
    run_page(page, tmp_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a user who has what README and guides take for granted: models, plans, graphs, a machine."""
    from tests.given_files import write_given_files  # importing TVM takes a second: not for the other tests

    folder = tmp_path_factory.mktemp("user")
    write_given_files(folder)
    return folder


@pytest.mark.parametrize("page", _RUN, ids=name_of)
def test_every_command_of_readme_and_guides_runs_as_written(page: Path, folder: Path) -> None:
    """But for blocks whose mark says why they are not run."""
    run_page(page, folder)


@pytest.mark.parametrize("page", [*_PAGES, *_TUTORIALS], ids=name_of)
def test_commands_stand_in_blocks_of_commands(page: Path) -> None:
    assert not stray_commands(page), "put it into a block of sh"
    assert all(block.language for block in blocks_of(page)), "say what a block is: sh, python, text, ..."


@cache
def help_of(module: str, *sub_commands: str) -> str:
    """What a module that is run says of its options."""
    printed = io.StringIO()
    with (
        mock.patch.object(sys, "argv", [module, *sub_commands, "--help"]),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
        warnings.catch_warnings(action="ignore"),  # of a module that was imported before
    ):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    return printed.getvalue()


def wrong_in(words: list[str]) -> list[str]:
    """What of a command is not there: its program, a module, or options."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return [word for word in rest if word not in targets]
    if program.startswith("tools/"):
        return [] if os.access(ROOT / program, os.X_OK) else [program]
    if program == "pip":
        return [word for word in re.findall(r"\w+", " ".join(_EXTRAS.findall(" ".join(rest)))) if word not in extras()]
    if program == "tvm-go":
        module = "tvm_go"
        sub_commands = rest[: 2 if rest[0] == "log" else 1]
        sub_commands = [word for word in sub_commands if not word.startswith("-")]
    elif rest[0] == "-m":
        module, sub_commands = rest[1], []
    else:  # a file of the page's own, or one of ours that is copied to a board
        script = ROOT / "cost_model" / rest[0]
        if not script.is_file():
            return []
        module, sub_commands = f"cost_model.{script.stem}", []
    text = help_of(module, *sub_commands)
    options = [word.partition("=")[0] for word in rest if re.match(r"--\w|-\w$", word) and word != "-m"]
    return [option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)]


def extras() -> set[str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return set(tomllib.load(file)["project"]["optional-dependencies"])


@pytest.mark.parametrize("page", [*_PAGES, *_TUTORIALS], ids=name_of)
def test_every_command_has_its_options(page: Path) -> None:
    """Also where it is not run, or stands in a sentence: its module and sub-command are there, and know the options."""
    for words in commands_of(page):
        assert not wrong_in(words), " ".join(words)
