"""Help fits a screen and shows an example; stock tvmc still works, with our commands also from Python."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from tvm.driver.tvmc.main import REGISTERED_PARSER

from tests.tvm_go.tvmc.command import ENVIRONMENT
from tvm_go.tvmc.main import main


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == status
    return "".join(capsys.readouterr())


_OF_STOCK_COMMANDS = ("add_graph_plan_option", "keep_errors_to_a_line", "shorten_stock_help")  # they change those


def our_commands() -> list[str]:
    """All commands that are ours, those below them as well."""
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for register in REGISTERED_PARSER:
        if register.__module__.startswith("tvm_go.tvmc") and register.__name__ not in _OF_STOCK_COMMANDS:
            register(subparsers, parser, [])
    found = []
    for name, command in subparsers.choices.items():
        below = [action.choices for action in command._actions if isinstance(action, argparse._SubParsersAction)]
        found += [name, *(f"{name} {one}" for choices in below for one in choices)]
    return sorted(found)


def test_our_commands_are_found() -> None:
    assert {"tune-graph", "view", "place", "log", "log show", "log train"} <= set(our_commands())


@pytest.mark.parametrize("command", ["", *our_commands(), "compile", "run", "tune"])
def test_help_fits_a_screen_and_shows_an_example(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = printed([*command.split(), "--help"], capsys).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("usage: tvm-go ")
    place = next(number for number, line in enumerate(lines) if line.strip() in ("example:", "examples:"))
    assert any(line.strip().startswith(f"tvm-go {command}".rstrip()) for line in lines[place + 1 :])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tune", "--help"], "--tuning-records"),
        (["run", "--help"], "--fill-mode"),
        (["compile", "--help"], "--graph-plan"),
        (["compile", "--help"], "--desired-layout"),
        (["--version"], "0.19"),
    ],
)
def test_stock_commands_are_there(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert expected in printed(arguments, capsys)


@pytest.mark.parametrize(("command", "option"), [("compile", "--target-llvm-mcpu"), ("tune", "--vector-unit-bytes")])
def test_rare_options_of_stock_commands_are_in_the_whole_help_only(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert option not in printed([command, "--help"], capsys)
    assert option in printed([command, "--help-all"], capsys)


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "tune-graph" in printed([], capsys, status=1)


def test_importing_the_plugin_gives_its_commands_to_tvmc_however_often(tmp_path: Path) -> None:
    program = (
        "import importlib, sys, tvm_go.tvmc\n"
        "import tvm_go.tvmc, tvm_go.tvmc.main\n"
        "importlib.reload(tvm_go.tvmc)\n"
        "from tvm.driver.tvmc.main import main\n"
        "sys.argv = ['tvmc', 'tune-graph', '--help']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: tvmc tune-graph MODEL")
    assert done.stderr == ""
