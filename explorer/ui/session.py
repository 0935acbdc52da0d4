"""What the visitors of one running page share, and what belongs to a single visit.

Shared: a memory of results, keyed by content and bounded in bytes, and the newest ticket of every
session, bounded in number. A visit is a value that the page hands around; nobody else sees it.
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
    """Which question of a session is the newest; older ones may stop working."""

    def __init__(self, sessions: int = SESSIONS):
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._sessions = sessions
        self._lock = threading.Lock()

    def announce(self, session: str, ticket: int) -> None:
        """Tell that a session has asked anew."""
        with self._lock:
            self._newest[session] = max(ticket, self._newest.get(session, 0))
            self._newest.move_to_end(session)
            while len(self._newest) > self._sessions:
                self._newest.popitem(last=False)

    def newest(self, session: str) -> int:
        """Give the newest ticket of a session, 0 if it has none."""
        return self._newest.get(session, 0)

    def stale(self, session: str, ticket: int) -> bool:
        """Tell whether the session has asked anew since."""
        return self.newest(session) > ticket

    def forget(self, session: str) -> None:
        """Drop a session that has left."""
        with self._lock:
            self._newest.pop(session, None)


def ticket_of(asked: object) -> int:
    """Read the ticket of what a browser asks; 0 where there is none that could be one."""
    ticket = asked.get("ticket") if isinstance(asked, dict) else None
    return ticket if isinstance(ticket, int) else 0


@dataclass
class AppState:
    """What the visitors of one running page share.

    tickets of the tab "Explore"; comparing, sweeping, filming: of "Compare", "Sweep", "Video";
    picks: choices of a model; debugging: of the tab "Debug", a session for each of its tasks.
    """

    memory: ResultCache = field(default_factory=lambda: ResultCache(MEMORY_BYTES))
    tickets: RequestTickets = field(default_factory=RequestTickets)
    comparing: RequestTickets = field(default_factory=RequestTickets)
    sweeping: RequestTickets = field(default_factory=RequestTickets)
    picks: RequestTickets = field(default_factory=RequestTickets)
    debugging: RequestTickets = field(default_factory=RequestTickets)
    filming: RequestTickets = field(default_factory=RequestTickets)


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
