"""Fills tensors on the server with the random numbers of `kernel_inputs`, instead of sending them.

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
from cost_model.rpc import load_library
from relay_passes.export import export_library

_SYMBOL = "fill_with_block"


@T.prim_func(private=True)
def _fill(block: T.handle, tensor: T.handle, start: T.int64) -> None:
    # The block twice, so that a run of its length may begin anywhere in it.
    numbers = T.match_buffer(block, (T.int64(65498),), "float32")
    length = T.int64()
    out = T.match_buffer(tensor, (length,), "float32")
    for run in range((length + T.int64(32748)) // T.int64(32749)):
        for i in range(T.min(T.int64(32749), length - run * T.int64(32749))):
            out[run * T.int64(32749) + i] = numbers[start + i]


def write_fill_library(target: tvm.target.Target, path: Path) -> None:
    """Compile the fill function for a CPU target into a shared library."""
    module = tvm.IRModule({GlobalVar(_SYMBOL): _fill.with_attr("global_symbol", _SYMBOL)})
    export_library(tvm.build(module, target=target), path, target)


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
        self._function = load_library(session, library_path).get_function(_SYMBOL)
        self._device = device
        self._blocks: dict[bool, Any] = {}

    def tensor(self, spec: TensorSpec, *, start: int, positive: bool) -> Any:
        """A float32 tensor on the server that holds the block of numbers from `start` on, again and again."""
        if positive not in self._blocks:
            block = normal_block(positive)
            self._blocks[positive] = tvm.nd.array(np.concatenate([block, block]), self._device)
        tensor = tvm.nd.empty(spec.shape, spec.dtype, self._device)
        flat = tensor._create_view((int(np.prod(spec.shape, dtype=np.int64)),))
        self._function(self._blocks[positive], flat, start % BLOCK)
        return tensor
