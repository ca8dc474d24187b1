"""Where tables are printed."""

from rich.console import Console

_WIDTH_OF_A_FILE = 100  # columns where stdout is no terminal


def table_console() -> Console:
    """Stdout, as wide as the terminal, or wide enough for a table where it is none."""
    console = Console()
    console.width = console.width if console.is_terminal else _WIDTH_OF_A_FILE
    return console
