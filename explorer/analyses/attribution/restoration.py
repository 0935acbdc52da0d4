"""Which dropped patches broke the answer: a small set whose return restores it.

Greedy by what each return adds to the log-probability of the target, an answer; where that fails,
the patches whose absence costs it most. Then pruned back: no patch of the set can be left out. No
proof that there is no smaller set. Knows cases, picked sets and ablation; not methods and pages.
Letters: N visual tokens, K of them kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.analyses.attribution import captum_methods
from explorer.analyses.attribution.target import Target, target_tokens
from explorer.analyses.picked import check_kept, hand_picked, plan_of
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.gpu import GpuCost, use_case
from explorer.cases.progress import ProgressCallback, with_progress
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import BadPick
from explorer.inference.ablation import AblationScorer
from explorer.inference.decode import decode
from explorer.inference.prefill import prefill
from explorer.metrics.fidelity import agrees
from explorer.vlm.progress import Progress
from explorer.vlm.threads import cpu_threads, parallel_runs

MAX_PATCHES = 16  # patches that may come back
SHORTLIST = 16  # of the most helpful ones, tried again behind each return
ROWS = 8  # evaluated at once: few enough that progress is seen soon
ABOUT = 200  # answers that one search costs


@dataclass(frozen=True)
class RestorationResult:
    """What it takes to get the target, an answer, back.

    kept: tokens that were there; restored_tokens: those that came back, the most helpful first;
    none where the answer was the target already. before, after: the answers without and with them;
    after is None where no set of up to MAX_PATCHES that was tried restores the answer. p_before,
    p_after: the probability of the target; at the end of the search where it failed.
    """

    case: str
    target: str
    kept: tuple[int, ...]
    restored_tokens: tuple[int, ...]
    before: Answer
    after: Answer | None
    p_before: float
    p_after: float

    @property
    def found(self) -> bool:
        """Whether patches were dropped that the target needs, and which is known."""
        return self.after is not None and bool(self.restored_tokens)


@use_case(cost=GpuCost(answers=ABOUT))
def find_restoring_patches(
    request: CaseRequest,
    kept: Sequence[int],
    renumber: bool = False,
    target: str | None = None,
    *,
    cache: ResultCache | None = None,
) -> Iterator[Progress | RestorationResult]:
    """Give the progress of the search, and at last which dropped patches restore an answer.

    target: the answer to restore, such as the right one; None for the full answer. Raises
    `BadPick`, `BadAnswer`.
    """
    case = open_case(request, cache)
    kept = check_kept(list(kept), case.size.tokens)
    if len(kept) == case.size.tokens:
        raise BadPick("No patch is dropped here, so none can come back.")
    tokens = target_tokens(case, Target(text=target), cache)
    scorer = AblationScorer(
        case.decoder,
        case.prompt(),
        tokens.tokens,
        renumber=renumber,
        n_threads=parallel_runs(case.vlm),
    )
    search = RestorationSearch(case, tokens.text, kept, renumber, scorer, tokens.tokens, cache)
    yield from with_progress(search.run)


@dataclass(frozen=True)
class RestorationSearch:
    """One search. tokens: of the target; scorer: how probable they are from any patches."""

    case: Case
    target: str
    kept: tuple[int, ...]
    renumber: bool
    scorer: AblationScorer
    tokens: tuple[int, ...]
    cache: ResultCache | None

    def run(self, report: ProgressCallback) -> RestorationResult:
        """Let patches come back until the target is answered; then prune the set back."""
        report(0, 1)
        before, back = self._answer(()), []
        restored = agrees(before.text, self.target)
        if not restored:
            dropped = sorted(set(range(self.case.size.tokens)) - set(self.kept))
            back, restored = self._grow(dropped, report)
            if not restored:
                back, restored = self._by_leave_one_out(dropped, report)
            if restored:
                back = self._pruned_back(back)
        return RestorationResult(
            case=self.case.id,
            target=self.target,
            kept=self.kept,
            restored_tokens=tuple(back),
            before=before,
            after=self._answer(back) if restored else None,
            p_before=self._probability(()),
            p_after=self._probability(back),
        )

    def _grow(self, dropped: list[int], report: ProgressCallback) -> tuple[list[int], bool]:
        """Let patches come back one by one; gives them, and whether the answer is back.

        After the first one only those that promised most are scored again.
        """
        total, done = len(dropped) + MAX_PATCHES * min(SHORTLIST, len(dropped)), 0
        gains: dict[int, float] = {}
        back: list[int] = []

        def score(tokens: Sequence[int]) -> None:
            nonlocal done
            with cpu_threads(self.case.vlm.cores):  # rows side by side keep all of them busy
                added = captum_methods.add_one_in(
                    self.scorer.log_prob_ablated,
                    self._present(back),
                    torch.tensor(tokens),
                    ROWS,
                    lambda now, _: report(min(total, done + now), total),
                )
            done += len(tokens)
            gains.update(zip(tokens, added.tolist(), strict=True))

        score(dropped)
        while gains and len(back) < MAX_PATCHES:
            best = max(gains, key=lambda token: (gains[token], -token))
            if gains.pop(best) <= 0:
                break
            back.append(best)
            if self._restored(back):
                return back, True
            if gains and len(back) < MAX_PATCHES:
                score(sorted(gains, key=lambda token: (-gains[token], token))[:SHORTLIST])
        return back, False

    def _by_leave_one_out(
        self, dropped: list[int], report: ProgressCallback
    ) -> tuple[list[int], bool]:
        """Let those come back at once whose absence costs the target most when all are there."""

        def without(rows: Tensor) -> Tensor:
            whole = rows.new_ones(len(rows), self.case.size.tokens)
            whole[:, dropped] = rows
            return self.scorer.log_prob_ablated(whole)

        with cpu_threads(self.case.vlm.cores):
            worth = captum_methods.leave_one_out(without, len(dropped), ROWS, report)
        best_first = worth.argsort(descending=True, stable=True).tolist()
        back = [dropped[place] for place in best_first[:MAX_PATCHES]]
        return back, self._restored(back)

    def _pruned_back(self, back: list[int]) -> list[int]:
        """Leave out patches that aren't needed, the last to come back first."""
        for token in reversed(back):
            fewer = [other for other in back if other != token]
            if fewer and self._restored(fewer):
                back = fewer
        return back

    def _restored(self, back: Sequence[int]) -> bool:
        """Tell whether the target is decoded with these; the first wrong token ends it."""
        kept = tuple(sorted((*self.kept, *back)))
        run = prefill(self.case.decoder, self.case.prompt(), plan_of(kept, self.renumber))
        steps = decode(run, self.case.vlm.max_new_tokens)
        for token, step in zip(self.tokens, steps, strict=False):
            if step.token != token:
                return False
        end = next(steps, None)
        return end is None or end.token in self.case.decoder.eos

    def _answer(self, back: Sequence[int]) -> Answer:
        kept = tuple(sorted((*self.kept, *back)))
        return hand_picked(self.case, kept, self.renumber, self.cache)

    def _present(self, back: Sequence[int]) -> Tensor:
        present = torch.zeros(self.case.size.tokens, dtype=torch.float32)
        present[[*self.kept, *back]] = 1
        return present

    def _probability(self, back: Sequence[int]) -> float:
        return math.exp(float(self.scorer.log_prob_ablated(self._present(back)[None])))
