"""Who is here: sessions whose page is open, and how large a message each has sent.

A page holds a connection open as long as it is looked at (its heartbeat); scripts and invented
names hold none. Knows names and bytes; not HTTP, nor what is held of whom.
"""

from __future__ import annotations

from collections import Counter


class Presence:
    """The sessions with an open page; one that several connections hold stays until the last."""

    def __init__(self) -> None:
        self._connections: Counter[str] = Counter()
        self._largest: dict[str, int] = {}  # bytes of a message

    def __contains__(self, session: str) -> bool:
        return session in self._connections

    def enter(self, session: str) -> None:
        """Note that a page holds a connection open."""
        self._connections[session] += 1

    def leave(self, session: str) -> bool:
        """Note that a connection was closed; gives whether it was the page's last."""
        self._connections[session] -= 1
        if self._connections[session]:
            return False
        del self._connections[session]
        self._largest.pop(session, None)
        return True

    def note_message(self, session: str, nbytes: int) -> bool:
        """Note a large message; gives whether a page is open under this name."""
        if session not in self:
            return False
        self._largest[session] = max(nbytes, self._largest.get(session, 0))
        return True

    def message_bytes(self, session: str) -> int:
        """Give the bytes of the largest message that was noted, of which Gradio may keep a copy."""
        return self._largest.get(session, 0)
