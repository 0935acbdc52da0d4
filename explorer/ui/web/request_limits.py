"""Refuse requests that are larger than any that the page or a script sends, before they are kept.

Gradio keeps the names of sessions, and what waits in its queue, as long as they come. Knows HTTP;
not what is asked.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.analyses.sharing import case_file

MAX_BODY = 2 * case_file.MAX_BYTES + 1_000_000  # bytes; a case in JSON has some letters twice
MAX_ADDRESS = 16_000  # bytes of path and query
MAX_SESSION = 64  # characters of a session's name; Gradio's own have about ten
UNUSED = ("component_server", "deep_link", "process_recording", "vibe-edit", "undo-vibe-edit")
"""What Gradio offers and this page has no use for: it takes files or stores what it is told."""


class RequestLimits:
    """Stands before Gradio; see `refusal`. Uploads have limits of their own; see uploads.py."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = _refused_address(scope)
        if refused is None and scope["method"] == "POST" and not is_upload(scope):
            body = await _body(receive)
            refused = _refused_body(body)
            receive = _again(body or b"", receive)
        await (refused or self.app)(scope, receive, send)


def is_upload(scope: Scope) -> bool:
    """Tell whether a request brings a file."""
    return scope["path"].rstrip("/").endswith("/upload")


def _refused_address(scope: Scope) -> Response | None:
    path, query = scope["path"], scope.get("query_string", b"")
    if len(path) + len(query) > MAX_ADDRESS:
        return PlainTextResponse("This address is too long.", 414)
    parts = path.strip("/").split("/")
    if any(part in UNUSED for part in parts):
        return PlainTextResponse("There is nothing here.", 404)
    sessions = parse_qs(query.decode("latin-1")).get("session_hash", [])
    if "heartbeat" in parts:
        sessions.append(parts[-1])
    return _refused_session(sessions)


def _refused_body(body: bytes | None) -> Response | None:
    if body is None:
        return PlainTextResponse(f"A request has at most {MAX_BODY // 1_000_000} MB.", 413)
    if b"session_hash" not in body and len(body) < MAX_SESSION:
        return None
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):  # not ours to explain
        return None
    return _refused_session([said.get("session_hash")]) if isinstance(said, dict) else None


def _refused_session(names: list[object]) -> Response | None:
    if any(isinstance(name, str) and len(name) > MAX_SESSION for name in names):
        sentence = f"The name of a session has at most {MAX_SESSION} characters."
        return PlainTextResponse(sentence, 400)
    return None


async def _body(receive: Receive) -> bytes | None:
    """Read a whole body; None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Give a body that has been read once more, and then what comes behind it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again
