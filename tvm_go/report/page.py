"""Put the page together: one HTML file with its data, style and scripts inside, and nothing from elsewhere."""

from __future__ import annotations

import base64
from html import escape
from importlib import resources
from string import Template

from tvm_go.report.scene import Scene, packed
from tvm_go.report.tables import change_table, kernel_table

SCRIPTS = (
    "ordered.js",
    "data.js",
    "words.js",
    "theme.js",
    "boxes.js",
    "layout.js",
    "display.js",
    "pen.js",
    "paint.js",
    "minimap.js",
    "graph.js",
    "details.js",
    "search.js",
    "timeline.js",
    "table.js",
    "keys.js",
    "main.js",
)
"""Parts of the viewer, in the order in which they are put together."""


def page(scene: Scene) -> str:
    """The page of a scene."""
    comparison = scene.comparison
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in scene.facts)
    changes = "<p>There is no other plan to compare with: this is TVM's default, or the plan names none.</p>"
    if comparison is not None:
        changes = change_table(comparison, scene)
    return Template(resource("viewer/page.html")).substitute(
        title=escape(scene.title),
        facts=facts,
        style=resource("viewer/look.css") + resource("viewer/viewer.css"),
        kernels=kernel_table(scene),
        changes=changes,
        data=packed(scene),
        layout=base64.b64encode(_bytes("vendor/elk-worker.min.js.gz")).decode(),
        script="\n".join(resource(f"viewer/{name}") for name in SCRIPTS),
    )


def framed(html: str, height_px: int = 720) -> str:
    """A page in a frame, as a notebook shows it among other output."""
    style = f"width:100%;height:{height_px}px;border:1px solid #8884;border-radius:6px"
    return f'<iframe title="tvm-go plan" style="{style}" srcdoc="{escape(html)}"></iframe>'


def _bytes(path: str) -> bytes:
    return resources.files("tvm_go.report").joinpath(path).read_bytes()


def resource(path: str) -> str:
    """A file that comes with the package, as text."""
    return _bytes(path).decode()
