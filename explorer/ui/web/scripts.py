"""How scripts and style sheets of the page get to the browser, from assets/page and nowhere else.

Scripts are ES modules under an address that names their content: a browser may keep them for ever,
and a new version has another address. It is relative to that of the page, so that it holds behind a
proxy that serves it under a path. Knows nothing of what a script does.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer import ROOT

PAGE = ROOT / "assets" / "page"
PLOTLY = Path(str(files("plotly") / "package_data" / "plotly.min.js"))
AT = "/gradio_api/page/"  # what begins with /gradio_api reaches Gradio through every proxy
MEDIA = {".js": "text/javascript", ".css": "text/css"}
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-cache"}
IMPORT = re.compile(r'^import [^"]*"(\.[^"]+)";', re.MULTILINE)


def served_files() -> dict[str, Path]:
    """List what a browser may fetch, by its name there: assets/page, and plotly.js beside it.

    It is the one that comes with the package `plotly`, so that nothing is fetched from elsewhere.
    """
    files = [file for file in PAGE.rglob("*") if file.is_file()]
    return {file.relative_to(PAGE).as_posix(): file for file in files} | {PLOTLY.name: PLOTLY}


def version() -> str:
    """Name the content of all files by a hash."""
    digest = hashlib.sha256()
    for name, file in sorted(served_files().items()):
        digest.update(name.encode() + b"\0" + file.read_bytes())
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


def web_app(
    *limits: Middleware,
    documents: dict[str, str] | None = None,
    lasting: dict[str, str] | None = None,
) -> dict[str, list]:
    """Give what the web app under Gradio's is made with: addresses of files, and what stands before
    Gradio: limits, and compression.

    documents: JSON that scripts fetch when they need it, by name; lasting: such whose names tell
    their content. A visit fetches forty scripts: each is read and compressed once, and given by the
    event loop itself, since a thread for each took longer than all else.
    """
    files = {name: (file.suffix, file.read_bytes()) for name, file in served_files().items()}

    @cache
    def compressed(name: str) -> bytes:
        return gzip.compress(files[name][1], mtime=0)

    async def fetch(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            return Response(status_code=404)
        suffix, content = files[name]
        headers = FOREVER | {"Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            content, headers = compressed(name), headers | {"Content-Encoding": "gzip"}
        return Response(content, media_type=MEDIA[suffix], headers=headers)

    def document(text: str, headers: dict[str, str]) -> Callable[[Request], Response]:
        return lambda _: Response(text, media_type="application/json", headers=headers)

    # A route, not a mount of the folder: that finds nothing where a proxy takes a path away.
    kinds = ((documents or {}, FRESH), (lasting or {}, FOREVER))
    return {
        "routes": [
            Route(folder() + "/{name:path}", fetch),
            *(
                Route(AT + name, document(text, headers))
                for named, headers in kinds
                for name, text in named.items()
            ),
        ],
        "middleware": [*limits, Middleware(GZipMiddleware, minimum_size=10_000, compresslevel=5)],
    }
