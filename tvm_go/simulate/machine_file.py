"""Reads a machine from a TOML file: devices, and the links between them (docs/placement.md says how it is written)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tomllib

from tvm_go.errors import UsageError
from tvm_go.simulate.machine import Device, Machine

_DEVICE_KEYS = {"name": str, "kind": str, "memory_gib": float}
_LINK_KEYS = {"between": list, "gb_per_s": float, "latency_us": float, "shared": str}
_MACHINE_KEYS = {"name": str, "overlap": bool, "device": list, "link": list, "every_link": dict}
_SEE = "docs/placement.md shows a whole machine"


def read(path: Path) -> Machine:
    """Read a machine.

    Raises
    ------
    UsageError
        If the file cannot be read, is no TOML, has an unknown key or a wrong value, or two devices have no link.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give the path of a machine in TOML") from None
    except ValueError as error:
        raise UsageError(f"{path}: no TOML: {error}; {_SEE}") from None
    _check(path, "the machine", content, _MACHINE_KEYS, needed=("device",))
    devices = tuple(_device(path, entry) for entry in content["device"])
    place = {device.name: number for number, device in enumerate(devices)}
    if not devices or len(place) < len(devices):
        raise UsageError(f"{path}: a machine needs devices, each with a name of its own; {_SEE}")
    count = len(devices)
    bytes_per_ms, latency_ms = np.full((count, count), np.nan), np.zeros((count, count))
    link = np.full((count, count), -1, dtype=np.int32)
    if "every_link" in content:
        _check(path, "every_link", content["every_link"], _LINK_KEYS, needed=("gb_per_s",), refused=("between",))
        everywhere = [(a, b) for a in range(count) for b in range(count) if a != b]
        _join(everywhere, content["every_link"], {}, bytes_per_ms, latency_ms, link)
    shared: dict[str, int] = {}
    for entry in content.get("link", []):
        _check(path, "a link", entry, _LINK_KEYS, needed=("between", "gb_per_s"))
        ends = entry["between"]
        if len(ends) != 2 or ends[0] == ends[1]:
            raise UsageError(f"{path}: a link is between {ends!r}; it joins two devices")
        unknown = [end for end in ends if end not in place]
        if unknown:
            raise UsageError(f"{path}: a link names the device {unknown[0]!r}; there are {', '.join(place)}")
        a, b = place[ends[0]], place[ends[1]]
        _join([(a, b), (b, a)], entry, shared, bytes_per_ms, latency_ms, link)
    np.fill_diagonal(bytes_per_ms, np.inf)
    missing = np.argwhere(np.isnan(bytes_per_ms))
    if len(missing):
        a, b = (devices[end].name for end in missing[0].tolist())
        raise UsageError(f"{path}: no link joins {a} and {b}; add a [[link]], or [every_link] for all that have none")
    return Machine(
        name=content.get("name", path.stem),
        devices=devices,
        bytes_per_ms=bytes_per_ms,
        latency_ms=latency_ms,
        link=link,
        overlap=content.get("overlap", True),
    )


def _device(path: Path, entry: Any) -> Device:
    _check(path, "a device", entry, _DEVICE_KEYS, needed=("name", "kind"))
    return Device(entry["name"], entry["kind"], float(entry.get("memory_gib", math.inf)) * 2**30)


def _join(
    pairs: list[tuple[int, int]],
    entry: dict[str, Any],
    shared: dict[str, int],
    bytes_per_ms: np.ndarray,
    latency_ms: np.ndarray,
    link: np.ndarray,
) -> None:
    """Lay a link along each ordered pair of devices: one for each, or one for all links of a ``shared`` name."""
    count = len(link)
    for a, b in pairs:
        bytes_per_ms[a, b] = entry["gb_per_s"] * 1e6
        latency_ms[a, b] = entry.get("latency_us", 0.0) / 1e3
        link[a, b] = a * count + b
        if "shared" in entry:
            link[a, b] = shared.setdefault(entry["shared"], count * count + len(shared))


def _check(
    path: Path,
    what: str,
    entry: Any,
    keys: dict[str, type],
    *,
    needed: tuple[str, ...],
    refused: tuple[str, ...] = (),
) -> None:
    """Raise what is wrong with the keys and the types of a table."""
    if not isinstance(entry, dict):
        raise UsageError(f"{path}: {what} is {entry!r}; it must be a table; {_SEE}")
    for key, value in entry.items():
        if key not in keys or key in refused:
            known = ", ".join(name for name in keys if name not in refused)
            raise UsageError(f"{path}: {what} has an unknown key '{key}'; known are {known}")
        number = keys[key] is float and isinstance(value, int | float) and not isinstance(value, bool)
        if not number and not isinstance(value, keys[key]):
            raise UsageError(f"{path}: '{key}' of {what} is {value!r}, which is no {_word(keys[key])}; {_SEE}")
        least = 0.0 if key == "latency_us" else math.ulp(0.0)
        if number and not (least <= value and (math.isfinite(value) or key == "memory_gib")):
            raise UsageError(f"{path}: '{key}' of {what} is {value}; it must be a positive number")
    missing = [key for key in needed if key not in entry]
    if missing:
        raise UsageError(f"{path}: {what} has no '{missing[0]}'; {_SEE}")


def _word(kind: type) -> str:
    words = {str: "text", float: "number", bool: "true or false", list: "list of tables", dict: "table"}
    return words[kind]
