"""What the page says of a visitor's own picture in front of a model that knows no photos.

Names a model that does and would run on this machine. Knows the catalogue; loads nothing.
"""

from __future__ import annotations

from explorer.ui.session import Session
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.loader import default_loader

UNKNOWN = "pico knows nothing of photos"


def photo_note(session: Session) -> str:
    """Give a sentence where pico looks at a picture that is no scene of ours, else ""."""
    if session.model != DEFAULT or session.seed is not None:
        return ""
    others = default_loader().runnable()
    if not others:
        return f"{UNKNOWN}, and no model that does fits this machine."
    best = others[0]
    when = "" if best.here else " once it is fetched"
    return f"{UNKNOWN}; {best.entry.name} does, and runs here{when}."
