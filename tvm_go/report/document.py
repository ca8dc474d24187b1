"""What our pages have in common: one HTML file, its style inside, a head with facts, and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template


def document(
    body: str, *, title: str, kind: str, style: str, policy: str, facts: Iterable[tuple[str, str]], button: str = ""
) -> str:
    """A whole page.

    Parameters
    ----------
    body : str
        What comes after the head, as HTML.
    title, kind : str
        Of what it is, and what kind of page.
    style : str
        File of ``viewer/`` with the style that only such pages have.
    policy : str
        What the page may load and run, as its content security policy; all else it may not.
    facts : iterable of (name, value)
        For the head.
    button : str
        HTML of a button beside the title.
    """
    head = Template(resource("viewer/head.html")).substitute(
        title=escape(title),
        kind=kind,
        policy=policy,
        style=resource("viewer/look.css") + resource(f"viewer/{style}"),
        button=button,
        facts="".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts),
    )
    return f"{head}{body}</body>\n</html>\n"


def resource(path: str) -> str:
    """A file that comes with the package, as text."""
    return resource_bytes(path).decode()


def resource_bytes(path: str) -> bytes:
    """A file that comes with the package."""
    return resources.files("tvm_go.report").joinpath(path).read_bytes()
