"""What the visitors of one running page share, and what belongs to a single visit.

Shared: a cache of results, keyed by content and bounded in bytes, and the newest tickets of every
session, bounded in number. A session is a value that the page hands around; nobody else sees it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from explorer.cases.cache import ResultCache
from explorer.cases.request import case_id
from explorer.media.image import Picture
from explorer.pico.data.questions import normalise

MEMORY_BYTES = 256_000_000
SESSIONS = 10_000


class RequestTickets:
    """Which request of a session is the newest on each of its channels; older ones may stop."""

    def __init__(self, sessions: int = SESSIONS):
        self._newest: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._sessions = sessions
        self._lock = threading.Lock()

    def announce(self, session: str, channel: str, ticket: int) -> None:
        """Tell that a session has asked anew."""
        with self._lock:
            newest = self._newest.setdefault(session, {})
            newest[channel] = max(ticket, newest.get(channel, 0))
            self._newest.move_to_end(session)
            while len(self._newest) > self._sessions:
                self._newest.popitem(last=False)

    def newest(self, session: str, channel: str) -> int:
        """Give the newest ticket of a session on a channel, 0 if it has none."""
        return self._newest.get(session, {}).get(channel, 0)

    def forget(self, session: str) -> None:
        """Drop a session that has left."""
        with self._lock:
            self._newest.pop(session, None)


@dataclass
class AppState:
    """What the visitors of one running page share: results, and who has asked for what last."""

    memory: ResultCache = field(default_factory=lambda: ResultCache(MEMORY_BYTES))
    tickets: RequestTickets = field(default_factory=RequestTickets)


@dataclass(frozen=True)
class Session:
    """What one visitor looks at. truths: the right answers, where a scene makes them known."""

    model: str
    picture: Picture
    question: str
    truths: dict[str, str] | None = None
    suggestions: tuple[str, ...] = ()
    seed: int | None = None

    @property
    def id(self) -> str:
        """The name of the case that is open."""
        return case_id(self.model, self.picture, self.question)

    @property
    def truth(self) -> str | None:
        """The right answer to the present question, if it is known."""
        return None if self.truths is None else self.truths.get(normalise(self.question))


PARTIAL_SECONDS = 0.05  # between two partial answers: more often than the eye can follow is waste
