"""What the tab "Effects" asks of a model, made up and handed out at once.

With all tokens everything is answered rightly but for the last thing; a method hallucinates what is
not there at its smallest budget and puts the last thing right; its random answers as all tokens do.
Knows records and use cases; not pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from explorer.analyses.effects.captions import Caption
from explorer.analyses.effects.probes import SHARES, ProbeAnswer, ProbedThing
from explorer.analyses.effects.stability import Asked, Rung, Stability
from explorer.analyses.effects.things import AskedThing, lexicon
from explorer.cases.cache import ResultCache
from explorer.cases.generation import FULL
from explorer.cases.request import CaseRequest
from explorer.cases.scheduler import never
from explorer.methods.chance import chance_of
from explorer.metrics.effects import pope
from explorer.metrics.effects.chair import Captioned

if TYPE_CHECKING:
    from canned import Gate

INVENTED = "a volcano"  # which hardly any scene has


class CannedEffects:
    """Effects behind a gate. tokens: of the picture."""

    def __init__(self, gate: Gate, tokens: int) -> None:
        self._gate, self._tokens = gate, tokens
        self._budgets = [round(tokens * share / 100) for share in SHARES]

    def probe(
        self,
        request: CaseRequest,
        things: Sequence[AskedThing],
        method: str,
        *,
        cache: ResultCache | None = None,
        stop: Callable[[], bool] = never,
    ) -> Iterator[ProbedThing]:
        """Give what was said about each thing."""
        yield from self._gate.passing(
            (self._probed(thing, thing is things[-1], method) for thing in things), stop
        )

    def _probed(self, thing: AskedThing, last: bool, method: str) -> ProbedThing:
        whole = thing.there != last

        def said(spec: str, budget: int, yes: bool) -> ProbeAnswer:
            return ProbeAnswer(
                method=spec,
                budget=budget,
                wished=budget,
                text="yes" if yes else "no",
                p_yes=0.9 if yes else 0.05,
                p_no=0.1 if yes else 0.95,
                says_yes=yes,
                mistake=pope.mistake(yes, thing.there),
                change="" if spec == FULL else pope.change(whole, yes, thing.there),
                covered=budget / self._tokens if thing.boxes else None,
            )

        answers = [
            said(method, budget, thing.there or (budget == self._budgets[-1] and not last))
            for budget in self._budgets
        ]
        answers += [said(chance_of(method), budget, whole) for budget in self._budgets]
        return ProbedThing(thing, said(FULL, self._tokens, whole), tuple(answers))

    def describe(
        self,
        request: CaseRequest,
        there: Sequence[Sequence[str]],
        method: str,
        *,
        cache: ResultCache | None = None,
        stop: Callable[[], bool] = never,
    ) -> Iterator[Caption]:
        """Give captions: all tokens name everything, methods one thing and an invented one."""
        names = [group[0] for group in there]

        def caption(spec: str, budget: int, text: str) -> Caption:
            read = Captioned.of(text, names, lexicon(there))
            return Caption(spec, budget, budget, text, read, len(text.split()), 0)

        found = [caption(FULL, self._tokens, " , ".join(f"a {name}" for name in names))]
        found += [
            caption(spec, budget, f"a {names[0]} , {INVENTED}")
            for spec in (method, chance_of(method))
            for budget in self._budgets
        ]
        yield from self._gate.passing(found, stop)

    def stability(
        self,
        request: CaseRequest,
        method: str,
        budget: int,
        *,
        cache: ResultCache | None = None,
        stop: Callable[[], bool] = never,
    ) -> Stability:
        """Give an answer that stands from the third budget on, and contradicts itself once."""
        rungs = [Rung(20 * i, "a duck" if i > 2 else "a goose", 2, 0, i > 2) for i in range(1, 11)]
        found = Stability(
            method=method,
            full="a duck",
            rungs=tuple(rungs),
            k_star=60,
            flips=1,
            budget=budget,
            subsets=("a duck",) * 7 + ("a goose",) * 3,
            subsets_keep=0.7,
            method_keeps=True,
            asked=(
                Asked("paraphrase", 196, "a duck", "what is it ?", "a duck", "a duck", True),
                Asked("converse", 196, "a duck", "where is the duck ?", "top", "left", False),
            ),
        )
        (passed,) = self._gate.passing([found], stop)
        return passed
