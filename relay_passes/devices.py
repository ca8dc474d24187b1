"""Devices in Relay: where each value lies, and one copy of it for all who read it on another device.

TVM's device planning (`tvm/src/relay/transforms/device_planner.cc`) infers devices from annotations and puts a copy at
each use that they set apart. Here every kernel is annotated, both what it computes and its result, and every copy is
written out, once for each value and device: nothing is left to infer, and nothing is copied twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import tvm
from tvm import relay

from relay_passes.dataflow import Dataflow
from tvm_go.copies import HOST, reading_devices
from tvm_go.errors import PlanError
from tvm_go.graph import Int32, OpGraph, ValueKind


class PlacedValues:
    """Expressions of values by the device that reads them.

    Parameters
    ----------
    exprs : dict of int to relay.Expr
        Of graph inputs and of constants that stay where they are.
    devices : sequence of str
        TVM's names; the host first. With the host alone nothing is annotated.
    """

    def __init__(self, exprs: dict[int, relay.Expr], devices: Sequence[str]) -> None:
        self._devices = [tvm.device(name, 0) for name in devices]
        self._home = dict.fromkeys(exprs, HOST)
        self._exprs = {(value, HOST): expr for value, expr in exprs.items()}

    def put(self, value: int, expr: relay.Expr, device: int) -> None:
        """Enter what a kernel on a device makes."""
        if len(self._devices) > 1:
            expr = relay.annotation.on_device(expr, self._devices[device], constrain_result=True)
        self._home[value] = device
        self._exprs[value, device] = expr

    def keep(self, value: int, expr: relay.Expr, device: int) -> None:
        """Enter a weight as it lies on a device; it may lie on several."""
        self._exprs[value, device] = expr

    def on(self, value: int, device: int) -> relay.Expr:
        """The value on a device, copied there if need be."""
        if (value, device) not in self._exprs:
            home = self._home[value]
            source, destination = self._devices[home], self._devices[device]
            self._exprs[value, device] = relay.op.device_copy(self._exprs[value, home], source, destination)
        return self._exprs[value, device]

    def all_on(self, values: Iterable[int], device: int) -> dict[int, relay.Expr]:
        """Values on a device, copied there if need be."""
        return {value: self.on(value, device) for value in values}


def place_constants(
    flow: Dataflow,
    graph: OpGraph,
    kernel: Int32,
    device: Int32,
    values: PlacedValues,
    weights: dict[str, tvm.nd.NDArray] | None,
) -> list[relay.Var]:
    """Give every device that reads a constant a node of its own for it: TVM takes a node to be on one device.

    Parameters
    ----------
    weights : dict or None
        Takes the constants, by the names of the variables that then stand for them; None leaves them in place.

    Returns
    -------
    list of relay.Var
        Those variables.
    """
    value_of, device_of = reading_devices(graph, kernel, device)
    constant = (graph.value_kind[value_of] == ValueKind.CONSTANT) & np.isnan(graph.value_scalar[value_of])
    variables = []
    for value, place in zip(value_of[constant].tolist(), device_of[constant].tolist(), strict=True):
        expr = flow.values[value].expr
        if weights is not None:
            name = f"tvm_go_weight_{value}" + (f"_{place}" if place != HOST else "")
            weights[name] = expr.data
            variables.append(relay.Var(name, flow.values[value].type))
            values.keep(value, variables[-1], place)
        elif place != HOST:
            values.keep(value, relay.Constant(expr.data), place)
    return variables


def check_placement(graph: OpGraph, kernel: Int32, device: Int32, devices: Sequence[str]) -> None:
    """Raise :class:`PlanError` if a kernel is placed on another device that is compiled for the host already."""
    fixed = np.flatnonzero(graph.fixed & (device[kernel] != HOST))
    if len(fixed):
        place = devices[device[kernel[fixed[0]]]]
        raise PlanError(
            f"kernel {kernel[fixed[0]]} ({graph.name(int(fixed[0]))}) is compiled already, for {devices[HOST]}, and is "
            f"placed on {place}: place it on {devices[HOST]}"
        )
