"""Use cases that hand out records at once, for tests of what the page does with answers.

The records are real ones of pico, made once about one scene: every other scene gets the same maps
and answers under its own name. A `Gate` holds them back for as long as a test wants, so that no
test has to be quicker than a model. What isn't here is asked of the
model as ever. Knows records and use cases; not pages.
"""

from __future__ import annotations

import math
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from canned_effects import CannedEffects
from canned_inside import CannedInside
from canned_tasks import CannedTasks
from filelock import FileLock

from explorer import analyses
from explorer.cases.batch_answers import AnswerResult, AnswerSpec
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.records import Analysis, Answer, MethodMap
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import never
from explorer.errors import VisitorError
from explorer.methods import catalog
from explorer.methods.chance import chances_of, draws_of
from explorer.pico.data import scenes
from explorer.ui.session import UseCases
from explorer.vlm.turns.current_run import yield_turn

T = TypeVar("T")

PATIENCE = 60  # seconds
SEED, QUESTION = 11, "what is in the middle ?"
BUDGETS = (64, 128)  # of the recorded answers: the first that a method can go down to


@dataclass(frozen=True)
class Recording:
    """What pico said of one scene. answers: of every method, one."""

    analysis: Analysis
    answers: dict[str, Answer]

    def answer(self, spec: str, budget: int) -> Answer:
        """Give the answer of a method as if it were from this budget."""
        if spec == FULL:
            return self.analysis.full
        if budget == self.analysis.grid.count:  # all tokens, the full answer
            return replace(self.analysis.full, method=spec, budget=budget, agrees=True, p_full=1.0)
        return replace(self.answers[spec], budget=budget)


def record(folder: Path) -> Recording:
    """Ask pico, or read what another process of the same run was told. folder: theirs and ours."""
    file = folder / "recording.pickle"
    with FileLock(f"{file}.lock"):
        if not file.exists():
            request = CaseRequest.make("pico", scenes.make(SEED).image, QUESTION)
            cache = ResultCache(100_000_000)
            told: dict[str, Answer] = {}
            for budget in BUDGETS:
                specs = [method.spec for method in catalog.choices()]
                specs += [draw for random in chances_of(specs) for draw in draws_of(random)]
                wanted = [(spec, budget) for spec in specs if spec not in told]
                found = analyses.answer_many(request, wanted, cache=cache)
                told |= {each.method: each.answer for each in found if each.answer}
            file.write_bytes(pickle.dumps(Recording(analyses.analyse(request, cache=cache), told)))
        return pickle.loads(file.read_bytes())


