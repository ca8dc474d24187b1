"""A machine file says what it says, and what is wrong with it is one clear line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tvm_go.errors import UsageError
from tvm_go.simulate import machine_file

_BOX = """
name = "box"
overlap = false

[[device]]
name = "host"
kind = "cpu"

[[device]]
name = "gpu0"
kind = "gpu"
memory_gib = 16

[[device]]
name = "gpu1"
kind = "gpu"
memory_gib = 0.5

[[link]]
between = ["host", "gpu0"]
gb_per_s = 12.5
latency_us = 5
shared = "pcie"

[[link]]
between = ["host", "gpu1"]
gb_per_s = 12.5
shared = "pcie"

[[link]]
between = ["gpu0", "gpu1"]
gb_per_s = 25
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "box.toml"
    path.write_text(text)
    return path


def test_devices_links_and_units_are_as_written(tmp_path: Path) -> None:
    machine = machine_file.read(_written(tmp_path, _BOX))
    assert (machine.name, machine.overlap) == ("box", False)
    assert [device.kind for device in machine.devices] == ["cpu", "gpu", "gpu"]
    assert machine.memory_bytes.tolist() == [np.inf, 16 * 2**30, 2**29]
    assert machine.bytes_per_ms[0, 1] == machine.bytes_per_ms[1, 0] == 12.5e6
    assert machine.bytes_per_ms[1, 2] == 25e6
    assert machine.latency_ms[1, 0] == pytest.approx(0.005)
    assert machine.latency_ms[0, 2] == 0
    pcie = {int(machine.link[pair]) for pair in [(0, 1), (1, 0), (0, 2), (2, 0)]}
    assert len(pcie) == 1  # one bus for all four ways
    assert len({*pcie, int(machine.link[1, 2]), int(machine.link[2, 1])}) == 3  # and one link for each way between gpus


def test_every_link_joins_what_no_link_names(tmp_path: Path) -> None:
    text = _BOX[: _BOX.index("[[link]]")] + "[every_link]\ngb_per_s = 1\n" + _BOX[_BOX.rindex("[[link]]") :]
    machine = machine_file.read(_written(tmp_path, text))
    assert machine.bytes_per_ms[0, 1] == 1e6
    assert machine.bytes_per_ms[1, 2] == 25e6


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('name = "box"', 'name = "box', ["no TOML", "line 2"]),
        ("overlap = false", "overlaps = false", ["unknown key 'overlaps'", "overlap"]),
        ("overlap = false", 'overlap = "no"', ["'overlap'", "no true or false"]),
        ("memory_gib = 16", "memory_gb = 16", ["unknown key 'memory_gb'", "memory_gib"]),
        ("memory_gib = 16", "memory_gib = -1", ["'memory_gib'", "-1", "positive"]),
        ("memory_gib = 16", 'memory_gib = "16"', ["'memory_gib'", "no number"]),
        ("gb_per_s = 25", "gb_per_s = nan", ["'gb_per_s'", "nan", "positive"]),
        ("gb_per_s = 25", "gb_per_s = 0", ["'gb_per_s'", "positive"]),
        ("gb_per_s = 25", "", ["a link has no 'gb_per_s'"]),
        ("latency_us = 5", "latency_us = -5", ["'latency_us'", "-5"]),
        ('kind = "cpu"', "", ["a device has no 'kind'"]),
        ('name = "gpu1"', 'name = "gpu0"', ["a name of its own"]),
        ('["gpu0", "gpu1"]', '["gpu0", "gpu7"]', ["'gpu7'", "host, gpu0, gpu1"]),
        ('["gpu0", "gpu1"]', '["gpu0"]', ["joins two devices"]),
        ('["gpu0", "gpu1"]', '["host", "gpu1"]', ["no link joins gpu0 and gpu1", "every_link"]),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, parts: list[str], tmp_path: Path) -> None:
    assert _BOX.count(old) >= 1
    with pytest.raises(UsageError) as error:
        machine_file.read(_written(tmp_path, _BOX.replace(old, new)))
    assert [part for part in [*parts, "box.toml"] if part not in str(error.value)] == [], error.value


def test_a_wrong_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothere\.toml: cannot be read \(No such file"):
        machine_file.read(tmp_path / "nothere.toml")
