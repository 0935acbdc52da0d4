"""Open a visitor's picture beside the model: a file of forty million pixels takes seconds.

Decoders let other threads compute, so that whoever has his turn gives it to others meanwhile. Few
are opened at a time, since what is decoded is large before it is scaled down. Knows files and
turns; not cases.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from explorer.media.image import Picture, open_picture
from explorer.vlm.turns.current_run import yield_turn

MAX_AT_ONCE = 2
POLL_SECONDS = 0.05  # between two looks at whether it is open, or still wanted

_PLACES = threading.BoundedSemaphore(MAX_AT_ONCE)


def open_beside(source: str | Path | bytes) -> Picture:
    """Open a file as `open_picture` does, while other visitors have their turn.

    Raises `BadPicture`; and `Cancelled` where nobody waits for it any more.
    """
    while not _PLACES.acquire(timeout=POLL_SECONDS):
        yield_turn()
    worker = ThreadPoolExecutor(1)
    opening = worker.submit(open_picture, source)
    opening.add_done_callback(lambda _: _PLACES.release())
    worker.shutdown(wait=False)
    while not wait([opening], POLL_SECONDS).done:
        yield_turn()
    return opening.result()
