"""The steps of a diagnosis: each changes one thing about a run and looks if the answer is right.

Knows cases, methods and the tools that search and explain; not verdicts in words, nor pages.
Letters: N visual tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from explorer.analyses.attribution.importance import explain
from explorer.analyses.attribution.restoration import find_restoring_patches
from explorer.analyses.diagnosis.evidence import NamedBox, patches_in_words
from explorer.analyses.diagnosis.records import RunAnswer, StepResult
from explorer.analyses.diagnosis.sentences import RightAnswer, as_sentence, names_in_words, quoted
from explorer.analyses.diagnosis.verdict import Findings
from explorer.analyses.diagnosis.word_losses import word_losses, worst_in_words
from explorer.analyses.picked import hand_picked, without_picture
from explorer.cases.answers import answer
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import answer_many
from explorer.methods import catalog
from explorer.methods.method import Method
from explorer.vlm.progress import Progress

PEERS = (
    "uniform",
    "clsattn",
    "visionzip",
    "divprune",
    "cdpruner",
    "fastv",
    "visiondrop",
    "feather",
)
"""Methods unlike each other that are asked whether they keep what this one drops. Ours."""
HALF = 0.5  # of what speaks for an answer: the share that its most important patches hold; ours
POSITIONS = {"keep": "with their old positions", "renumber": "with positions counted anew"}

Step = Generator[Progress, None, StepResult]


@dataclass
class Examination:
    """One case, method and budget under examination; what later steps need of earlier ones.

    truth: the right answer, None where nobody knows it; things: of the picture, as far as known.
    """

    case: Case
    request: CaseRequest
    method: str
    budget: int
    truth: str | None
    things: Sequence[NamedBox]
    cache: ResultCache | None
    restored: tuple[int, ...] = ()
    spread: tuple[int, ...] = ()
    steps: list[StepResult] = field(default_factory=list)

    @cached_property
    def full(self) -> Answer:
        """The answer from all visual tokens."""
        return answer(self.request, cache=self.cache)

    @cached_property
    def pruned(self) -> Answer:
        """The method's own answer."""
        return answer(self.request, self.method, self.budget, cache=self.cache)

    @cached_property
    def blind(self) -> Answer:
        """The answer from no visual token."""
        return without_picture(self.case, self.cache)

    @cached_property
    def resolved(self) -> Method:
        """The method that the spec names."""
        return catalog.resolve(self.method)

    @property
    def right(self) -> RightAnswer:
        """What answers are measured by."""
        return RightAnswer(self.truth, self.full.text)

    @property
    def kept(self) -> tuple[int, ...]:
        """The patches that are alive as they were after the method's last stage."""
        return tuple(self.pruned.stages[-1].kept.tolist()) if self.pruned.stages else ()

    @property
    def is_broken(self) -> bool:
        """Whether the full answer is right and the pruned one isn't: what the search is about."""
        return self._rights(self.full) and not self._rights(self.pruned)

    @property
    def plan(self) -> dict[str, Callable[[], Step]]:
        """The steps by their keys, in the order of `records.QUESTIONS`."""
        return {
            "full": self._full,
            "pruned": self._pruned,
            "positions": self._positions,
            "alone": self._alone,
            "restored": self._restored,
            "others": self._others,
            "oracle": self._oracle,
            "blind": self._blind,
        }

    def findings(self) -> Findings:
        """Sum up the steps for the verdict."""
        holds = {step.key: step.holds for step in self.steps}
        return Findings(
            full=bool(holds["full"]),
            pruned=bool(holds["pruned"]),
            merges=self.resolved.merges,
            other_positions=holds["positions"],
            alone=holds["alone"],
            blind=holds["blind"],
            restored=holds["restored"],
        )

    def words(self, tokens: Sequence[int]) -> str:
        """Say where patches lie."""
        return patches_in_words(self.case.vision.grid, tokens, self.things)

    # ---- the steps ------------------------------------------------------------------------------

    def _full(self) -> Step:
        yield from ()
        text, n = self.full.text, self.case.size.tokens
        if self.truth is None:
            finding = (
                f"From all {n} patches it says {quoted(text)}. Nobody has said what is right, so "
                "this answer stands in for it."
            )
        elif self.right.is_given_by(text):
            finding = f"From all {n} patches it says {self.right.judged(text)}."
        else:
            finding = f"From all {n} patches it says {quoted(text)}; right is {quoted(self.truth)}."
        return self._said("full", finding, {f"all {n} patches": text})

    def _pruned(self) -> Step:
        yield from ()
        text, losses = self.pruned.text, word_losses(self.full, self.pruned)
        name = f"{catalog.title(self.method)} at {self.budget}"
        finding = f"{name} keeps {len(self.kept)} patches as they were and says "
        finding += f"{self.right.judged(text)}.{worst_in_words(losses)}"
        return replace(self._said("pruned", finding, {name: text}), words=losses)

    def _positions(self) -> Step:
        yield from ()
        method = self.resolved
        if not self.is_broken:
            return self._unasked("positions")
        if "positions" not in method.options():
            return _skipped(
                "positions",
                f"{catalog.title(self.method)} keeps positions as they were; it has no other way.",
            )
        other = {"keep": "renumber", "renumber": "keep"}[method.positions]
        spec = replace(method, positions=other).spec
        found = answer(self.request, spec, self.budget, cache=self.cache)
        finding = f"{POSITIONS[other].capitalize()} it says {self.right.judged(found.text)}."
        result = self._said("positions", finding, {POSITIONS[other]: found.text})
        if not found.stages or tuple(found.stages[-1].kept.tolist()) != self.kept:
            finding += " But other patches are kept then, so this says little about positions."
            return replace(result, finding=finding, holds=None)
        return result

    def _alone(self) -> Step:
        yield from ()
        method = self.resolved
        if not self.is_broken:
            return self._unasked("alone")
        if not method.merges and method.where == "before the LLM":
            return _skipped(
                "alone", "This method does just that: nothing is merged or leaves later."
            )
        if not self.kept:
            return _skipped("alone", "No patch is kept as it was.")
        found = hand_picked(self.case, self.kept, self._renumbers, self.cache)
        finding = f"From the {len(self.kept)} kept patches alone it says "
        finding += f"{self.right.judged(found.text)}."
        return self._said("alone", finding, {"the kept patches alone": found.text})

    def _restored(self) -> Step:
        if not self.is_broken:
            return self._unasked("restored")
        if not 0 < len(self.kept) < self.case.size.tokens:
            return _skipped("restored", "No patch is kept as it was, so none can join those.")
        search = find_restoring_patches(self.request, self.kept, self._renumbers, cache=self.cache)
        for found in search:
            if isinstance(found, Progress):
                yield Progress(found.done, found.total, "restored")
        self.restored = found.restored_tokens if found.found else ()
        if found.found:
            finding = (
                f"With {self.words(self.restored)} back it says {quoted(found.after.text)} "
                f"(p {found.p_before:.2f} before, {found.p_after:.2f} after)."
            )
        elif found.after is not None:
            finding = "None has to come back: the kept patches alone are enough."
        else:
            finding = f"No set that was tried restores {quoted(found.target)}."
        runs = (RunAnswer("kept patches alone", found.before.text, self._rights(found.before)),)
        if found.found:
            runs += (RunAnswer("with those back", found.after.text, self._rights(found.after)),)
        return StepResult("restored", finding, found.found, runs=runs, patches=self.restored)

    def _others(self) -> Step:
        if not self.is_broken:
            return self._unasked("others")
        specs = [spec for spec in PEERS if spec != self.method]
        runs, rights, keepers = [], [], []
        asked = answer_many(self.request, [(spec, self.budget) for spec in specs], cache=self.cache)
        for number, result in enumerate(asked, 1):
            name = catalog.title(result.method)
            if result.answer is None:
                runs.append(RunAnswer(name, result.error or "no answer"))
            else:
                kept = set(result.answer.stages[-1].kept.tolist())
                needed = len(kept & set(self.restored))
                run = f"{name}, keeps {needed} of {len(self.restored)}" if self.restored else name
                right = self._rights(result.answer)
                runs.append(RunAnswer(run, result.answer.text, right))
                rights += [name] * right
                keepers += [name] * (bool(self.restored) and needed == len(self.restored))
            yield Progress(number, len(specs), "others")
        finding = f"{names_in_words(rights)} right at the same budget"
        if self.restored:
            finding += f"; {names_in_words(keepers, 'keeps', 'keep')} all of those patches"
        return StepResult("others", as_sentence(finding), bool(rights), runs=tuple(runs))

    def _oracle(self) -> Step:
        if not self.is_broken and self.right.is_given_by(self.full.text):
            return self._unasked("oracle")
        for found in explain(self.request, renumber=self._renumbers, cache=self.cache):
            if isinstance(found, Progress):
                yield Progress(found.done, found.total, "oracle")
        if found.weak:
            finding = "It hardly depends on the picture: what it rests on is mostly noise."
            return StepResult("oracle", finding)
        top = _most_important(found.values)
        lost = tuple(token for token in top if token not in set(self.kept))
        self.spread = lost
        finding = (
            f"Half of what speaks for {quoted(found.answer)} lies on {self.words(top)}; "
            f"{len(lost) or 'none'} of these {'was' if len(lost) == 1 else 'were'} dropped."
        )
        return StepResult("oracle", finding, patches=top)

    def _blind(self) -> Step:
        yield from ()
        text = self.blind.text
        finding = f"With no patch at all it says {self.right.judged(text)}."
        if self.is_broken and text == self.pruned.text:
            finding += " That is what it says after pruning, too: a guess."
        return self._said("blind", finding, {"no patch": text})

    # ---- what they share ------------------------------------------------------------------------

    @property
    def _renumbers(self) -> bool:
        return self.resolved.positions == "renumber"

    def _rights(self, found: Answer) -> bool:
        return self.right.is_given_by(found.text)

    def _said(self, key: str, finding: str, texts: dict[str, str]) -> StepResult:
        runs = tuple(
            RunAnswer(run, said, self.right.is_given_by(said)) for run, said in texts.items()
        )
        return StepResult(key, finding, runs[0].right, runs=runs)

    def _unasked(self, key: str) -> StepResult:
        if not self.right.is_given_by(self.full.text):
            return _skipped(key, "The model is wrong with all tokens: no dropped one is to blame.")
        return _skipped(key, "Nothing is broken that this could explain.")


def _skipped(key: str, why: str) -> StepResult:
    return StepResult(key, why, asked=False)


def _most_important(values: np.ndarray) -> tuple[int, ...]:
    """Give the fewest patches that hold half of all that speaks for an answer, best first."""
    order = [int(token) for token in np.argsort(-values, kind="stable") if values[token] > 0]
    total = float(values[order].sum())
    reached = list(accumulate(float(values[token]) for token in order))
    count = next((i + 1 for i, share in enumerate(reached) if share >= HALF * total), len(order))
    return tuple(order[:count])
