"""Which of TVM's runtimes a server process takes: the installed one, or one that was built with more devices."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tvm

from cost_model.opencl_runtime import LIBRARY, RuntimeBuildError, runtime_folder
from tvm_go.errors import UsageError


def runtime_environment(devices: Iterable[str], folder: str | None = None) -> dict[str, str]:
    """Environment variables of a process whose TVM has some devices.

    Parameters
    ----------
    devices : iterable of str
        TVM's names.
    folder : str, optional
        Of the runtime to take; without one the installed TVM if it has the devices, else what
        `tools/build_opencl_runtime` built.

    Raises
    ------
    UsageError
        There is no such runtime.
    """
    missing = [
        name for name in devices if name != "cpu" and not tvm.get_global_func(f"device_api.{name}", allow_missing=True)
    ]
    if folder is None and not missing:
        return {}
    try:
        chosen = Path(folder) if folder else runtime_folder()
    except RuntimeBuildError as error:
        raise UsageError(str(error)) from error
    if not (chosen / LIBRARY).is_file():
        where = f"--runtime '{folder}' holds no {LIBRARY}" if folder else f"the installed TVM has no {missing[0]}"
        advice = "build one, once, with tools/build_opencl_runtime or 'python -m cost_model.opencl_runtime'"
        raise UsageError(f"{where}: {advice} (6 minutes of CPU time)")
    return {"TVM_LIBRARY_PATH": str(chosen.resolve()), "TVM_USE_RUNTIME_LIB": "1"}
