"""A picture that takes long to open holds up nobody but its visitor."""

from __future__ import annotations

import threading

import pytest

from explorer.cases import pictures
from explorer.cases.pictures import open_beside
from explorer.errors import BadPicture
from explorer.vlm.turns import fair_queue
from explorer.vlm.turns.fair_queue import FairQueue

PATIENCE = 60  # seconds


def test_others_have_their_turn_while_a_picture_is_opened(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(fair_queue, "SLICE", 0.0)
    monkeypatch.setattr(pictures, "open_picture", lambda _: answered.wait(PATIENCE) and "opened")
    queue, found = FairQueue(), []
    opens, asks = queue.join("a"), queue.join("b")
    thread = threading.Thread(
        target=lambda: found.append(opens.call(lambda: open_beside("large"))), daemon=True
    )
    thread.start()
    with queue.changed:
        assert queue.changed.wait_for(lambda: opens.has_begun, PATIENCE)
    asks.call(answered.set)
    thread.join(PATIENCE)
    assert found == ["opened"]


def test_a_bad_picture_gets_its_sentence_and_the_next_one_has_a_place():
    for _ in range(2 * pictures.MAX_AT_ONCE):
        with pytest.raises(BadPicture, match="not a picture"):
            open_beside(b"words, and nothing else")
