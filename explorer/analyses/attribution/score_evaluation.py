"""Evaluate scores: does a method put first what the answer rests on?

Insertion and deletion curves of an order of tokens (insertion_deletion.py) with s = exp(f / G), the
geometric mean probability of the answer's G tokens, positions counted as the method on trial counts
them; their areas; rank correlation and overlap with
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

from explorer.analyses.attribution.importance import explain
from explorer.analyses.attribution.target import Target, target_tokens
from explorer.analyses.overview import draw, score_all
from explorer.analyses.picked import renumbers
from explorer.cases.answers import check_budget, full_run
from explorer.cases.batch_answers import CaseContext, plan_answer
from explorer.cases.cache import CacheKey, ResultCache, get_or_compute
from explorer.cases.case import Case, open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.records import MethodMap
from explorer.cases.request import CaseRequest
from explorer.errors import MethodUnavailable
from explorer.inference.ablation import AblationScorer
from explorer.inference.batch import DecodeBatch
from explorer.inference.decode import teacher_force_together
from explorer.inference.llm_layers import pack_by_length
from explorer.inference.prefill import prefill_together
from explorer.methods import catalog
from explorer.metrics import agreement, fidelity, insertion_deletion
from explorer.vlm.progress import Progress
from explorer.vlm.threads import cpu_threads, parallel_runs

ORACLE, RANDOM = "oracle", "random"
SEEDS = 5  # orders drawn for the random curve
ROWS = 16
ABOUT = 200  # answers that one evaluation costs


@dataclass(frozen=True)
class ScoreEvaluation:
    """How an order of tokens does. name: a method's spec, "oracle" or "random".

    renumber: whether those that are there were counted anew while others were absent, as the method
    does; the two references have one evaluation for each rule that a method on trial has.

    step: tokens from one value of a curve to the next; inserted, deleted: s after every step;
    insertion, deletion: the areas under them. pruned: (K, s) from the method's own kept sets, where
    the curves are not its pruning. spearman, overlap: of its score, and of its K best tokens, with
    the oracle's; None for the two references.
    """

    name: str
    renumber: bool
    step: int
    inserted: tuple[float, ...]
    deleted: tuple[float, ...]
    insertion: float
    deletion: float
    pruned: tuple[tuple[int, float], ...] | None = None
    spearman: float | None = None
    overlap: float | None = None


def _check_specs(request: CaseRequest, specs: Sequence[str], **_: object) -> None:
    for spec in specs:
        catalog.resolve(spec)


@use_case(cost=GpuCost(answers=ABOUT), check=_check_specs)
def evaluate_scores(
    request: CaseRequest,
    specs: Sequence[str],
    budget: int,
    *,
    cache: ResultCache | None = None,
) -> Iterator[Progress | ScoreEvaluation]:
    """Evaluate scores, one after the other; oracle and random come first and always.

    Methods that count positions anew come before those that keep them, each behind references of
    its own kind. specs: of methods; budget: K at which overlap is counted. What can't run here is
    left out. Raises `VisitorError`.
    """
    case = open_case(request, cache)
    check_budget(budget, case.size.tokens)
    specs = [spec for spec in dict.fromkeys(specs) if spec != RANDOM]
    by_rule = {rule: [s for s in specs if renumbers(s) == rule] for rule in (True, False)}
    rules = [rule for rule, mine in by_rule.items() if mine] or [renumbers(RANDOM)]
    per_oracle, per_order = case.size.tokens + 1, 2 * (insertion_deletion.STEPS + 1)
    # evaluations of the model
    total = len(rules) * (per_oracle + per_order * (1 + SEEDS)) + per_order * len(specs)
    ready = {each.spec: each for each in score_all(request, cache=cache).methods}
    done = 0
    for rule in rules:
        for step in explain(request, Target(), "removed", rule, cache=cache):
            if isinstance(step, Progress):
                yield Progress(done + per_oracle * step.done // step.total, total)
        evaluator = ScoreEvaluator(case, step.values, budget, cache, rule)
        done += per_oracle
        for evaluate, count in ((evaluator.oracle, 1), (evaluator.random, SEEDS)):
            yield evaluate()
            done += count * per_order
            yield Progress(done, total)
        for spec in by_rule[rule]:
            with suppress(MethodUnavailable):  # a case's notes say why
                yield evaluator.method(ready.get(spec) or draw(request, spec, cache=cache))
            done += per_order
            yield Progress(done, total)


class ScoreEvaluator:
    """One case and its oracle, with which orders of tokens are compared; one rule for positions."""

    def __init__(
        self,
        case: Case,
        best: np.ndarray,
        budget: int,
        cache: ResultCache | None,
        renumber: bool,
    ):
        self.case, self.best, self.budget, self.cache = case, best, budget, cache
        self.renumber = renumber
        self.tokens = target_tokens(case, Target(), cache).tokens
        self.scorer = AblationScorer(
            case.decoder,
            case.prompt(),
            self.tokens,
            renumber=renumber,
            n_threads=parallel_runs(case.vlm),
        )

    def _s(self, present: Tensor) -> Tensor:
        return (self.scorer.log_prob_ablated(present) / len(self.tokens)).exp()

    def _curves(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def make() -> tuple[np.ndarray, np.ndarray]:
            with cpu_threads(self.case.vlm.cores):  # rows side by side keep all of them busy
                return tuple(
                    insertion_deletion.curve(self._s, order, inserting=way, per_call=ROWS)
                    for way in (True, False)
                )

        # several methods may have the same order
        key = CacheKey("curves", self.case.id, (order.tobytes(), self.renumber))
        return get_or_compute(
            self.cache, key, make, lambda found: sum(x.nbytes for x in found) + 500
        )

    def of(self, name: str, score: np.ndarray) -> ScoreEvaluation:
        """Evaluate one score."""
        curves = self._curves(insertion_deletion.order_of(score))
        return _evaluation(name, self.renumber, len(score), *curves)

    def oracle(self) -> ScoreEvaluation:
        """Evaluate the oracle's own order."""
        return self.of(ORACLE, self.best)

    def random(self) -> ScoreEvaluation:
        """Evaluate the mean curves of orders drawn at random."""
        n = len(self.best)
        drawn = [self._curves(np.random.default_rng(seed).permutation(n)) for seed in range(SEEDS)]
        curves = (np.mean(each, 0) for each in zip(*drawn, strict=True))
        return _evaluation(RANDOM, self.renumber, n, *curves)

    def method(self, found: MethodMap) -> ScoreEvaluation:
        """Evaluate a method's score, and its pruning where that doesn't follow the score."""
        method = catalog.resolve(found.spec)
        plain = method.nested and not method.merges and method.where == "before the LLM"
        evaluation = self.of(found.spec, found.score)
        k = self.budget
        ours, theirs = (insertion_deletion.order_of(x)[:k] for x in (found.score, self.best))
        rho = float(agreement.spearman(np.stack([found.score, self.best]))[0, 1])
        return ScoreEvaluation(
            **{
                **vars(evaluation),
                "pruned": None if plain else self._pruned(found),
                "spearman": None if np.isnan(rho) else rho,
                "overlap": fidelity.overlap(ours, theirs, k),
            }
        )

    @torch.no_grad()
    def _pruned(self, found: MethodMap) -> tuple[tuple[int, float], ...]:
        """Give s at the rungs of a method's ladder, from the engine's own runs."""
        context = CaseContext(self.case, full_run(self.case, self.cache))

        def make() -> tuple[tuple[int, float], ...]:
            planned = [plan_answer(context, found.spec, budget) for budget in found.ladder]
            runs = []
            for pack in pack_by_length(planned, lambda each: each.length):
                prompts = [(context.prompts(each.plan.needs), each.plan) for each in pack]
                runs += prefill_together(self.case.decoder, prompts)
            logits = torch.stack(
                teacher_force_together(DecodeBatch(runs), [self.tokens] * len(runs))
            )
            at = torch.tensor(self.tokens, device=logits.device).expand(len(runs), -1)[..., None]
            s = logits.log_softmax(-1).gather(2, at)[..., 0].mean(1).exp()
            return tuple(zip(found.ladder, s.tolist(), strict=True))

        key = CacheKey("pruning", self.case.id, (found.spec,))
        return get_or_compute(self.cache, key, make, lambda rows: 64 * len(rows) + 500)


def _evaluation(
    name: str, renumber: bool, n: int, inserted: np.ndarray, deleted: np.ndarray
) -> ScoreEvaluation:
    return ScoreEvaluation(
        name=name,
        renumber=renumber,
        step=-(-n // insertion_deletion.STEPS),
        inserted=tuple(inserted.tolist()),
        deleted=tuple(deleted.tolist()),
        insertion=insertion_deletion.curve_area(inserted),
        deletion=insertion_deletion.curve_area(deleted),
    )
