"""The append-only tuning log: one file, one JSON record per line, and an index of the best records."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tuning_logs.appending import append_line, open_for_append
from tuning_logs.index import RecordIndex
from tuning_logs.records import KernelRecord, NewerVersionError, PlanRecord, Record, from_json
from tvm_go.errors import LogError

if TYPE_CHECKING:
    from pandas import DataFrame

_LOGGER = logging.getLogger(__name__)


class TuningLog:
    """Records of kernels and plans in one file that only grows.

    *Durability.* `append` puts a whole line into the file by one write and fsyncs it before it returns. A kill at any
    moment loses at most the line being written; the next `append` closes such a torn line off, so that it never runs
    into another record. If the disk is full, the part that was written is cut off again.

    *Processes.* Any number of processes, and of objects in one process, may append to the same file at once: an
    exclusive `flock` covers the check for a torn line and the write. No file stays open between calls, so an object
    survives a fork. Readers take no lock.

    *Threads.* All methods may be called from any thread.

    *Reading.* A file that does not exist is an empty log. The file is read at the first query; lines of other writers
    are seen after `refresh` or the next own `append`. A last line that is cut short is left alone (`torn_lines` counts
    it); any other line that is no record is skipped, listed in `problems`, and reported once through `logging`.

    *Queries* compare the target's canonical text, `-mcpu` and all, and never mix kinds of device.

    *Errors.* Every method raises `LogError`, one line with the next step, if the file cannot be read or written or
    holds a record of a newer version (`NewerVersionError`). What was in the file before stays readable.

    Parameters
    ----------
    path
        The log file. It and its parent folders are created when the first record is appended.

    Examples
    --------
    >>> log = TuningLog("log.jsonl")
    >>> kernels = log.to_pandas()  # one row for each measurement
    >>> len(kernels) == len(log.kernel_records)
    True
    >>> plans = log.to_pandas("plan")
    >>> record = log.records[0]
    >>> log.best_kernel(record.key, record.target).median_ms <= record.median_ms
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.RLock()
        self._index = RecordIndex()
        self._problems: list[str] = []
        self._torn_lines = 0
        self._identity: tuple[int, int] | None = None  # device and inode of the file that was read
        self._lines = 0  # lines read
        self._offset = 0  # bytes read
        self._loaded = False

    def append(self, record: Record) -> None:
        """Write one record durably, and take in what other writers have appended meanwhile.

        Raises
        ------
        LogError
            If the record cannot be written (read-only or full disk, no permission, a directory), or the log is of a
            newer version.
        """
        line = record.to_json_line()
        with self._lock:
            if not self._loaded:
                self.refresh()  # a log of a newer version is left alone
            try:
                append_line(self.path, line)
            except OSError as error:
                raise LogError(
                    f"cannot write tuning log {self.path}: {error.strerror}; records before this one are kept; "
                    "free the disk, or give another file"
                ) from None
            self.refresh()

    def ensure_writable(self) -> None:
        """Create the file if it is missing and check that it can be appended to, before anything is spent.

        Raises
        ------
        LogError
            If it cannot, or if the log is of a newer version.
        """
        with self._lock:
            self.refresh()
            try:
                os.close(open_for_append(self.path))
            except OSError as error:
                raise LogError(
                    f"cannot write tuning log {self.path}: {error.strerror}; give a file in a folder that you may write"
                ) from None

    def load(self) -> list[Record]:
        """Read the file from its beginning, and return all records in the order of the file."""
        with self._lock:
            self._forget()
            self.refresh()
            return list(self._index.records)

    def refresh(self) -> None:
        """Read the lines that were appended since the last read, by whomever."""
        with self._lock:
            try:
                status = self.path.stat()
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                identity = (status.st_dev, status.st_ino)
                if identity != self._identity or status.st_size < self._offset:  # another file took its place
                    self._forget()
                self._identity = identity
                with self.path.open("rb") as file:
                    file.seek(self._offset)
                    content = file.read()
            except FileNotFoundError:
                self._forget()
                content = b""
            except OSError as error:
                raise LogError(
                    f"cannot read tuning log {self.path}: {error.strerror}; give a file that you may read"
                ) from None
            self._take_in(content)
            self._loaded = True

    @property
    def records(self) -> list[Record]:
        """All records read so far, in the order of the file."""
        with self._lock:
            return list(self._loaded_index().records)

    @property
    def kernel_records(self) -> list[KernelRecord]:
        """Those of `records` that are of kernels."""
        return [record for record in self.records if isinstance(record, KernelRecord)]

    @property
    def problems(self) -> list[str]:
        """One line `FILE:LINE: reason` for every line that was skipped, the torn last line excepted."""
        with self._lock:
            self._loaded_index()
            return list(self._problems)

    @property
    def torn_lines(self) -> int:
        """1 if the file ends in a line that is cut short (by a kill, or still being written), else 0."""
        with self._lock:
            self._loaded_index()
            return self._torn_lines

    def best_kernel(self, key: str, target: str, *, device_kind: str | None = None) -> KernelRecord | None:
        """Return the fastest successful measurement of a kernel, by whichever lowering.

        Parameters
        ----------
        key
            Structural hash of the kernel.
        target
            Canonical text of the TVM target.
        device_kind
            Kind of device; needed only where the log has several for this key and target.

        Returns
        -------
        KernelRecord or None
            The smallest `median_ms`, the earlier record if equal. If every measurement failed, the latest failure,
            so that nobody measures it again. None if the kernel was never measured on this target.

        Raises
        ------
        LogError
            If `device_kind` is not given and the records are of several kinds.
        """
        with self._lock:
            return self._loaded_index().best_kernel(key, target, device_kind)

    def kernels(self, key: str, target: str, *, device_kind: str | None = None) -> dict[str, KernelRecord]:
        """Return the best measurement of a kernel by each lowering, by its text; arguments as in `best_kernel`."""
        with self._lock:
            return self._loaded_index().kernels(key, target, device_kind)

    def plans(self, workload: str, target: str, *, device_kind: str | None = None) -> list[PlanRecord]:
        """Return all plans of a model graph for a target, in the order of the file; arguments as in `best_plan`."""
        with self._lock:
            return self._loaded_index().plans(workload, target, device_kind)

    def best_plan(self, workload: str, target: str, *, device_kind: str | None = None) -> PlanRecord | None:
        """Return the plan with the smallest ratio of its time to the default's.

        The ratio is compared, not the time, because the two were timed interleaved: records of different runs then
        differ less by what else the machine did.

        Parameters
        ----------
        workload
            Hash of the model graph.
        target
            Canonical text of the TVM target.
        device_kind
            Kind of device; needed only where the log has several for this workload and target.

        Returns
        -------
        PlanRecord or None
            The earlier record if equal. None if no plan ran.

        Raises
        ------
        LogError
            If `device_kind` is not given and the records are of several kinds.
        """
        with self._lock:
            return self._loaded_index().best_plan(workload, target, device_kind)

    def to_pandas(self, kind: str = "kernel") -> DataFrame:
        """The records of one kind as a table, in the order of the file.

        Its columns are the record's fields, less what is no cell of a table (the ``structure`` of a kernel, the
        ``plan`` of a plan); also ``succeeded``, and ``speedup`` of a plan over TVM's default.

        Parameters
        ----------
        kind
            ``kernel`` or ``plan``.

        Raises
        ------
        UsageError
            If there is no such kind, or pandas is not installed.
        """
        from tuning_logs.tables import table  # pandas is wanted only here

        return table(self.records, kind)

    def _loaded_index(self) -> RecordIndex:
        if not self._loaded:
            self.refresh()
        return self._index

    def _forget(self) -> None:
        self._index = RecordIndex()
        self._problems.clear()
        self._torn_lines = 0
        self._lines = 0
        self._offset = 0
        self._loaded = False

    def _take_in(self, content: bytes) -> None:
        """Index the lines that follow what was read before; `content` begins at `self._offset`."""
        lines = content.split(b"\n")
        last = lines.pop()  # what follows the last newline
        first_problem = len(self._problems)
        for line in lines:
            self._lines += 1
            if line.strip():
                self._take_in_line(line)
        self._offset += len(content) - len(last)
        self._torn_lines = 0
        if last:  # a record that lacks only its newline, or a part of one
            try:
                self._index.add(self._parse(last, self._lines + 1))
                self._offset += len(last)
            except NewerVersionError:
                raise
            except LogError:
                self._torn_lines = 1
        skipped = self._problems[first_problem:]
        if skipped:
            more = f" (and {len(skipped) - 1} more lines)" if len(skipped) > 1 else ""
            _LOGGER.warning("%s; skipped%s", skipped[0], more)

    def _take_in_line(self, line: bytes) -> None:
        try:
            self._index.add(self._parse(line, self._lines))
        except NewerVersionError:
            raise
        except LogError as error:
            self._problems.append(str(error))

    def _parse(self, line: bytes, number: int) -> Record:
        try:
            return from_json(line)
        except NewerVersionError as error:
            self._forget()
            raise NewerVersionError(f"{self.path}:{number}: {error}") from None
        except LogError as error:
            raise LogError(f"{self.path}:{number}: {error}") from None
