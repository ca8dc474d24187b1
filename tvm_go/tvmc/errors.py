"""From exceptions to one line and an exit status: 0 success, 1 failure, 2 wrong use, 130 interrupted."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from tvm.driver.tvmc import TVMCException, TVMCImportError

from relay_passes.error_text import meaningful_lines
from tvm_go.errors import TvmGoError, UsageError

INTERRUPTED = 130


def one_line(command: Callable[[Namespace], int]) -> Callable[[Namespace], int]:
    """Let a command report its errors as one clear line on stderr, and leave stdout to its results.

    An error that nobody foresaw is one line as well; ``-v`` shows its traceback.
    """

    @functools.wraps(command)
    def run(args: Namespace) -> int:
        for handler in logging.getLogger().handlers:  # tvmc logs to stdout, where our results go
            if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
                handler.setStream(sys.stderr)
        logging.getLogger("autotvm").setLevel(logging.ERROR)
        try:
            return command(args)
        except UsageError as error:
            return fail(str(error), 2)
        except TVMCImportError as error:
            return fail(f"this needs the package {error}: install it", 1)
        except (TvmGoError, TVMCException) as error:
            return fail(str(error), 1)
        except BrokenPipeError:  # whoever read our stdout has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except KeyboardInterrupt:
            return interrupted()
        except Exception as error:
            if args.verbose:
                raise
            if isinstance(error, OSError):  # a full disk, a folder that may not be written
                where = f": {error.filename}" if error.filename else ""
                full = "; free the disk, or write to another one" if error.errno == errno.ENOSPC else ""
                return fail(f"{error.strerror or error}{where}{full}", 1)
            reason = meaningful_lines(f"{type(error).__name__}: {error}")
            return fail(f"{reason} (unexpected: add -v to see where it comes from)", 1)

    return run


def fail(message: str, status: int) -> int:
    """Print an error as one line; returns the exit status."""
    print("tvm-go: error: " + " ".join(message.split()), file=sys.stderr)
    return status


def interrupted(message: str = "") -> int:
    """Say that Ctrl-C was heard, and what is left; returns the exit status."""
    print("tvm-go: interrupted" + (f": {message}" if message else ""), file=sys.stderr)
    return INTERRUPTED


def check_output(path: Path, what: str, *, option: str = "-o") -> None:
    """Make sure, before anything is spent, that a file can be written.

    Raises
    ------
    UsageError
        If its folder does not exist or takes no files, or if it is a folder itself.
    """
    reason = "it is a folder" if path.is_dir() else None
    if reason is None:
        try:
            descriptor, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(descriptor)
            with contextlib.suppress(OSError):
                Path(probe).unlink()
        except OSError as error:
            reason = f"{error.strerror}: {path.parent}"
    if reason is not None:
        raise UsageError(
            f"cannot write {what} to '{path}' ({reason}); choose a file in an existing folder with {option}"
        )
