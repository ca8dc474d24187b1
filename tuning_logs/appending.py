"""Append one line to a shared file: whole or not at all, whatever other writers, kills and the disk do."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path


def open_for_append(path: Path) -> int:
    """Open (create) a file and its parent folders for appending, and return the descriptor.

    Raises
    ------
    OSError
        If the path is no regular file, or the file system refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def append_line(path: Path, line: str) -> None:
    """Append one line durably: one write under an exclusive lock, then fsync.

    A last line without a newline, torn by a kill, is closed off in the same write.

    Parameters
    ----------
    path
        The file; created if missing.
    line
        Text without a newline.

    Raises
    ------
    OSError
        If the line could not be written as a whole; the file then is as it was before.
    """
    descriptor = open_for_append(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = (b"\n" if torn else b"") + line.encode() + b"\n"
        try:
            if os.write(descriptor, content) < len(content):  # what fitted on a full disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
