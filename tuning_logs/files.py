"""Log files at rest: plain or compressed, read as they are, written whole or not at all."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable
from pathlib import Path

from tuning_logs.log import TuningLog
from tuning_logs.records import KernelRecord, Record, from_json
from tvm_go.atomic import write_atomically
from tvm_go.errors import LogError


def records_of(path: str | os.PathLike[str]) -> list[Record]:
    """All records of a log, compressed if its name ends in ``.gz``.

    Raises
    ------
    LogError
        If there is no such file, it cannot be read, or a line of a compressed one is no record.
    """
    path = Path(path)
    if not path.is_file():
        raise LogError(f"there is no log {path}: no such file; `tvm-go tune-graph MODEL --log {path}` makes one")
    if path.suffix != ".gz":
        return TuningLog(path).records
    try:
        lines = gzip.decompress(path.read_bytes()).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise LogError(f"cannot read the records in {path}: {error}; get the file again") from None
    return [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def kernels_of(path: str | os.PathLike[str]) -> list[KernelRecord]:
    """The kernels among :func:`records_of`."""
    return [record for record in records_of(path) if isinstance(record, KernelRecord)]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file; readers see the old one or the new one.

    Raises
    ------
    LogError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise LogError(f"cannot write records to {path}: {error.strerror}; give another folder") from None


def text_of(records: Iterable[Record]) -> bytes:
    """Records as the lines of a log."""
    return "".join(record.to_json_line() + "\n" for record in records).encode()


def _parse(line: bytes, place: str) -> Record:
    try:
        return from_json(line)
    except LogError as error:
        raise type(error)(f"{place}: {error}") from None
