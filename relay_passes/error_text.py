"""The part of a TVM error that says something: a line or two out of a traceback of hundreds."""

import re

_ERROR_LINE = re.compile(r"^\s*(?:[\w.]*\.)?(\w*(?:Error|Exception|Warning)): ?(.*)$")
_WRAPPERS = re.compile(r"^\s*(?:[\w.]*\.)?\w*Error: Traceback \(most recent call last\)")
_NOISE = re.compile(r"^\s*(?:File \"|\d+: |Traceback |-{5,}|\^+\s*$|Stack trace|During handling|Error during compile)")
_MEMORY = re.compile(r"bad_alloc|out of memory|cannot allocate memory|unable to allocate|MemoryError", re.IGNORECASE)
_MAX_LINES = 3
_MAX_CHARACTERS = 400


def meaningful_lines(text: str) -> str:
    """Cut an error's text down to the message of its innermost error.

    Parameters
    ----------
    text : str
        What `str(error)` or a process's stderr gave, of any length.

    Returns
    -------
    str
        At most three lines and 400 characters, without stack frames; "no message" for an empty text.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if _ERROR_LINE.match(line) and not _WRAPPERS.match(line)]
    if starts:
        lines = _message_at(lines, starts[-1])
    else:
        lines = [line for line in lines if not _NOISE.match(line)][-_MAX_LINES:]
    message = "\n".join(line.strip() for line in lines)
    if len(message) > _MAX_CHARACTERS:
        message = message[: _MAX_CHARACTERS - 3] + "..."
    return message or "no message"


def _message_at(lines: list[str], start: int) -> list[str]:
    """The error line and its continuation, up to the next stack frame or the kernel's text."""
    message = [lines[start]]
    for line in lines[start + 1 : start + _MAX_LINES]:
        if _NOISE.match(line) or line.lstrip().startswith(("fn (", "def @", "#[version", "# from tvm.script")):
            break
        message.append(line)
    return message


def is_memory_error(text: str) -> bool:
    """Whether an error's text says that memory ran out."""
    return _MEMORY.search(text) is not None
