"""Hook of mkdocs: puts the decisions, however many there are, into the navigation."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Append docs/decisions, in the order of their numbers, named by their files' first lines."""
    docs = Path(config["docs_dir"])
    pages = [path.relative_to(docs).as_posix() for path in sorted((docs / "decisions").glob("[0-9]*.md"))]
    config["nav"].append({"Decisions": pages})
    return config
