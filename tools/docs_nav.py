"""Hook of mkdocs: the decisions, however many there are, and guides that nobody listed are in the navigation too."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Append docs/decisions in the order of their numbers, and to the guides what no section names."""
    docs = Path(config["docs_dir"])
    nav = config["nav"]
    sections = {title: pages for entry in nav if isinstance(entry, dict) for title, pages in entry.items()}
    named = {page for pages in sections.values() for page in pages} | {page for page in nav if isinstance(page, str)}
    sections["Guides"] += sorted({path.name for path in docs.glob("*.md")} - named)
    decisions = sorted((docs / "decisions").glob("[0-9]*.md"))
    nav.append({"Decisions": [path.relative_to(docs).as_posix() for path in decisions]})
    return config
