"""One visitor against all others, through the raw queue: turns, bounds, and connections that end.

What the visitors ask for never ends by itself, so that nothing here depends on how fast it is.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from conftest import hosted

from explorer.pico.data import scenes
from explorer.ui.session import UseCases
from explorer.vlm.progress import Progress
from explorer.vlm.turns.current_run import yield_turn
from explorer.vlm.turns.limits import MAX_BEGUN_OF_ONE

PATIENCE = 60  # seconds


class Endless:
    """Explanations that go on until nobody waits for them. running: how many of them there are."""

    def __init__(self) -> None:
        self.running, self.changed = 0, threading.Condition()

    def explain(self, *_, **__) -> Iterator[Progress]:
        self._count(1)
        try:
            while True:
                yield_turn()
        finally:
            self._count(-1)
        yield Progress()

    def _count(self, change: int) -> None:
        with self.changed:
            self.running += change
            self.changed.notify_all()

    def until(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.running == number, PATIENCE), self.running


@pytest.fixture(scope="module")
def endless() -> Endless:
    return Endless()


@pytest.fixture(scope="module")
def url(endless) -> Iterator[str]:
    with hosted(use_cases=UseCases(explain=endless.explain)) as address:
        yield f"{address}/gradio_api"


@pytest.fixture(scope="module")
def picture(url) -> dict:
    file = io.BytesIO()
    scenes.make(5).image.save(file, "PNG")
    files = {"files": ("picture.png", file.getvalue(), "image/png")}
    (path,) = httpx.post(f"{url}/upload", files=files).json()
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def ask(url: str, name: str, data: list, session: str) -> str:
    """Call an endpoint; gives the address under which the answer can be waited for."""
    body = {"data": data, "session_hash": session}
    found = httpx.post(f"{url}/call/{name}", json=body).json()
    return f"{url}/call/{name}/{found['event_id']}"


@contextmanager
def listening(address: str) -> Iterator[Iterator[str]]:
    """Give the lines that come; leaving the context closes the connection."""
    with httpx.stream("GET", address, timeout=PATIENCE) as response:
        yield response.iter_lines()


def outcome(address: str) -> tuple[str, str]:
    """Wait for an answer: "complete" or "error", and what it says."""
    with listening(address) as lines:
        for line in lines:
            if line in ("event: complete", "event: error"):
                return line.removeprefix("event: "), next(lines)
    raise AssertionError("no answer has come")


def explain(url: str, picture: dict, session: str, number: int = 0) -> str:
    return ask(url, "oracle", [picture, f"what is {number} ?", "", "removed", "pico"], session)


def answered(url: str, picture: dict, session: str) -> bool:
    data = [picture, "what is in the middle ?", "fastv", 64, "pico", False]
    kind, said = outcome(ask(url, "answer", data, session))
    return kind == "complete" and '"text"' in said


def test_a_question_is_answered_beside_endless_jobs_and_a_closed_connection_ends_its_own(
    url, picture, endless
):
    with listening(explain(url, picture, "a")):
        endless.until(1)
        assert answered(url, picture, "b")
        with listening(explain(url, picture, "c")):
            endless.until(2)
            assert answered(url, picture, "b")
        endless.until(1)
    endless.until(0)


def test_one_session_does_not_fill_the_queue_for_others(url, picture, endless):
    for number in range(40):
        explain(url, picture, "a", number)
    endless.until(MAX_BEGUN_OF_ONE)
    assert answered(url, picture, "b")
    with listening(explain(url, picture, "c")):
        endless.until(MAX_BEGUN_OF_ONE + 1)
    endless.until(MAX_BEGUN_OF_ONE)
    kind, said = outcome(explain(url, picture, "a"))  # the first that is told in this session
    assert kind == "error" and "of your questions are being worked on already" in said
    with listening(explain(url, picture, "a")):  # the connection of the session is closed with it
        pass
    endless.until(0)
