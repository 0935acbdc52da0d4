"""Refuse requests that are larger than any that the page or a script sends, before they are kept.

Gradio keeps the names of sessions, what waits in its queue, and the last message to each block of
a session, as long as they come. Large messages, such as a saved case, are taken from open pages
alone. Knows HTTP; not what is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from explorer.analyses.sharing import case_file
from explorer.ui.web.presence import Presence

MAX_BODY = 2 * case_file.MAX_BYTES + 1_000_000  # bytes; a case in JSON has some letters twice
MAX_MESSAGE = 300_000  # bytes without an open page; the longest that is no case has 220,000
MAX_ADDRESS = 16_000  # bytes of path and query
MAX_SESSION = 64  # characters of a session's name; Gradio's own have about ten
SESSION = re.compile(rb'"session_hash"\s*:\s*"([^"\\]*)"\s*}\s*$')  # pages name it last
UNUSED = ("component_server", "deep_link", "process_recording", "vibe-edit", "undo-vibe-edit")
"""What Gradio offers and this page has no use for: it takes files or stores what it is told."""


class RequestLimits:
    """Stands before Gradio. Uploads have limits of their own; see uploads.py."""

    def __init__(self, app: ASGIApp, presence: Presence):
        self.app, self._presence = app, presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = _refused_address(scope)
        if refused is None and scope["method"] == "POST" and not is_upload(scope):
            body = await _body(receive)
            refused = self._refused_body(body)
            receive = _again(body or b"", receive)
        await (refused or self.app)(scope, receive, send)

    def _refused_body(self, body: bytes | None) -> Response | None:
        if body is None:
            return _too_large(MAX_BODY)
        if len(body) > MAX_MESSAGE and not self._is_of_a_page(body):
            return _too_large(MAX_MESSAGE)
        return _refused_body(body)

    def _is_of_a_page(self, body: bytes) -> bool:
        """Tell whether a page is open under the name at its end; the rest is not even parsed."""
        named = SESSION.search(body, max(0, len(body) - 2 * MAX_SESSION))
        if named is None:
            return False
        return self._presence.note_message(named[1].decode("utf-8", "replace"), len(body))


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


def _too_large(most: int) -> Response:
    return PlainTextResponse(f"A request has at most {most // 1_000:,} kB here.", 413)


def _refused_body(body: bytes) -> Response | None:
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
