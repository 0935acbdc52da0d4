"""Which dropped patches broke the answer: a small set whose return restores it.

Greedy by what each return adds to the log-probability of the wanted answer; where that fails, those
that the oracle finds the answer to rest on most. Then thinned: no patch of the set can be left out.
No proof that there is no smaller set. Knows cases, picked sets and the oracle; not methods and
pages. Letters: N visual tokens, K of them kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.analyses.attribution import captum_methods
from explorer.analyses.attribution.importance import Target, target_tokens
from explorer.analyses.picked import check_kept, hand_picked, plan_of
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.progress import ProgressCallback, with_progress
from explorer.cases.records import Answer
from explorer.cases.request import Source
from explorer.errors import BadPick
from explorer.inference.ablation import AblationScorer
from explorer.inference.decode import decode
from explorer.inference.prefill import prefill
from explorer.metrics.fidelity import agrees
from explorer.vlm.components import Vlm
from explorer.vlm.progress import Progress
from explorer.vlm.threads import cpu_threads, parallel_runs

MAX_PATCHES = 16  # patches that may come back
SHORTLIST = 16  # of the most helpful ones, tried again behind each return
ROWS = 8


@dataclass(frozen=True)
class RestorationResult:
    """What it takes to get the wanted answer back.

    kept: tokens that were there; returned: those that came back, the most helpful first; none where
    the answer was the wanted one already. before, after: the answers without and with them; after
    is None where no set of up to MOST that was tried restores the answer. p_before, p_after: the
    probability of the wanted answer; at the end of the search where it failed.
    """

    case: str
    wanted: str
    kept: tuple[int, ...]
    returned: tuple[int, ...]
    before: Answer
    after: Answer | None
    p_before: float
    p_after: float

    @property
    def found(self) -> bool:
        """Whether patches were dropped that the wanted answer needs, and which is known."""
        return self.after is not None and bool(self.returned)


def find_restoring_patches(
    model: str | Vlm,
    image: Source,
    question: str,
    kept: Sequence[int],
    memory: ResultCache | None = None,
    renumber: bool = False,
    wanted: str | None = None,
) -> Iterator[Progress | RestorationResult]:
    """Tell how far the search is, and at last which dropped patches restore the answer.

    wanted: the answer to restore, such as the right one; None for the full answer. Raises
    `BadPick`, `BadAnswer`.
    """
    case = open_case(model, image, question, memory)
    kept = check_kept(list(kept), case.size.tokens)
    if len(kept) == case.size.tokens:
        raise BadPick("No patch is dropped here, so none can come back.")
    target = target_tokens(case, Target(text=wanted), memory)
    probe = AblationScorer(
        case.decoder,
        case.prompt(),
        target.tokens,
        renumber=renumber,
        lanes=parallel_runs(case.vlm),
    )
    search = RestorationSearch(case, target.text, kept, renumber, probe, target.tokens, memory)
    yield from with_progress(search.run)


@dataclass(frozen=True)
class RestorationSearch:
    """One search. tokens: of the wanted answer; probe: how probable it is from any patches."""

    case: Case
    wanted: str
    kept: tuple[int, ...]
    renumber: bool
    probe: AblationScorer
    tokens: tuple[int, ...]
    memory: ResultCache | None

    def run(self, tell: ProgressCallback) -> RestorationResult:
        """Let patches come back until the answer is the wanted one; then thin."""
        tell(0, 1)
        before, back = self._answer(()), []
        restored = agrees(before.text, self.wanted)
        if not restored:
            dropped = sorted(set(range(self.case.size.tokens)) - set(self.kept))
            back, restored = self._grown(dropped, tell)
            if not restored:
                back, restored = self._by_oracle(dropped, tell)
            if restored:
                back = self._thinned(back)
        return RestorationResult(
            case=self.case.id,
            wanted=self.wanted,
            kept=self.kept,
            returned=tuple(back),
            before=before,
            after=self._answer(back) if restored else None,
            p_before=self._probability(()),
            p_after=self._probability(back),
        )

    def _grown(self, dropped: list[int], tell: ProgressCallback) -> tuple[list[int], bool]:
        """Let patches come back one by one; gives them, and whether the answer is back.

        Behind the first return only those that promised most are weighed anew.
        """
        total, done = len(dropped) + MAX_PATCHES * min(SHORTLIST, len(dropped)), 0
        gains: dict[int, float] = {}
        back: list[int] = []

        def weigh(tokens: Sequence[int]) -> None:
            nonlocal done
            with cpu_threads(self.case.vlm.cores):  # rows side by side keep all of them busy
                found = captum_methods.add_one_in(
                    self.probe.without,
                    self._present(back),
                    torch.tensor(tokens),
                    ROWS,
                    lambda now, _: tell(min(total, done + now), total),
                )
            done += len(tokens)
            gains.update(zip(tokens, found.tolist(), strict=True))

        weigh(dropped)
        while gains and len(back) < MAX_PATCHES:
            best = max(gains, key=lambda token: (gains[token], -token))
            if gains.pop(best) <= 0:
                break
            back.append(best)
            if self._restored(back):
                return back, True
            if gains and len(back) < MAX_PATCHES:
                weigh(sorted(gains, key=lambda token: (-gains[token], token))[:SHORTLIST])
        return back, False

    def _by_oracle(self, dropped: list[int], tell: ProgressCallback) -> tuple[list[int], bool]:
        """Let those come back at once that the answer rests on most when all are there."""

        def without(rows: Tensor) -> Tensor:
            whole = rows.new_ones(len(rows), self.case.size.tokens)
            whole[:, dropped] = rows
            return self.probe.without(whole)

        with cpu_threads(self.case.vlm.cores):
            worth = captum_methods.leave_one_out(without, len(dropped), ROWS, tell)
        best_first = worth.argsort(descending=True, stable=True).tolist()
        back = [dropped[place] for place in best_first[:MAX_PATCHES]]
        return back, self._restored(back)

    def _thinned(self, back: list[int]) -> list[int]:
        """Leave out whoever isn't needed, the last to come first, until all are."""
        for token in reversed(back):
            fewer = [other for other in back if other != token]
            if fewer and self._restored(fewer):
                back = fewer
        return back

    def _restored(self, back: Sequence[int]) -> bool:
        """Tell whether the wanted answer is given with these; a wrong word is enough to know."""
        kept = tuple(sorted((*self.kept, *back)))
        run = prefill(self.case.decoder, self.case.prompt(), plan_of(kept, self.renumber))
        steps = decode(run, self.case.vlm.max_new_tokens)
        for wanted, step in zip(self.tokens, steps, strict=False):
            if step.token != wanted:
                return False
        end = next(steps, None)
        return end is None or end.token in self.case.decoder.eos

    def _answer(self, back: Sequence[int]) -> Answer:
        kept = tuple(sorted((*self.kept, *back)))
        return hand_picked(self.case, kept, self.memory, self.renumber)

    def _present(self, back: Sequence[int]) -> Tensor:
        present = torch.zeros(self.case.size.tokens, dtype=torch.float32)
        present[[*self.kept, *back]] = 1
        return present

    def _probability(self, back: Sequence[int]) -> float:
        return math.exp(float(self.probe.without(self._present(back)[None])))
