"""`--help` of tvmc's own commands on one screen, with an example; `--help-all` shows their hundreds of options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.driver.tvmc.main import register_parser


@dataclass(frozen=True)
class _Short:
    """What is shown of a command: its line of usage, the options that most need, an example."""

    usage: str
    options: tuple[str, ...]
    example: str


_COMMANDS = {
    "compile": _Short(
        "FILE [--graph-plan PLAN.json] [--target T] [-o MODULE.tar] [...]",
        ("--graph-plan", "--target", "--output", "--model-format", "--input-shapes", "--cross-compiler", "--opt-level",
         "--desired-layout", "--tuning-records"),
        "tvm-go compile model.onnx --graph-plan plan.json -o model.tar",
    ),
    "run": _Short(
        "PATH [--device D] [--fill-mode M] [-i IN.npz] [-o OUT.npz] [--print-time] [...]",
        ("--device", "--fill-mode", "--inputs", "--outputs", "--print-time", "--repeat", "--number", "--print-top",
         "--rpc-key", "--rpc-tracker"),
        "tvm-go run model.tar --device cpu --fill-mode random --print-time --repeat 10",
    ),
    "tune": _Short(
        "FILE --target T -o RECORDS.json [--trials N] [...]",
        ("--target", "--output", "--trials", "--tuning-records", "--model-format", "--input-shapes", "--tasks",
         "--enable-autoscheduler", "--timeout", "--rpc-key", "--rpc-tracker"),
        "tvm-go tune model.onnx --target llvm -o records.json --trials 100",
    ),
}  # fmt: skip


@register_parser
def shorten_stock_help(subparsers: Any, _: argparse.ArgumentParser, __: object) -> None:
    """Hide the options that few need from the help of the stock commands; all of them still work."""
    for name, short in _COMMANDS.items():
        parser = subparsers.choices[name]
        shown = {"--help", "--verbose", *short.options}
        options = [one for one in parser._actions if one.option_strings and shown.isdisjoint(one.option_strings)]
        groups = [one for one in parser._action_groups if one.description and set(one._group_actions) <= set(options)]
        hidden = [
            *((one, "help", one.help) for one in options),
            *((one, "description", one.description) for one in groups),
        ]
        parser.add_argument("--help-all", action=_HelpAll, hidden=hidden, help="show all options, and exit")
        for one, attribute, _ in hidden:
            setattr(one, attribute, argparse.SUPPRESS if attribute == "help" else None)
        parser.usage = f"%(prog)s {short.usage}"
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = f"example:\n  {short.example}"


class _HelpAll(argparse.Action):
    """Prints the help with what is hidden in the short one."""

    def __init__(self, *, hidden: Sequence[tuple[object, str, str | None]], **options: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, **options)
        self._hidden = hidden

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        for thing, attribute, text in self._hidden:
            setattr(thing, attribute, text)
        parser.usage = None
        parser.print_help()
        parser.exit()
