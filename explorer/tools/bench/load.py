"""Drive a running page with many visitors at once: `python -m explorer doctor --load`.

Every visitor is a real client with a session and a picture of its own, who asks a question, drags
the budget, and asks the next. Each answer is compared afterwards with the one that the built-in
model gives here, alone: one that differs belongs to somebody else, or comes from another kind of
machine, which then says the same again to one who asks alone. Knows the public endpoints; not the
page.
"""

from __future__ import annotations

import socket
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from explorer.tools.browser import served

if TYPE_CHECKING:
    from gradio_client import Client

FIRST_SEED = 700_000  # of the visitors' scenes
METHODS, BUDGETS = ("fastv", "visionzip"), (160, 128, 80, 48)
FULL, MAPS = ("full", 1), ("maps", 1)
KINDS = ("questions", "maps", "drags")
MODEL = "pico"
PATIENCE = 120  # seconds: what takes longer has gone wrong
CURVE_POINTS = 12  # how often memory is looked at while many pictures are shown


# ---- one visitor --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Visitor:
    """One visitor: a scene, which nobody else has, and questions about it."""

    number: int
    questions: tuple[str, ...]
    picture: Path

    @classmethod
    def arrive(cls, number: int, folder: Path) -> Visitor:
        """Draw the scene of a visitor."""
        from explorer.pico.data import questions, scenes

        scene = scenes.make(FIRST_SEED + number)
        path = folder / f"{number}.png"
        scene.image.save(path)
        return cls(number, tuple(questions.suggest(scene)), path)

    def plan(self) -> Iterator[Asked]:
        """Say what is asked, without end: a question, the maps of its picture, then a drag."""
        turn = self.number
        while True:
            question = self.questions[turn % len(self.questions)]
            yield Asked(self, question, *FULL)
            yield Asked(self, question, *MAPS)
            for budget in BUDGETS:
                yield Asked(self, question, METHODS[turn % len(METHODS)], budget)
            turn += 1


@dataclass(frozen=True)
class Asked:
    """What a visitor has asked: a question with all tokens, the maps of all methods, or a stop of a
    drag, which is a method and a budget.
    """

    visitor: Visitor
    question: str
    method: str
    budget: int

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return {FULL: "questions", MAPS: "maps"}.get((self.method, self.budget), "drags")

    def of(self, client: Client) -> str:
        """Ask; gives the answer's text, which also comes with maps: the full one."""
        from gradio_client import handle_file

        image, question = handle_file(self.visitor.picture), self.question
        about = {"image": image, "question": question, "model": MODEL}
        if self.kind == "maps":
            return client.predict(**about, api_name="/analyse")["full"]["text"]
        how = {"method": self.method, "budget": self.budget}
        return client.predict(**about, **how, api_name="/answer")["text"]


def _client(url: str) -> Client:
    from gradio_client import Client

    return Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE})


# ---- many visitors ------------------------------------------------------------------------------


