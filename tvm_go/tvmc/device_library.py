"""Libraries by plans for several devices, which stock compile cannot make: it knows one target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvm.driver.tvmc.model import TVMCModel

from relay_passes.library import build_module
from relay_passes.target_set import TargetSet
from tvm_go.errors import UsageError
from tvm_go.model import planned
from tvm_go.plan import GraphPlan

_NOTHING: tuple[Any, ...] = (None, "", False, [], [""])  # how the command line says that an option was not given
_TAKEN = ("package_path", "cross", "cross_options", "output_format")


def export_for_devices(model: TVMCModel, plan: GraphPlan, devices: TargetSet, options: Mapping[str, Any]) -> None:
    """Build a model for all devices of a plan, and write its library, as `tvmc.compile` does for one.

    A graph executor runs it that is given one device for each target, in their order.

    Parameters
    ----------
    options
        Of `tvmc.compile`: ``package_path``, ``cross``, ``cross_options``, ``output_format`` and ``mod_name``.

    Raises
    ------
    UsageError
        If there is another option.
    """
    more = sorted(set(options) - {*_TAKEN, "mod_name", "opt_level", *(n for n in options if options[n] in _NOTHING)})
    if more:
        raise UsageError(f"'{more[0]}' is not taken by a plan for several devices ({plan.target}): leave it out")
    factory = build_module(
        planned(model.mod, model.params, plan), devices.targets, mod_name=options.get("mod_name") or "default"
    )
    given = {name: options[name] for name in _TAKEN if options.get(name)}
    model.export_package(factory, **given)
