"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file; readers see the old one or the new one. Raises OSError if it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError:  # a full disk should not keep half a file
        partial.unlink(missing_ok=True)
        raise
