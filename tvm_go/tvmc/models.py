"""Read a model file through tvmc's front ends."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tvm
from tvm.driver.tvmc import TVMCException, TVMCImportError, frontends
from tvm.driver.tvmc.model import TVMCModel
from tvm.ir import diagnostics

from relay_passes.error_text import meaningful_lines
from tvm_go.errors import UnsupportedModelError, UsageError


def load_model(path: str, model_format: str | None, input_shapes: dict[str, Any] | None) -> TVMCModel:
    """A model file as Relay.

    Relay text names no weights: all arguments of ``main`` stay inputs unless ``input_shapes`` names some of them; then
    the others become random constants, as in tvmc. (Without ``input_shapes`` tvmc makes constants of all of them, and
    nothing is left to compile.)

    Raises
    ------
    UsageError
        If there is no such file, its format is not known, or it cannot be read as that format.
    UnsupportedModelError
        If the front end does not know an operator of the model.
    """
    frontend = _frontend(path, model_format)
    if frontend.name() == "pytorch" and not input_shapes:
        raise UsageError(
            f"'{path}': a PyTorch file does not hold the shapes of its inputs; "
            'give them in order: --input-shapes "x:[1,3,224,224] ..."'
        )
    try:
        with _without_warnings(), _diagnostics() as found:
            model = frontends.load_model(path, frontend.name(), input_shapes)
    except TVMCImportError as error:
        raise UsageError(f"reading {frontend.name()} models needs the package {error}: install it") from error
    except NotImplementedError as error:
        raise UnsupportedModelError(
            f"TVM cannot import '{path}': {meaningful_lines(str(error))}; export the model without it"
        ) from error
    except tvm.error.DiagnosticError as error:
        place = found[0] if found else meaningful_lines(str(error))
        raise UsageError(f"cannot read '{path}' as {frontend.name()}: {place}") from error
    except Exception as error:
        reason = meaningful_lines(f"{type(error).__name__}: {error}")
        raise UsageError(
            f"cannot read '{path}' as {frontend.name()} ({reason}); "
            "is the file whole, and is every --input-shapes name an input of it?"
        ) from error
    if frontend.name() == "relay" and not input_shapes:
        return TVMCModel(model.mod, {})
    return model


def _frontend(path: str, model_format: str | None) -> frontends.Frontend:
    if Path(path).is_dir():
        raise UsageError(f"'{path}' is a folder; give the path of a model file in it")
    if not Path(path).is_file():
        raise UsageError(
            f"there is no model file '{path}'; give the path of an ONNX, PyTorch, TFLite, ... or Relay file"
        )
    try:
        return frontends.get_frontend_by_name(model_format) if model_format else frontends.guess_frontend(path)
    except TVMCException as error:
        known = ", ".join(frontends.get_frontend_names())
        raise UsageError(
            f"cannot tell the format of '{path}' from its ending; name it with --model-format ({known})"
        ) from error


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Front ends warn of the very things that they then fail for, and of versions that nobody can change here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _diagnostics() -> Iterator[list[str]]:
    """Collects what TVM's parser and type checker would print on stderr, as ``line N: message``."""
    found: list[str] = []

    def collect(context: Any) -> None:
        for diagnostic in context.diagnostics:
            span = diagnostic.span
            place = f"line {span.line}: " if span is not None else ""
            found.append(place + " ".join(str(diagnostic.message).split()))

    diagnostics.override_renderer(collect)
    try:
        yield found
    finally:
        diagnostics.override_renderer(None)
