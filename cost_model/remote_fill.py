"""Fills tensors on the server with the random numbers of `kernel_inputs`, instead of sending them, and takes its pace.

TVM's RPC writes byte by byte (`WriteArray` in tvm/src/runtime/rpc/rpc_endpoint.cc): 50 MB/s on loopback, seconds for a
large weight. Here only one block of numbers is sent per session; the server repeats it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.ir import GlobalVar
from tvm.script import tir as T

from cost_model.kernel_inputs import BLOCK, TensorSpec, normal_block
from cost_model.lowering import linker_options

_SYMBOL, _PACE = "fill_with_block", "pace"


@T.prim_func(private=True)
def _fill(block: T.handle, tensor: T.handle, start: T.int64) -> None:
    # The block twice, so that a run of its length may begin anywhere in it.
    numbers = T.match_buffer(block, (T.int64(65498),), "float32")
    length = T.int64()
    out = T.match_buffer(tensor, (length,), "float32")
    for run in range((length + T.int64(32748)) // T.int64(32749)):
        for i in range(T.min(T.int64(32749), length - run * T.int64(32749))):
            out[run * T.int64(32749) + i] = numbers[start + i]


@T.prim_func(private=True)
def _pace(data: T.handle) -> None:
    values = T.match_buffer(data, (T.int64(64), T.int64(4096)), "float32")
    for row in T.parallel(T.int64(64)):
        for _ in range(T.int64(64)):
            for column in range(T.int64(4096)):
                values[row, column] = values[row, column] * T.float32(0.5) + T.float32(0.25)


def write_fill_library(target: tvm.target.Target, path: Path) -> None:
    """Compile the functions for a CPU target into a shared library."""
    functions = {_SYMBOL: _fill, _PACE: _pace}
    module = tvm.IRModule({GlobalVar(name): one.with_attr("global_symbol", name) for name, one in functions.items()})
    tvm.build(module, target=target).export_library(str(path), **linker_options(target))


class RemoteFill:
    """The fill function on one session, with the blocks it has sent.

    Parameters
    ----------
    session : tvm.rpc.RPCSession
        The session.
    device : tvm.runtime.Device
        Its device.
    library_path : str
        What `write_fill_library` wrote.
    """

    def __init__(self, session: Any, device: Any, library_path: str) -> None:
        name = Path(library_path).name
        session.upload(library_path, name)
        library = session.load_module(name)
        self._function = library.get_function(_SYMBOL)
        self._device = device
        self._blocks: dict[bool, Any] = {}
        self._pace = library.time_evaluator(_PACE, device, number=1, repeat=3)
        self._pace_data = tvm.nd.array(np.zeros((64, 4096), dtype=np.float32), device)

    def pace_ms(self) -> float:
        """Milliseconds that a fixed function takes now, on all cores: on a shared machine it moves, as kernels do."""
        return float(self._pace(self._pace_data).median * 1e3)

    def tensor(self, spec: TensorSpec, *, start: int, positive: bool) -> Any:
        """A float32 tensor on the server that holds the block of numbers from `start` on, again and again."""
        if positive not in self._blocks:
            block = normal_block(positive)
            self._blocks[positive] = tvm.nd.array(np.concatenate([block, block]), self._device)
        tensor = tvm.nd.empty(spec.shape, spec.dtype, self._device)
        flat = tensor._create_view((int(np.prod(spec.shape, dtype=np.int64)),))
        self._function(self._blocks[positive], flat, start % BLOCK)
        return tensor
