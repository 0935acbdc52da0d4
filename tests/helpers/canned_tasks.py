"""What the tabs "Debug" and "Failures" ask of a model, made up and handed out at once.

Importances, patches that restore an answer, and failures of the right shape, about the case or the
scene that was asked for; each result passes the gate. What refuses a visitor's words is asked as
ever. Knows records and use cases; not pages.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from explorer.analyses import failures
from explorer.analyses.attribution.importance import Importance
from explorer.analyses.attribution.restoration import RestorationResult
from explorer.analyses.attribution.score_evaluation import ORACLE, RANDOM, ScoreEvaluation
from explorer.analyses.attribution.target import Target, target_tokens
from explorer.analyses.diagnosis.records import QUESTIONS, Diagnosis, RunAnswer, StepResult
from explorer.analyses.diagnosis.verdict import Verdict
from explorer.analyses.diagnosis.word_losses import WordLoss
from explorer.analyses.failures import Asked, Failure
from explorer.analyses.picked import HAND_PICKED, renumbers
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.generation import FULL
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.pico.data import questions, scenes
from explorer.vlm.progress import Progress

if TYPE_CHECKING:
    from canned import Gate

WRONG = "a submarine"  # which no scene has


class CannedTasks:
    """Tasks behind a gate. analysis: whose grid and full answer the results refer to."""

    def __init__(self, gate: Gate, analysis: Analysis) -> None:
        self._gate, self._analysis = gate, analysis

    def explain(
        self,
        request: CaseRequest,
        target: Target = Target(),  # noqa: B008 (a frozen record)
        way: str = "removed",
        renumber: bool = False,
        *,
        cache: ResultCache | None = None,
    ) -> Iterator[Progress | Importance]:
        """Give progress, then values that are others for every text; refuses as the model does."""
        tokens = target_tokens(open_case(request, cache), target, cache)
        chance = np.random.default_rng(zlib.crc32(tokens.text.encode()))
        importance = Importance(
            case=request.id,
            way=way,
            answer=tokens.text,
            words=tokens.words,
            word=target.word if target.text is None else None,
            values=chance.normal(size=self._analysis.grid.count).astype(np.float32),
            full=-0.1,
            none=-5.0,
            tokens=len(tokens.tokens),
            delta=None,
            seconds=0.1,
            renumber=renumber,
        )
        yield from self._gate.passing([Progress(1, 2), importance])

    def find_restoring_patches(
        self,
        request: CaseRequest,
        kept: Sequence[int],
        renumber: bool = False,
        target: str | None = None,
        *,
        cache: ResultCache | None = None,
    ) -> Iterator[Progress | RestorationResult]:
        """Give progress, then two dropped patches that restore the target."""
        full, count = self._analysis.full, self._analysis.grid.count
        target = full.text if target is None else target
        before = replace(full, method=HAND_PICKED, budget=len(kept), text=WRONG, agrees=False)
        result = RestorationResult(
            case=request.id,
            target=target,
            kept=tuple(kept),
            restored_tokens=tuple(sorted(set(range(count)) - set(kept))[:2]),
            before=before,
            after=replace(before, budget=len(kept) + 2, text=target),
            p_before=0.1,
            p_after=0.9,
        )
        yield from self._gate.passing([Progress(1, 2), result])

    def diagnose(
        self,
        request: CaseRequest,
        method: str,
        budget: int,
        truth: str | None = None,
        things: Sequence[object] = (),
        *,
        cache: ResultCache | None = None,
    ) -> Iterator[Progress | StepResult | Diagnosis]:
        """Give every step as it begins and ends, and an evidence that was dropped."""
        full = self._analysis.full.text
        steps = tuple(
            StepResult(
                key,
                finding=f"Made up about {key}.",
                holds={"full": True, "pruned": False, "alone": None}.get(key, True),
                asked=key != "alone",
                runs=(RunAnswer("FastV", full, True), RunAnswer("Uniform", WRONG, False)),
                patches=(0, 1) if key == "restored" else (),
                words=(WordLoss("duck", 4.4), WordLoss("or", -0.2)) if key == "pruned" else (),
            )
            for key in QUESTIONS
        )
        found = Diagnosis(
            case=request.id,
            method=method,
            budget=budget,
            truth=truth,
            full=full,
            pruned=WRONG,
            verdict=Verdict.EVIDENCE,
            sentence=f"The evidence was dropped: with 2 patches back it says “{full}”.",
            steps=steps,
            patches=(0, 1),
        )
        events = [event for step in steps for event in (Progress(stage=step.key), step)]
        yield from self._gate.passing([*events, found])

    def evaluate_scores(
        self,
        request: CaseRequest,
        specs: Sequence[str],
        budget: int,
        *,
        cache: ResultCache | None = None,
    ) -> Iterator[Progress | ScoreEvaluation]:
        """Give progress, then curves of the oracle, of chance and of every method."""
        rule = renumbers(specs[0])
        results = []
        for number, name in enumerate((ORACLE, RANDOM, *specs)):
            area = 0.8 - 0.1 * number
            curve = tuple(np.linspace(0, 2 * area, 15).tolist())
            beside = (None, None) if number < 2 else (0.4, 0.5)
            results.append(
                ScoreEvaluation(name, rule, 14, curve, curve[::-1], area, area, None, *beside)
            )
        yield from self._gate.passing([Progress(1, 2), *results])

    def find_failures(
        self,
        method: str,
        budget: int,
        seeds: Iterable[int],
        against: str = FULL,
        model: str = "pico",
        right: str = "truth",
    ) -> Iterator[Failure | None]:
        """Let every scene fail once; against another method, look as ever."""
        if against != FULL:
            yield from failures.find(method, budget, seeds, against, model, right)
            return
        for seed in seeds:
            [question] = questions.sample(scenes.make(seed), random.Random(seed), 1)
            text, kind, truth = question.text, question.kind, question.answer
            failed = Failure(seed, text, kind, truth, WRONG, sure=0.9, log_prob_loss=1.0)
            yield from self._gate.passing([failed, None])

    def judge_pictures(self, asked: Sequence[Asked], *how: object) -> list[Failure]:
        """Let every question about an own picture fail."""
        full = self._analysis.full.text
        found = [
            Failure(None, each.question, "", each.truth or full, WRONG, 0.9, 1.0, each.name)
            for each in asked
        ]
        return list(self._gate.passing(found))
