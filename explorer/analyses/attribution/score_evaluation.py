"""Every score on trial: does it put first what the answer rests on?

Insertion and deletion curves of an order of tokens (insertion_deletion.py) with s = exp(f / G), the
geometric mean probability of the answer's G tokens; their areas; rank correlation and overlap with
the oracle. For methods whose kept sets don't follow the order of their score also s from their own
kept sets. Knows cases, maps and the oracle; not pages. Letters: N visual tokens, K kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.attribution.importance import Target, explain, target_tokens
from explorer.analyses.overview import analyse, draw
from explorer.cases.answers import check_budget, full_run
from explorer.cases.batch_answers import CaseContext, plan_answer
from explorer.cases.cache import ResultCache, get_or_compute
from explorer.cases.case import Case, open_case
from explorer.cases.records import MethodMap
from explorer.cases.request import Source
from explorer.errors import MethodUnavailable
from explorer.inference.ablation import AblationScorer
from explorer.inference.batch import DecodeBatch
from explorer.inference.decode import teacher_force_together
from explorer.inference.llm_layers import pack_by_length
from explorer.inference.prefill import prefill_together
from explorer.methods import catalog
from explorer.metrics import agreement, fidelity, insertion_deletion
from explorer.vlm.components import Vlm
from explorer.vlm.progress import Progress
from explorer.vlm.threads import cpu_threads, parallel_runs

ORACLE, RANDOM = "oracle", "random"
SEEDS = 5  # orders drawn for the random curve
ROWS = 16
MEMORY_BYTES = 64_000_000  # of one trial whose caller has no memory


@dataclass(frozen=True)
class ScoreEvaluation:
    """How an order of tokens does. name: a method's spec, "oracle" or "random".

    step: tokens from one value of a curve to the next; inserted, deleted: s after every step;
    insertion, deletion: the areas under them. pruned: (K, s) from the method's own kept sets, where
    the curves are not its pruning. spearman, overlap: of its score, and of its K best tokens, with
    the oracle's; None for the two references.
    """

    name: str
    step: int
    inserted: tuple[float, ...]
    deleted: tuple[float, ...]
    insertion: float
    deletion: float
    pruned: tuple[tuple[int, float], ...] | None = None
    spearman: float | None = None
    overlap: float | None = None


def evaluate_scores(
    model: str | Vlm,
    image: Source,
    question: str,
    specs: Sequence[str],
    budget: int,
    memory: ResultCache | None = None,
) -> Iterator[Progress | ScoreEvaluation]:
    """Put scores on trial, one after the other; oracle and random come first and always.

    specs: of methods; budget: K at which overlap is counted. What can't run here is left out.
    Raises `VisitorError`.
    """
    memory = ResultCache(MEMORY_BYTES) if memory is None else memory
    for spec in specs:
        catalog.resolve(spec)
    case = open_case(model, image, question, memory)
    check_budget(budget, case.size.tokens)
    asked = (model, case.picture, case.question)
    wanted = [spec for spec in dict.fromkeys(specs) if spec != RANDOM]
    of_oracle, of_order = (
        case.size.tokens + 1,
        2 * (insertion_deletion.STEPS + 1),
    )  # evaluations of the model
    total = of_oracle + of_order * (1 + SEEDS + len(wanted))
    for step in explain(*asked, Target(), "removed", memory):
        if isinstance(step, Progress):
            yield Progress(of_oracle * step.done // step.total, total)
    best, told = step.values, of_oracle
    court = ScoreEvaluator(case, best, budget, memory)
    for trial, count in ((lambda: court.of(ORACLE, best), 1), (court.random, SEEDS)):
        yield trial()
        told += count * of_order
        yield Progress(told, total)
    ready = {found.spec: found for found in analyse(*asked, memory).methods}
    for spec in wanted:
        with suppress(MethodUnavailable):  # a case's notes say why
            yield court.method(ready[spec] if spec in ready else draw(*asked, spec, memory))
        told += of_order
        yield Progress(told, total)


class ScoreEvaluator:
    """One case with its oracle, before which orders are tried."""

    def __init__(self, case: Case, best: np.ndarray, budget: int, memory: ResultCache):
        self.case, self.best, self.budget, self.memory = case, best, budget, memory
        self.tokens = target_tokens(case, Target(), memory).tokens
        self.probe = AblationScorer(
            case.decoder, case.prompt(), self.tokens, lanes=parallel_runs(case.vlm)
        )

    def _s(self, present: Tensor) -> Tensor:
        return (self.probe.without(present) / len(self.tokens)).exp()

    def _curves(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def make() -> tuple[np.ndarray, np.ndarray]:
            with cpu_threads(self.case.vlm.cores):  # rows side by side keep all of them busy
                return tuple(
                    insertion_deletion.curve(self._s, order, inserting=way, per_call=ROWS)
                    for way in (True, False)
                )

        key = ("curves", self.case.id, order.tobytes())  # several methods may have the same
        return get_or_compute(
            self.memory, key, make, lambda found: sum(x.nbytes for x in found) + 500
        )

    def of(self, name: str, score: np.ndarray) -> ScoreEvaluation:
        """Try one score."""
        return _evaluation(name, len(score), *self._curves(insertion_deletion.order_of(score)))

    def random(self) -> ScoreEvaluation:
        """Try orders drawn at random; their curves' mean."""
        n = len(self.best)
        drawn = [self._curves(np.random.default_rng(seed).permutation(n)) for seed in range(SEEDS)]
        return _evaluation(RANDOM, n, *(np.mean(each, 0) for each in zip(*drawn, strict=True)))

    def method(self, found: MethodMap) -> ScoreEvaluation:
        """Try a method's score, and its pruning where that doesn't follow the score."""
        method = catalog.resolve(found.spec)
        plain = method.nested and not method.merges and method.where == "before the LLM"
        tried = self.of(found.spec, found.score)
        k = self.budget
        ours, theirs = (insertion_deletion.order_of(x)[:k] for x in (found.score, self.best))
        rho = float(agreement.spearman(np.stack([found.score, self.best]))[0, 1])
        return ScoreEvaluation(
            **{
                **vars(tried),
                "pruned": None if plain else self._pruned(found),
                "spearman": None if np.isnan(rho) else rho,
                "overlap": fidelity.overlap(ours, theirs, k),
            }
        )

    @torch.no_grad()
    def _pruned(self, found: MethodMap) -> tuple[tuple[int, float], ...]:
        """Give s at the rungs of a method's ladder, from the engine's own runs."""
        subject = CaseContext(self.case, full_run(self.case, self.memory))

        def make() -> tuple[tuple[int, float], ...]:
            wishes = [plan_answer(subject, found.spec, budget) for budget in found.ladder]
            runs = []
            for pack in pack_by_length(wishes, lambda wish: wish.length):
                asked = [(subject.prompts(wish.plan.needs), wish.plan) for wish in pack]
                runs += prefill_together(self.case.decoder, asked)
            met = torch.stack(teacher_force_together(DecodeBatch(runs), [self.tokens] * len(runs)))
            at = torch.tensor(self.tokens, device=met.device).expand(len(runs), -1)[..., None]
            s = met.log_softmax(-1).gather(2, at)[..., 0].mean(1).exp()
            return tuple(zip(found.ladder, s.tolist(), strict=True))

        key = ("pruning", self.case.id, found.spec)
        return get_or_compute(self.memory, key, make, lambda rows: 64 * len(rows) + 500)


def _evaluation(name: str, n: int, inserted: np.ndarray, deleted: np.ndarray) -> ScoreEvaluation:
    return ScoreEvaluation(
        name=name,
        step=-(-n // insertion_deletion.STEPS),
        inserted=tuple(inserted.tolist()),
        deleted=tuple(deleted.tolist()),
        insertion=insertion_deletion.curve_area(inserted),
        deletion=insertion_deletion.curve_area(deleted),
    )
