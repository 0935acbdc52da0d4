"""Drive a running page with many visitors at once: `python -m explorer doctor --load`.

Every visitor is a real client with a session and a picture of its own, who asks and drags the
budget. Each answer is compared afterwards with the one that the built-in model gives here, alone:
one that differs belongs to somebody else. Knows the public endpoints; not the page.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

from explorer.tools.browser import served

if TYPE_CHECKING:
    from gradio_client import Client

FIRST_SEED = 700_000  # of the visitors' scenes
METHODS, BUDGETS = ("fastv", "visionzip"), (48, 80, 128, 160)
MODEL = "pico"
PATIENCE = 120  # seconds: what takes longer has gone wrong
CURVE_POINTS = 12  # how often memory is looked at while many pictures are shown


@dataclass(frozen=True)
class Visitor:
    """One visitor: a scene, which nobody else has, and a question about it."""

    number: int
    question: str
    picture: Path

    @classmethod
    def arrive(cls, number: int, folder: Path) -> Visitor:
        """Draw the scene of a visitor."""
        from explorer.pico.data import questions, scenes

        scene = scenes.make(FIRST_SEED + number)
        path = folder / f"{number}.png"
        scene.image.save(path)
        return cls(number, questions.suggest(scene)[0], path)


Asked = tuple[Visitor, str, int]
"""Who has asked, by which method, at which budget."""


@dataclass
class LoadReport:
    """What was measured. seconds: of every answer; said: the texts that came; errors: by what they
    say; memory: megabytes of the server before and after, None where it runs elsewhere.
    """

    visitors: int
    seconds: list[float] = field(default_factory=list)
    said: list[tuple[Asked, str]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    memory: tuple[float, float] | None = None

    @property
    def well(self) -> bool:
        """Whether every question got its own answer."""
        return bool(self.seconds) and not self.errors and not self.mixed

    def __str__(self) -> str:
        times = sorted(self.seconds) or [float("nan")]
        p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
        lines = [
            f"{self.visitors} visitors, {len(self.seconds)} answers",
            f"errors      {sum(self.errors.values())}",
            *(f"            {count} x {said}" for said, count in self.errors.most_common(5)),
            f"cross-talk  {self.mixed} answers that belong to somebody else",
            f"median      {statistics.median(times):.2f} s, p95 {p95:.2f} s",
        ]
        if self.memory:
            lines.append(f"memory      {self.memory[0]:.0f} MB before, {self.memory[1]:.0f} after")
        return "\n".join(lines)


def measure(url: str = "", visitors: int = 20, minutes: float = 3.0) -> LoadReport:
    """Drive the page at an address, or one that is started here for it."""
    with nullcontext((url, None)) if url else served() as (address, app):
        report = LoadReport(visitors)
        with tempfile.TemporaryDirectory() as folder:
            everybody = [Visitor.arrive(number, Path(folder)) for number in range(visitors)]
            _visit(address, everybody[0], 0.0, report, threading.Lock())  # the first one is slow
            report.seconds.clear()
            before = None if app is None else _resident(app)
            _all_visit(address, everybody, 60 * minutes, report)
            if before is not None:
                report.memory = before, _resident(app)
            report.mixed = _mixed(report.said)
    return report


def _all_visit(url: str, everybody: list[Visitor], seconds: float, report: LoadReport) -> None:
    lock = threading.Lock()
    threads = [
        threading.Thread(target=_visit, args=(url, visitor, seconds, report, lock), daemon=True)
        for visitor in everybody
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _visit(
    url: str, visitor: Visitor, seconds: float, report: LoadReport, lock: threading.Lock
) -> None:
    """Ask again and again, once at least: drag the budget of one method, and go to the next."""
    from gradio_client import Client

    until, number = time.monotonic() + seconds, visitor.number
    client = Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE})
    while True:
        method = METHODS[number // len(BUDGETS) % len(METHODS)]
        budget = BUDGETS[number % len(BUDGETS)]
        began = time.monotonic()
        try:
            text = _ask(client, visitor, method, budget)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is being measured
            with lock:
                report.errors[str(error).splitlines()[0][:100] or type(error).__name__] += 1
        else:
            with lock:
                report.seconds.append(time.monotonic() - began)
                report.said.append(((visitor, method, budget), text))
        number += 1
        if time.monotonic() >= until:
            return


def _ask(client: Client, visitor: Visitor, method: str, budget: int) -> str:
    """Ask a visitor's question by a method at a budget; gives the answer's text."""
    from gradio_client import handle_file

    answer = client.predict(
        image=handle_file(visitor.picture),
        question=visitor.question,
        method=method,
        budget=budget,
        model=MODEL,
        api_name="/answer",
    )
    return answer["text"]


def _mixed(said: list[tuple[Asked, str]]) -> int:
    """Count the answers that are not what the model says here, to one who asks alone."""
    from explorer import analyses
    from explorer.cases.cache import ResultCache
    from explorer.cases.request import CaseRequest
    from explorer.pico.data import scenes

    cache, alone = ResultCache(256_000_000), {}
    for visitor, method, budget in dict.fromkeys(asked for asked, _ in said):
        image = scenes.make(FIRST_SEED + visitor.number).image
        request = CaseRequest.make(MODEL, image, visitor.question)
        found = analyses.answer(request, method, budget, cache=cache)
        alone[visitor, method, budget] = found.text
    return sum(text != alone[asked] for asked, text in said)


def memory_curve(pictures: int, visitors: int) -> Iterator[tuple[int, float]]:
    """Show a page that is started here many different pictures; gives memory as it goes on.

    Yields the pictures so far and the server's megabytes. Every visitor shows one after the other,
    each with a question of its own.
    """
    step = -(-pictures // CURVE_POINTS)
    with served() as (address, app), tempfile.TemporaryDirectory() as folder:
        for first in range(0, pictures, step):
            numbers = range(first, min(first + step, pictures))
            shares = [numbers[start::visitors] for start in range(min(visitors, len(numbers)))]
            with ThreadPoolExecutor(visitors) as pool:
                list(pool.map(partial(_show, address, Path(folder)), shares))
            yield numbers.stop, _resident(app)


def _show(url: str, folder: Path, numbers: Iterable[int]) -> None:
    """Ask one question about each of some pictures."""
    from gradio_client import Client

    client = Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE})
    for number in numbers:
        visitor = Visitor.arrive(number, folder)
        _ask(client, visitor, METHODS[number % len(METHODS)], BUDGETS[number % len(BUDGETS)])
        visitor.picture.unlink()


def _resident(app: Popen) -> float:
    """Give the resident memory of a process in megabytes."""
    import psutil  # the doctor also comes where it isn't installed

    return psutil.Process(app.pid).memory_info().rss / 1e6
