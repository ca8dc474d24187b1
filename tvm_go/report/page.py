"""The page of the plan viewer: its tables, its data and its scripts in one file."""

from __future__ import annotations

import base64
from html import escape
from string import Template

from tvm_go.report.document import document, resource, resource_bytes
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
# ELK runs in a worker that is made of the page's own data.
_POLICY = "script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; worker-src blob:; img-src data:"


def page(scene: Scene) -> str:
    """The page of a scene."""
    comparison = scene.comparison
    changes = "<p>There is no other plan to compare with: this is TVM's default, or the plan names none.</p>"
    if comparison is not None:
        changes = change_table(comparison, scene)
    body = Template(resource("viewer/page.html")).substitute(
        kernels=kernel_table(scene),
        changes=changes,
        data=packed(scene),
        layout=base64.b64encode(resource_bytes("vendor/elk-worker.min.js.gz")).decode(),
        script="\n".join(resource(f"viewer/{name}") for name in SCRIPTS),
    )
    return document(body, title=scene.title, kind="tvm-go plan", style="viewer.css", policy=_POLICY, facts=scene.facts)


def framed(html: str, height_px: int = 720) -> str:
    """A page in a frame, as a notebook shows it among other output."""
    style = f"width:100%;height:{height_px}px;border:1px solid #8884;border-radius:6px"
    return f'<iframe title="tvm-go plan" style="{style}" srcdoc="{escape(html)}"></iframe>'
