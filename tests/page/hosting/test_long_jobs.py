"""Every long job of the page: told its place, cancelled before and after it began, begun again.

What the jobs find is made up at once; while a test holds them they work in small steps without an
end, as a model does between two layers, so that nothing here depends on how fast it is.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps

import pytest
from conftest import answered_all, hosted, open_tab, state, until, visiting
from playwright.sync_api import Page, expect

from explorer.analyses.video.coherence import FewerFrames
from explorer.ui import page as ui_page
from explorer.ui.session import UseCases
from explorer.vlm.turns import fair_queue, limits
from explorer.vlm.turns.current_run import yield_turn
from explorer.vlm.turns.fair_queue import FairQueue, Run

pytestmark = pytest.mark.browser
PATIENCE = 60  # seconds
LONG = {
    "coherence", "compute_answers", "describe", "diagnose", "evaluate_scores",
    "explain", "find_failures", "find_restoring_patches", "probe", "remove_by_layer", "stability",
}  # fmt: skip


class Working:
    """Use cases that go on for as long as they are held; counts those that are at work."""

    def __init__(self) -> None:
        self.held = False
        self._at_work, self._changed = 0, threading.Condition()

    def use_cases(self, canned: UseCases) -> UseCases:
        named = {each.name: getattr(canned, each.name) for each in fields(canned)}
        named["coherence"] = few_frames
        return UseCases(**{n: self._working(f) if n in LONG else f for n, f in named.items()})

    def begun(self) -> None:
        self._until(lambda: self._at_work == 1)

    def ended(self) -> None:
        self._until(lambda: not self._at_work)

    def _until(self, what: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(what, PATIENCE), self._at_work

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._add(1)
        try:
            while self.held:
                yield_turn()
                time.sleep(0.002)  # a layer
            yield
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        with self._changed:
            self._at_work += change
            self._changed.notify_all()

    def _working(self, function: Callable) -> Callable:
        @wraps(function)
        def value(*args: object, **options: object) -> object:
            with self._counted():
                return function(*args, **options)

        @wraps(function)
        def values(*args: object, **options: object) -> Iterator[object]:
            with self._counted():
                yield from function(*args, **options)

        return values if inspect.isgeneratorfunction(function) else value


def few_frames(*_: object, **__: object) -> Iterator[FewerFrames]:
    yield FewerFrames((4,), 16, 16, "a cat", ("a cat", True), ("a dog", False))


@dataclass(frozen=True)
class Job:
    """A job of a tab: its buttons, the line that tells how far it is, and what there is at last.

    unasked: whether the tab begins it as soon as it is opened.
    """

    tab: str
    go: str
    cancel: str
    line: str
    done: str
    unasked: bool = False

    def stop(self, page: Page) -> None:
        """Cancel it; it can be begun again."""
        page.locator(self.cancel).click()
        expect(page.locator(self.go)).to_be_visible()
        expect(page.locator(self.go)).to_be_enabled()

    @classmethod
    def of_a_bar(cls, tab: str, name: str, done: str, unasked: bool = False) -> Job:
        """A job with the usual buttons; see taskBar in task.js."""
        return cls(tab, f"#vt-{name}-go", f"#vt-{name}-cancel", f"#vt-{name}-line", done, unasked)

    @classmethod
    def of_answers(cls, tab: str) -> Job:
        """A job of many answers; see batch_request.js."""
        start = f"vt-{tab.lower()}"
        buttons = (f"#{start}-call", f"#{start}-cancel")
        return cls(tab, *buttons, f".{start}-says", f".{start}[data-is=done]", True)


JOBS = [
    Job.of_answers("Compare"),
    Job.of_answers("Sweep"),
    *(
        Job.of_a_bar("Debug", name, f"#vt-{name}[data-state=done]")
        for name in ("diagnosis", "attribution", "restoration", "trial")
    ),
    Job.of_a_bar("Inside", "inside-remove", ".vt-inside[data-is=done]", True),
    Job.of_a_bar("Effects", "probes", ".vt-effects[data-is=done]", True),
    Job.of_a_bar("Effects", "captions", "#vt-captions[data-is=done]"),
    Job.of_a_bar("Effects", "stability", "#vt-stability[data-is=done]"),
    Job("Failures", *(f".vt-failures button:text-is('{words}')" for words in ("Find", "Cancel")),
        "#vt-failures-line", ".vt-failures[data-is=done] .vt-hit"),
    Job.of_a_bar("Video", "coherence", "#vt-coherence[data-is=done]"),
]  # fmt: skip


@pytest.fixture(scope="module")
def queue() -> FairQueue:
    return FairQueue()


@pytest.fixture(scope="module")
def working() -> Working:
    return Working()


@pytest.fixture(scope="module")
def page(browser, recording, queue, working) -> Iterator[Page]:
    from canned import Canned

    use_cases = working.use_cases(Canned(recording).use_cases())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ui_page, "FairQueue", lambda *_, **__: queue)
        with hosted(use_cases=use_cases) as url, visiting(browser, url) as page:
            answered_all(page)
            yield page


@contextmanager
def none_may_begin(queue: FairQueue, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let long jobs wait behind somebody's."""
    ahead = queue.join("somebody", long=True)
    with monkeypatch.context() as patch:
        patch.setattr(limits, "MAX_BEGUN", 0)
        yield
        empty(queue, but=ahead)
    queue.leave(ahead)


def empty(queue: FairQueue, but: Run | None = None) -> None:
    """Wait until all have left: what is cancelled on the page is told to the server a bit later."""
    end = time.monotonic() + PATIENCE
    while queue.count(without=but):
        assert time.monotonic() < end, queue.count(without=but)
        time.sleep(0.01)


def test_every_long_job_tells_its_place_is_cancelled_and_done_again(
    page, queue, working, monkeypatch
):
    monkeypatch.setattr(fair_queue, "PLACE_SECONDS", 0.02)  # so that it is told at once
    for job in JOBS:
        if not job.unasked:
            open_tab(page, job.tab)
        if job.tab == "Video":
            page.wait_for_selector(".vt-video-view[data-is=done]", timeout=1_000 * PATIENCE)
        if job.tab == "Failures":  # one message
            page.locator("#vt-scenes").evaluate("all => all.replaceChildren(new Option(2, 2))")
        with none_may_begin(queue, monkeypatch):
            if job.unasked:  # opened only now: what is made up at once would be done before
                open_tab(page, job.tab)
            else:
                page.locator(job.go).click()
            expect(page.locator(job.line)).to_contain_text("number 2 of 2 in the queue")
            job.stop(page)
        working.held = True
        page.locator(job.go).click()
        working.begun()
        job.stop(page)
        empty(queue)
        working.ended()
        working.held = False
        page.locator(job.go).click()
        expect(page.locator(job.done).first).to_be_visible(timeout=1_000 * PATIENCE)


def test_a_reload_in_the_middle_ends_the_work_and_the_question_comes_back(page, queue, working):
    job = next(job for job in JOBS if "attribution" in job.go)
    open_tab(page, job.tab)
    until(page, "state.case && !state.opening")
    before = state(page)["case"]["id"]
    working.held = True
    page.locator(job.go).click()
    working.begun()
    page.reload()
    working.ended()
    working.held = False
    page.wait_for_function("window.explorerState && explorerState().case")
    until(page, "!state.opening")
    assert state(page)["case"]["id"] == before
    open_tab(page, job.tab)
    page.locator(job.go).click()
    expect(page.locator(job.done).first).to_be_visible(timeout=1_000 * PATIENCE)
