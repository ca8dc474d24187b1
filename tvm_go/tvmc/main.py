"""The command `tvm-go`: tvmc with more commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tvm.driver.tvmc import main as stock

import tvm_go.tvmc  # noqa: F401  (registers our commands)
from tvm_go.interrupts import sure_interrupts
from tvm_go.tvmc.errors import interrupted

_EXAMPLE = """\
example:
  tvm-go tune-graph model.onnx -o plan.json
  tvm-go compile model.onnx --graph-plan plan.json -o model.tar
  tvm-go run model.tar --device cpu --fill-mode random --print-time
  tvm-go view plan.json -o plan.html
  tvm-go place graph.json --objective throughput -o split.json
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status."""
    if not any(parser is _call_it_tvm_go for parser in stock.REGISTERED_PARSER):
        stock.REGISTERED_PARSER.insert(0, _call_it_tvm_go)
    try:
        with sure_interrupts():
            status = stock._main(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        status = interrupted()
    sys.exit(status)


def _call_it_tvm_go(subparsers: Any, parser: argparse.ArgumentParser, _: object) -> None:
    """Tvmc fixes its program name; help and usage should show what the user typed."""
    parser.prog = "tvm-go"
    parser.description = "TVM's driver tvmc with a learned graph-level tuner"
    parser.epilog = _EXAMPLE
    subparsers._prog_prefix = "tvm-go"
