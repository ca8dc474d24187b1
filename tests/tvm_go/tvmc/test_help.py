"""Help fits a screen and shows an example; stock tvmc still works, with our commands also from Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tvm_go.tvmc.command import ENVIRONMENT
from tvm_go.tvmc.main import main


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == status
    return "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments", [["--help"], ["tune-graph", "--help"]], ids=" ".join)
def test_help_fits_a_screen_and_shows_an_example(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = printed(arguments, capsys).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert sum("tvm-go tune-graph model.onnx" in line for line in lines) == 1
    assert lines[0].startswith("usage: tvm-go ")


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
