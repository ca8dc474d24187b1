"""The tvmc plugin: importing it adds our commands to tvmc; `tvm-go` is tvmc with them."""

# These register their parsers, in this order; short_help changes those of compile and run.
from tvm_go.tvmc import compile, log, place, run, serve, short_help, train, tune_graph, view  # noqa: F401
from tvm_go.tvmc.compile import compile_model

__all__ = ["compile_model"]