@dataclass
class LoadReport:
    """What was measured. said: every answer with its seconds; errors: by what they say.

    mixed: answers of somebody else; otherwise: that this machine would give otherwise. memory:
    megabytes of the server before and after, None where it runs elsewhere.
    """

    visitors: int
    said: list[tuple[Asked, str, float]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    otherwise: int = 0
    memory: tuple[float, float] | None = None

    @property
    def well(self) -> bool:
        """Whether every question got its own answer."""
        return bool(self.said) and not self.errors and not self.mixed

    def __str__(self) -> str:
        seconds = {kind: [] for kind in KINDS}
        for asked, _, took in self.said:
            seconds[asked.kind].append(took)
        lines = [
            f"{self.visitors} visitors, {len(self.said)} answers",
            f"errors      {sum(self.errors.values())}",
            *(f"            {count} x {said}" for said, count in self.errors.most_common(5)),
            f"cross-talk  {self.mixed} answers that belong to somebody else",
        ]
        if self.otherwise:
            lines.append(f"            {self.otherwise} that are others on this machine")
        for kind, times in seconds.items():
            lines.append(f"{kind:12}{_times(times)}")
        lines.append(f"all         {_times([took for _, _, took in self.said])}")
        told = "not known, the server runs elsewhere"
        if self.memory:
            told = f"{self.memory[0]:.0f} MB before, {self.memory[1]:.0f} after"
        return "\n".join([*lines, f"memory      {told}"])


def _times(seconds: list[float]) -> str:
    if not seconds:
        return "none"
    p95 = sorted(seconds)[min(len(seconds) - 1, int(0.95 * len(seconds)))]
    return f"{len(seconds)}, median {statistics.median(seconds):.2f} s, p95 {p95:.2f} s"


def measure(url: str = "", visitors: int = 20, minutes: float = 3.0) -> LoadReport:
    """Drive the page at an address, or one that is started here for it."""
    with nullcontext((url, None)) if url else served() as (address, app):
        pid = app.pid if app else server_here(address)
        with tempfile.TemporaryDirectory() as folder:
            everybody = [Visitor.arrive(number, Path(folder)) for number in range(visitors)]
            next(everybody[0].plan()).of(_client(address))  # the first question is a slow one
            report, before = LoadReport(visitors), pid and resident(pid)
            _all_visit(address, everybody, 60 * minutes, report)
            if pid:
                report.memory = before, resident(pid)
            _compare(address, report)
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
    """Ask again and again until time is up, but one question and its drag at least."""
    until, client = time.monotonic() + seconds, None
    for number, asked in enumerate(visitor.plan(), 1):
        began = time.monotonic()
        try:
            client = client or _client(url)
            text = asked.of(client)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is being measured
            with lock:
                report.errors[_first_line(error)] += 1
        else:
            with lock:
                report.said.append((asked, text, time.monotonic() - began))
        if number >= len((FULL, MAPS, *BUDGETS)) and time.monotonic() >= until:
            return


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:100] or type(error).__name__


def _compare(url: str, report: LoadReport) -> None:
    """Count the answers that are not what the model says here, to one who asks alone."""
    others = Counter((asked, text) for asked, text, _ in report.said)
    here = _answers_here(asked for asked, _ in others)
    client = None
    for (asked, text), count in others.items():
        if text == here[asked]:
            continue
        client = client or _client(url)
        if asked.of(client) == text:
            report.otherwise += count
        else:
            report.mixed += count


def _answers_here(questions: Iterable[Asked]) -> dict[Asked, str]:
    from explorer import analyses
    from explorer.cases.cache import ResultCache
    from explorer.cases.request import CaseRequest
    from explorer.pico.data import scenes

    cache, alone = ResultCache(256_000_000), {}
    for asked in questions:
        image = scenes.make(FIRST_SEED + asked.visitor.number).image
        request = CaseRequest.make(MODEL, image, asked.question)
        how = FULL if asked.kind == "maps" else (asked.method, asked.budget)
        alone[asked] = analyses.answer(request, *how, cache=cache).text
    return alone


# ---- memory -------------------------------------------------------------------------------------


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
            yield numbers.stop, resident(app.pid)


def _show(url: str, folder: Path, numbers: Iterable[int]) -> None:
    """Ask one question about each of some pictures."""
    client = _client(url)
    for number in numbers:
        visitor = Visitor.arrive(number, folder)
        method, budget = METHODS[number % len(METHODS)], BUDGETS[number % len(BUDGETS)]
        Asked(visitor, visitor.questions[0], method, budget).of(client)
        visitor.picture.unlink()


def server_here(url: str) -> int | None:
    """Give the process that serves an address, if it runs on this machine and may be looked at."""
    import psutil  # the doctor also comes where it isn't installed

    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        address = socket.gethostbyname(parts.hostname or "")
        mine = {each.address for some in psutil.net_if_addrs().values() for each in some}
        if address not in mine:
            return None
        listening = (
            each.pid
            for each in psutil.net_connections("tcp")
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port
        )
        return next(filter(None, listening), None)
    except (OSError, psutil.Error):
        return None


def resident(pid: int) -> float:
    """Give the resident memory of a process and its children in megabytes."""
    import psutil  # the doctor also comes where it isn't installed

    process, nbytes = psutil.Process(pid), 0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a child that has just ended
            nbytes += each.memory_info().rss
    return nbytes / 1e6
