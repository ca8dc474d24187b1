"""The frame of our commands' parsers: help that ends in an example, and the options that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tvm.driver.tvmc import frontends
from tvm.driver.tvmc.shape_parser import parse_shape_string

Command = Callable[[argparse.Namespace], int]


def add_command(
    subparsers: Any, name: str, drive: Command, *, text: str, example: str, usage: str | None = None
) -> argparse.ArgumentParser:
    """A parser for a command of ours.

    Parameters
    ----------
    subparsers
        Of tvmc, or of a command of ours that has others below it.
    name : str
    drive : callable
        What runs it: from its arguments to an exit status.
    text : str
        What it does, in a line.
    example : str
        Commands, one a line.
    usage : str or None
        Its line of usage after the command's name; None leaves it to argparse.
    """
    lines = example.strip().splitlines()
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=text,
        description=text,
        usage=None if usage is None else f"%(prog)s {usage}",
        epilog="\n  ".join(["example:" if len(lines) == 1 else "examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(func=drive)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="show where an unexpected error comes from.")
    return parser


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """How a model's file is read."""
    names = frontends.get_frontend_names()
    parser.add_argument(
        "--model-format", metavar="F", choices=names, help="onnx, pytorch, ...; default: by file ending."
    )
    parser.add_argument(
        "--input-shapes", metavar="S", type=parse_shape_string, help='shapes: "name:[1,3,224,224] other:[1,10]".'
    )
