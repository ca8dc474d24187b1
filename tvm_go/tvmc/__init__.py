"""The tvmc plugin: importing it adds our commands to tvmc; `tvm-go` is tvmc with them."""

from tvm_go.tvmc import compile, log, place, run, serve, tune_graph, view  # noqa: F401  (they register their parsers)
from tvm_go.tvmc.compile import compile_model

__all__ = ["compile_model"]
