"""Which visitors' states are held: of those who are here, and of a few who have not shown up.

Gradio makes a state for whatever name of a session it is told, and forgets the one that was used
longest ago. States of names without an open page go first, and with the page goes its state. Knows
names and bytes; not what a visitor looks at.
"""

from __future__ import annotations

import threading

from gradio.queueing import Queue
from gradio.state_holder import SessionState, StateHolder
from starlette.types import ASGIApp, Receive, Scope, Send

from explorer.ui.web.presence import Presence

MAX_ABSENT = 40  # states and unread replies of names without a page: scripts, and inventions
MAX_PRESENT = 1_000  # states of open pages,
MAX_BYTES = 1_000_000_000  # and of all that they hold
STATE_BYTES = 1_000_000  # of a state besides what it names as its bytes


class SessionStates:
    """Stands before Gradio: notes who is here, and bounds what is held of all others."""

    def __init__(self, app: ASGIApp, presence: Presence):
        self.app, self._presence = app, presence
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        session = _of_heartbeat(scope)
        if scope["type"] == "http" and scope["method"] == "POST":
            self.bound(scope["app"].state_holder)
            self.bound_replies(scope["app"].get_blocks()._queue)
        if session is None:
            await self.app(scope, receive, send)
            return
        self._presence.enter(session)
        try:
            await self.app(scope, receive, send)
        finally:
            if self._presence.leave(session):
                _drop(scope["app"].state_holder, session)

    def bound(self, holder: StateHolder) -> None:
        """Drop what is too much: of those who are not here, and then what was used longest ago."""
        with self._lock:
            names = list(holder.session_data)  # those used longest ago first
            absent = [name for name in names if name not in self._presence]
            for name in absent[: max(0, len(absent) - MAX_ABSENT)]:
                _drop(holder, name)
            present = [name for name in names if name in self._presence]
            sizes = {name: self._nbytes(name, holder.session_data.get(name)) for name in present}
            total = sum(sizes.values())
            while present and (total > MAX_BYTES or len(present) > MAX_PRESENT):
                oldest = present.pop(0)
                total -= sizes[oldest]
                _drop(holder, oldest)

    def bound_replies(self, queue: Queue) -> None:
        """Drop replies that nobody has fetched: of those who are not here, the oldest sessions'.

        Gradio keeps a copy of every reply for 2,000 names. Where something is still being computed
        the replies stay, since it has to send its own.
        """
        unread, events = queue.pending_messages_per_session, queue.event_ids_to_events
        busy = {event.session_hash for event in list(events.values())}
        absent = [name for name in unread if name not in self._presence and name not in busy]
        for name in absent[: max(0, len(absent) - MAX_ABSENT)]:
            unread.pop(name, None)
            queue.pending_event_ids_session.pop(name, None)

    def _nbytes(self, name: str, state: SessionState | None) -> int:
        values = [] if state is None else list(state.state_data.values())
        held = sum(getattr(value, "nbytes", 0) for value in values)
        return STATE_BYTES + self._presence.message_bytes(name) + held


def _of_heartbeat(scope: Scope) -> str | None:
    """Name the session whose page holds this connection open; None for every other request."""
    if scope["type"] != "http":
        return None
    *_, kind, name = ["", "", *scope["path"].rstrip("/").split("/")]
    return name if kind == "heartbeat" else None


def _drop(holder: StateHolder, name: str) -> None:
    with holder.lock:
        holder.session_data.pop(name, None)
        holder.time_last_used.pop(name, None)
