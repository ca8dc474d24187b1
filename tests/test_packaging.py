"""The wheel, built from the source distribution, works where the repository is not: commands, data, types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.models import write_tiny_onnx

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("tvm_go", "relay_passes", "cost_model", "tuning_logs")
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # ours is not to be found
_CACHES = shutil.ignore_patterns("__pycache__", "*.egg-info")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with both distributions, built from a copy: a build leaves files in its source tree."""
    source = tmp_path_factory.mktemp("source")
    for name in _PACKAGES:
        shutil.copytree(_ROOT / name, source / name, ignore=_CACHES)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, source)
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", dist, source], check=True, capture_output=True)
    return dist


@pytest.fixture(scope="module")
def installed(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of an environment with our wheel; what we depend on comes from the environment of the tests.

    A path in a .pth file does not read the .pth files found there, so an editable install of ours stays out.
    """
    place = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    (wheel,) = distributions.glob("*.whl")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel]
    subprocess.run(pip, env=_ENVIRONMENT, check=True, capture_output=True)
    (own,) = place.glob("lib/python*/site-packages")
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def _run(command: list[str | Path], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_our_packages_is_in_both_distributions(distributions: Path) -> None:
    expected = {
        path.relative_to(_ROOT).as_posix()
        for name in _PACKAGES
        for path in (_ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    (wheel,), (source,) = distributions.glob("*.whl"), distributions.glob("*.tar.gz")
    with tarfile.open(source) as tar:
        assert expected <= {name.partition("/")[2] for name in tar.getnames()}
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_tunes_and_shows_without_the_repository(installed: Path, tmp_path: Path) -> None:
    write_tiny_onnx(tmp_path / "tiny.onnx")
    command = installed / "tvm-go"
    home = _run([installed / "python", "-c", "import tvm_go; print(tvm_go.__file__)"], tmp_path)
    assert Path(home.strip()).is_relative_to(installed.parent)
    assert "tune-graph" in _run([command, "--help"], tmp_path)
    options = ["--budget", "3", "--no-ablation", "--decide", "lowering", "fusion", "--quiet", "-o", "plan.json"]
    _run([command, "tune-graph", "tiny.onnx", *options], tmp_path)
    _run([command, "view", "plan.json", "-o", "plan.html"], tmp_path)
    assert "scene-data" in (tmp_path / "plan.html").read_text(encoding="utf-8")


def test_what_ships_beside_the_code_is_found_where_the_wheel_is(installed: Path, tmp_path: Path) -> None:
    program = (
        "from cost_model.pretrained import cost_model_of\n"
        "from tuning_logs.shipped import FOLDER, records_for\n"
        "print(len(records_for('avx2')) > 0, len(records_for('avx512')) > 0, (FOLDER / 'kernels.jsonl.gz').is_file())\n"
        "cost_model_of('shipped', isa='avx512', target='llvm')\n"
    )
    assert _run([installed / "python", "-c", program], tmp_path).split() == ["True", "True", "True"]
