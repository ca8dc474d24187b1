"""Everything that touches Relay: prepare, extract, apply, verify."""

import tvm_go  # noqa: F401  (sets what TVM reads from the environment when it is imported)
from relay_passes.extract import extract
from relay_passes.prepare import prepare

__all__ = ["extract", "prepare"]
