"""How scripts and style sheets of the page get to the browser, from assets/page and nowhere else.

Scripts are ES modules under an address that names their content: a browser may keep them for ever,
and a new version has another address. It is relative to that of the page, so that it holds behind a
proxy that serves it under a path. Knows nothing of what a script does.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from pathlib import Path

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from explorer import ROOT

PAGE = ROOT / "assets" / "page"
PLOTLY = Path(str(files("plotly") / "package_data" / "plotly.min.js"))
AT = "/gradio_api/page/"  # what begins with /gradio_api reaches Gradio through every proxy
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
IMPORT = re.compile(r'^import [^"]*"(\.[^"]+)";', re.MULTILINE)


def version() -> str:
    """Name the content of all files by a hash."""
    digest = hashlib.sha256(str(PLOTLY.stat().st_size).encode())
    for file in sorted(file for file in PAGE.rglob("*") if file.is_file()):
        digest.update(file.relative_to(PAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def folder() -> str:
    """Give the address of the folder, from the root of the app."""
    return AT + version()


def needed(name: str = "main.js") -> list[str]:
    """List a script and all that it imports at once, in the order in which they are met."""
    found, waiting = [], [PAGE / name]
    for file in waiting:
        found.append(file.relative_to(PAGE).as_posix())
        for target in IMPORT.findall(file.read_text(encoding="utf-8")):
            other = (file.parent / target).resolve()
            if other not in waiting:
                waiting.append(other)
    return found


def head() -> str:
    """Give what the page needs in its head: what is fetched at once, and the line that runs it."""
    at = "." + folder()
    links = [f'<link rel="modulepreload" href="{at}/{name}">' for name in needed()]
    start = f'window.explorer = import(new URL("{at}/main.js", document.baseURI));'
    return "\n".join([*links, f"<script>{start}</script>"])


def styles() -> str:
    """Give the style sheet of what the page opens with; other tabs bring their own."""
    sheets = [PAGE / "base.css", *sorted((PAGE / "explore").rglob("*.css"))]
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


class _Kept(StaticFiles):
    """Files that never change under their address."""

    def file_response(self, *args, **kwargs) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(FOREVER)
        return response


def served() -> dict[str, list]:
    """Give what the web app under Gradio's is made with: the addresses of files, and compression.

    Gradio compresses scripts, but not the page itself: its first example is half a megabyte.
    """
    return {
        "routes": _routes(),
        "middleware": [Middleware(GZipMiddleware, minimum_size=10_000, compresslevel=5)],
    }


def _routes() -> list[BaseRoute]:
    """Serve assets/page, and the plotly.js that comes with the package `plotly` beside it."""

    def plotly(_request: object) -> Response:
        return FileResponse(PLOTLY, media_type="text/javascript", headers=FOREVER)

    at = folder()
    return [Route(f"{at}/plotly.min.js", plotly), Mount(at, _Kept(directory=PAGE))]
