"""Every score on trial: does it put first what the answer rests on?

Insertion and deletion curves of an order of tokens (curves.py) with s = exp(f / G), the geometric
mean probability of the answer's G tokens; their areas; rank correlation and overlap with the
oracle. For methods whose kept sets don't follow the order of their score also s from their own kept
sets. Knows cases, maps and the oracle; not pages. Letters: N visual tokens, K kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer import curves, methods, zoo
from explorer.analysis import analyse, draw
from explorer.answers import check_budget, reference
from explorer.batch import Batch
from explorer.cases import Case, Source, open_case
from explorer.comparison import spearman
from explorer.decoding import forced_together
from explorer.engine import prefill_together
from explorer.errors import MethodUnavailable
from explorer.families import Vlm
from explorer.fidelity import overlap
from explorer.following import Progress
from explorer.importance import Target, explain, wanted_of
from explorer.memory import Memory, recall
from explorer.probe import Probe
from explorer.results import MethodMap
from explorer.scouting import packs
from explorer.speaking import Subject, planned

ORACLE, RANDOM = "oracle", "random"
SEEDS = 5  # orders drawn for the random curve
ROWS = 16
MEMORY_BYTES = 64_000_000  # of one trial whose caller has no memory


@dataclass(frozen=True)
class Trial:
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


def trials(
    model: str | Vlm,
    image: Source,
    question: str,
    specs: Sequence[str],
    budget: int,
    memory: Memory | None = None,
) -> Iterator[Progress | Trial]:
    """Put scores on trial, one after the other; oracle and random come first and always.

    specs: of methods; budget: K at which overlap is counted. What can't run here is left out.
    Raises `VisitorError`.
    """
    memory = Memory(MEMORY_BYTES) if memory is None else memory
    for spec in specs:
        methods.resolve(spec)
    case = open_case(model, image, question, memory)
    check_budget(budget, case.size.tokens)
    asked = (model, case.picture, case.question)
    wanted = [spec for spec in dict.fromkeys(specs) if spec != RANDOM]
    of_oracle, of_order = case.size.tokens + 1, 2 * (curves.STEPS + 1)  # evaluations of the model
    total = of_oracle + of_order * (1 + SEEDS + len(wanted))
    for step in explain(*asked, Target(), "removed", memory):
        if isinstance(step, Progress):
            yield Progress(of_oracle * step.done // step.total, total)
    best, told = step.values, of_oracle
    court = Court(case, best, budget, memory)
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


class Court:
    """One case with its oracle, before which orders are tried."""

    def __init__(self, case: Case, best: np.ndarray, budget: int, memory: Memory):
        self.case, self.best, self.budget, self.memory = case, best, budget, memory
        self.tokens = wanted_of(case, Target(), memory).tokens
        self.probe = Probe(case.decoder, case.prompt(), self.tokens, lanes=zoo.lanes(case.vlm))

    def _s(self, present: Tensor) -> Tensor:
        return (self.probe.without(present) / len(self.tokens)).exp()

    def _curves(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        def make() -> tuple[np.ndarray, np.ndarray]:
            zoo.use_threads(self.case.vlm, many=True)
            return tuple(
                curves.curve(self._s, order, inserting=way, per_call=ROWS) for way in (True, False)
            )

        key = ("curves", self.case.id, order.tobytes())  # several methods may have the same
        return recall(self.memory, key, make, lambda found: sum(x.nbytes for x in found) + 500)

    def of(self, name: str, score: np.ndarray) -> Trial:
        """Try one score."""
        return _trial(name, len(score), *self._curves(curves.order_of(score)))

    def random(self) -> Trial:
        """Try orders drawn at random; their curves' mean."""
        n = len(self.best)
        drawn = [self._curves(np.random.default_rng(seed).permutation(n)) for seed in range(SEEDS)]
        return _trial(RANDOM, n, *(np.mean(each, 0) for each in zip(*drawn, strict=True)))

    def method(self, found: MethodMap) -> Trial:
        """Try a method's score, and its pruning where that doesn't follow the score."""
        module, _ = methods.resolve(found.spec)
        plain = module.NESTED and not module.MERGES and module.WHERE == "before the LLM"
        tried = self.of(found.spec, found.score)
        k = self.budget
        ours, theirs = (curves.order_of(x)[:k] for x in (found.score, self.best))
        rho = float(spearman(np.stack([found.score, self.best]))[0, 1])
        return Trial(
            **{
                **vars(tried),
                "pruned": None if plain else self._pruned(found),
                "spearman": None if np.isnan(rho) else rho,
                "overlap": overlap(ours, theirs, k),
            }
        )

    @torch.no_grad()
    def _pruned(self, found: MethodMap) -> tuple[tuple[int, float], ...]:
        """Give s at the rungs of a method's ladder, from the engine's own runs."""
        subject = Subject(self.case, reference(self.case, self.memory))

        def make() -> tuple[tuple[int, float], ...]:
            zoo.use_threads(self.case.vlm)
            wishes = [planned(subject, found.spec, budget) for budget in found.ladder]
            runs = []
            for pack in packs(wishes, lambda wish: wish.length):
                asked = [(subject.prompts(wish.plan.needs), wish.plan) for wish in pack]
                runs += prefill_together(self.case.decoder, asked)
            met = torch.stack(forced_together(Batch(runs), [self.tokens] * len(runs)))
            at = torch.tensor(self.tokens, device=met.device).expand(len(runs), -1)[..., None]
            s = met.log_softmax(-1).gather(2, at)[..., 0].mean(1).exp()
            return tuple(zip(found.ladder, s.tolist(), strict=True))

        key = ("pruning", self.case.id, found.spec)
        return recall(self.memory, key, make, lambda rows: 64 * len(rows) + 500)


def _trial(name: str, n: int, inserted: np.ndarray, deleted: np.ndarray) -> Trial:
    return Trial(
        name=name,
        step=-(-n // curves.STEPS),
        inserted=tuple(inserted.tolist()),
        deleted=tuple(deleted.tolist()),
        insertion=curves.area(inserted),
        deletion=curves.area(deleted),
    )
