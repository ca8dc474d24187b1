"""Several builds of one model on one server, timed in turns: what a noisy machine adds, it adds to all alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tvm
from numpy.typing import NDArray

from cost_model.child import ChildProcess
from cost_model.rpc import RpcAddress, close_session, open_session
from relay_passes.error_text import meaningful_lines
from relay_passes.library import build_in_folder, loader_on, write_built
from relay_passes.numerics import compare
from relay_passes.verify import clock, outputs

_BUILD_TIMEOUT_S = 900.0
_RUN_TIMEOUT_S = 900.0
_LOADS = 3  # where weights come to lie moves the time of a build by some percent
_ROUNDS = 8  # of each load
_ROUND_MS = 50.0


class Written(NamedTuple):
    """What is to be built: a module in a folder, as `relay_passes.library.write_module` leaves it.

    Attributes
    ----------
    folder : pathlib.Path
    devices : tuple of str
        TVM's names of the devices that it needs, the host first.
    stock : bool
        Whether `relay.build` is left to itself.
    """

    folder: Path
    devices: tuple[str, ...]
    stock: bool = False


def time_builds(
    written: Mapping[str, Written],
    targets: Sequence[tvm.target.Target],
    address: RpcAddress,
    inputs: Mapping[str, NDArray[np.generic]],
    folder: Path,
) -> dict[str, float | str]:
    """Milliseconds of one run of each build, or in a line why there are none.

    The first build is what the others' numbers are compared with. Times are its median, divided by the median of how
    many times faster each other build is in the same round.
    """
    children = [ChildProcess(name=f"build-{number}", work_dir=folder) for number in range(2)]
    jsons = [tvm.ir.save_json(target) for target in targets]
    try:
        with ThreadPoolExecutor(len(children)) as pool:
            ways = [[one for number, one in enumerate(written.items()) if number % 2 == half] for half in range(2)]
            built = pool.map(
                lambda child, ones: [_build(child, name, one, jsons) for name, one in ones], children, ways
            )
            found: dict[str, float | str] = dict(pair for pairs in built for pair in pairs if pair[1])
        good = [name for name in written if name not in found]
        where = [(str(written[name].folder), written[name].devices) for name in good]
        numbers_ok, times = children[0].call(_times, address, where, dict(inputs), timeout_s=_RUN_TIMEOUT_S)
    finally:
        for child in children:
            child.close()
    ms = np.array(times)
    first_ms = float(np.median(ms[:, 0]))
    for column, name in enumerate(good):
        ratio = float(np.median(ms[:, 0] / ms[:, column]))
        found[name] = first_ms / ratio if numbers_ok[column] else "wrong numbers"
    return found


def _build(child: ChildProcess, name: str, one: Written, jsons: Sequence[str]) -> tuple[str, str]:
    """Build in a child; what went wrong, empty if nothing did."""
    try:
        if one.stock:
            child.call(_build_stock, str(one.folder), list(jsons), timeout_s=_BUILD_TIMEOUT_S)
        else:
            child.call(build_in_folder, str(one.folder), *jsons[: len(one.devices)], timeout_s=_BUILD_TIMEOUT_S)
    except Exception as error:  # TVM raises all kinds where it cannot build
        return name, meaningful_lines(str(error)) or type(error).__name__
    return name, ""


def _build_stock(folder: str, jsons: Sequence[str]) -> None:
    """Runs in a child: `relay.build` with several targets, left to itself."""
    place = Path(folder)
    targets = [tvm.ir.load_json(text) for text in jsons]
    mod = tvm.ir.load_json((place / "module.json").read_text())
    params = tvm.relay.load_param_dict((place / "weights.params").read_bytes())
    with tvm.transform.PassContext(opt_level=3):
        factory = tvm.relay.build(mod, targets, params=params)
    write_built(factory, place, targets[0])


def _times(
    address: RpcAddress, where: Sequence[tuple[str, Sequence[str]]], inputs: dict[str, NDArray[np.generic]]
) -> tuple[list[bool], list[list[float]]]:
    """Runs in a child: whether each build gives the first one's numbers, and milliseconds by round and build."""
    session = open_session(address, session_timeout_s=_RUN_TIMEOUT_S)
    try:
        host = session.device(where[0][1][0], 0)
        loaders = [
            loader_on(session, Path(folder), [session.device(name, 0) for name in names], f"{number}.so")
            for number, (folder, names) in enumerate(where)
        ]
        good = [True] * len(loaders)
        rounds: list[list[float]] = []
        for turn in range(_LOADS):
            executors = [load() for load in loaders]
            results = [outputs(executor, inputs) for executor in executors]
            for number, result in enumerate(results):
                verdicts = [compare(*pair) for pair in zip(result, results[0], strict=True)]
                good[number] &= all(ok for ok, _ in verdicts)
            clocks = [clock(executor, host) for executor in executors]
            counts = [max(1, math.ceil(_ROUND_MS / max(one(1), 1e-3))) for one in clocks]
            for number in range(_ROUNDS):
                order = np.roll(np.arange(len(clocks)), turn * _ROUNDS + number)
                ms = {column: clocks[column](counts[column]) for column in order.tolist()}
                rounds.append([ms[column] for column in range(len(clocks))])
        return good, rounds
    finally:
        close_session(session)