class Gate:
    """Lets results pass: all of them, or no more than a test has let through."""

    def __init__(self) -> None:
        self._left = math.inf
        self._waiting = self._inside = 0
        self._changed = threading.Condition()

    def open(self) -> None:
        """Let everything pass."""
        self.hold(math.inf)

    def hold(self, after: float = 0) -> None:
        """Hold back what comes after so many results."""
        with self._changed:
            self._left = after
            self._changed.notify_all()

    @property
    def holds(self) -> bool:
        """Whether nothing passes."""
        return not self._left

    def reached(self) -> None:
        """Wait until a result stands before the closed gate."""
        self._until(lambda: self._waiting and not self._left)

    def left(self) -> None:
        """Wait until nothing more is on its way to the gate."""
        self._until(lambda: not self._inside)

    def _until(self, what: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(what, PATIENCE):
                raise TimeoutError(f"after {PATIENCE} s: {self.__dict__}")

    def passing(self, results: Iterable[T], stop: Callable[[], bool] = never) -> Iterator[T]:
        """Pass results on, one by one, until `stop` is true."""
        with self._changed:
            self._inside += 1
        try:
            for result in results:
                if not self._pass(stop):
                    return
                yield result
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def _pass(self, stop: Callable[[], bool]) -> bool:
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                while not self._left and not stop():
                    self._changed.wait(0.02)  # to ask `stop` again
                if stop():
                    return False
                self._left -= 1
                return True
            finally:
                self._waiting -= 1


class Canned:
    """The use cases of a page, from a recording and behind gates.

    words: the gate of answers that come word by word, and of maps; maps: that of maps which a case
    came without; answers: that of many answers; tasks: that of what canned_tasks.py and
    canned_inside.py make up.
    runs: how many answers were wanted each time that many were asked for; given: those that passed.
    specs: the methods whose maps a scene gets; none named: all that were recorded.
    refused: why a use case gives nothing, by its name.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.words, self.maps, self.answers, self.tasks = Gate(), Gate(), Gate(), Gate()
        self._tasks = CannedTasks(self.tasks, recording.analysis)
        self._inside = CannedInside(self.tasks, recording.analysis)
        self._effects = CannedEffects(self.tasks, recording.analysis.grid.count)
        self._asked = threading.Condition()
        self.runs: list[int] = []
        self.given: list[AnswerSpec] = []
        self.specs: frozenset[str] = frozenset()
        self.refused: dict[str, VisitorError] = {}

    def reset(self) -> None:
        """Open the gates, and forget what was asked."""
        for gate in (self.words, self.maps, self.answers, self.tasks):
            gate.open()
        for kept in (self.runs, self.given, self.refused):
            kept.clear()

    def until_run(self, number: int) -> None:
        """Wait until many answers were asked for so many times."""
        with self._asked:
            if not self._asked.wait_for(lambda: len(self.runs) >= number, PATIENCE):
                raise TimeoutError(f"after {PATIENCE} s: {self.runs}")

    def use_cases(self) -> UseCases:
        """Give them to `page.build`."""
        return UseCases(
            analyse=self.analyse,
            draw=self.draw,
            unfold=self.unfold,
            answer=self.answer,
            stream=self.stream,
            compute_answers=self.compute_answers,
            explain=self._tasks.explain,
            find_restoring_patches=self._tasks.find_restoring_patches,
            diagnose=self._tasks.diagnose,
            evaluate_scores=self._tasks.evaluate_scores,
            find_failures=self._tasks.find_failures,
            judge_pictures=self._tasks.judge_pictures,
            look_inside=self._inside.look_inside,
            patch_map=self._inside.patch_map,
            read_keys=self._inside.read_keys,
            remove_by_layer=self._inside.remove_by_layer,
            probe=self._effects.probe,
            describe=self._effects.describe,
            stability=self._effects.stability,
        )

    def analyse(self, request: CaseRequest, *, cache: ResultCache | None = None) -> Analysis:
        """Give all maps; they pass the gate, before which others have their turn at the model."""
        (analysis,) = self.maps.passing([self._analysis(request)], stop=_give_way)
        self._refuse("analyse")
        return analysis

    def draw(
        self, request: CaseRequest, spec: str, *, cache: ResultCache | None = None
    ) -> MethodMap:
        """Give the map of one method, drawn by the model itself."""
        self._refuse("draw")
        return analyses.draw(request, spec, cache=cache)

    def _refuse(self, use_case: str) -> None:
        if use_case in self.refused:
            raise self.refused[use_case]

    def _analysis(self, request: CaseRequest) -> Analysis:
        """Give the maps of the recording, as if they were of this picture and question."""
        analysis, specs = self.recording.analysis, self.specs
        return replace(
            analysis,
            methods=tuple(each for each in analysis.methods if not specs or each.spec in specs),
            id=request.id,
            model=request.model,
            picture=request.picture,
            question=request.question,
        )

    def unfold(
        self,
        request: CaseRequest,
        every: float = 0.0,
        methods: Sequence[str] | None = None,
        *,
        cache: ResultCache | None = None,
    ) -> Iterator[Answer | Analysis]:
        """Give the full answer word by word, and then the maps; each of them passes the gate.

        They are all whole, unless a test holds the gate `maps`; then they follow behind it.
        """
        analysis = self._analysis(request)
        if self.maps.holds:
            shown = [
                each if each.spec in methods else replace(each, points=None)
                for each in analysis.methods
            ]
            analysis = replace(analysis, methods=tuple(shown))
        yield from self.words.passing([*word_by_word(analysis.full), analysis])

    def answer(
        self,
        request: CaseRequest,
        method: str = FULL,
        budget: int = 1,
        *,
        cache: ResultCache | None = None,
    ) -> Answer:
        """Give one answer."""
        *_, last = self.stream(request, method, budget)
        return last

    def stream(
        self,
        request: CaseRequest,
        method: str,
        budget: int,
        every: float = 0.0,
        *,
        cache: ResultCache | None = None,
    ) -> Iterator[Answer]:
        """Give one answer word by word; each word passes the gate."""
        yield from self.words.passing(word_by_word(self.recording.answer(method, budget)))

    def compute_answers(
        self,
        request: CaseRequest,
        wanted: Sequence[AnswerSpec],
        *,
        cache: ResultCache | None = None,
        stop: Callable[[], bool] = never,
    ) -> Iterator[AnswerResult]:
        """Give answers in the order in which they are wanted; each of them passes the gate."""
        with self._asked:
            self.runs.append(len(wanted))
            self._asked.notify_all()
        for spec, budget in self.answers.passing(wanted, stop):
            self.given.append((spec, budget))
            yield AnswerResult(spec, budget, self.recording.answer(spec, budget))


def _give_way() -> bool:
    """Let others compute, as work does between two layers; never stop."""
    yield_turn()
    return False


def word_by_word(answer: Answer) -> list[Answer]:
    """Give an answer as it grows; the last one is complete."""
    partial = []
    for length in range(1, len(answer.tokens)):
        tokens = answer.tokens[:length]
        text = "".join(token.text for token in tokens).strip()
        partial.append(replace(answer, text=text, tokens=tokens, partial=True))
    return [*partial, answer]
