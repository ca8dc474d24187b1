"""What stands in the documents to be run: blocks of commands, and commands within sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_MARK = r"(?:^ *<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
_FENCE = r'^(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[\w.]+)")?\n(?P<text>.*?)^(?P=indent)```$'
_BLOCK = re.compile(_MARK + _FENCE, re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"<<'END'\n.*?^END$", re.MULTILINE | re.DOTALL)
_IN_A_SENTENCE = re.compile(r"`([^`\n]+)`")
_PROGRAMS = ("tvm-go", "python", "python3", "make", "pip")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is (``title``), and why it is not run, if it is not."""

    language: str
    title: str
    text: str
    reason: str

    @property
    def is_run(self) -> bool:
        return self.language == "sh" and not self.reason


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(one["language"], one["title"] or "", one["text"], one["reason"] or "") for one in found]


def commands_of(page: Path) -> Iterator[list[str]]:
    """The words of every command of ours on a page, from the program's name on: of its blocks, and of its sentences."""
    for block in blocks_of(page):
        if block.language == "sh":
            text = _HERE_DOCUMENT.sub("", block.text).replace("\\\n", " ")
            for line in text.splitlines():
                yield from _ours(shlex.split(line, comments=True))
    for text in _IN_A_SENTENCE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        if _begins_as_a_command(text):
            yield from _ours(text.replace("\\|", "|").split())


def stray_commands(page: Path) -> list[str]:
    """Lines that look like a command of ours and stand in no block of commands."""
    text = page.read_text(encoding="utf-8")
    other = "".join(one.text for one in blocks_of(page) if one.language not in ("sh", "text"))
    lines = [line for line in _BLOCK.sub("", text).splitlines() if line.startswith("    ")]
    return [line for line in [*other.splitlines(), *lines] if _begins_as_a_command(line.strip())]


def _begins_as_a_command(text: str) -> bool:
    program, _, rest = text.partition(" ")
    return program.startswith("tools/") or (program in _PROGRAMS and bool(rest) and "=" not in rest.split(" ")[0])


def _ours(words: list[str]) -> Iterator[list[str]]:
    for place, word in enumerate(words):
        if word in _PROGRAMS or word.startswith("tools/"):
            yield words[place:]
            return
