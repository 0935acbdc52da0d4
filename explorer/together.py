"""Several answers about one case, decoded side by side.

Every method prunes its own prompt, timed by itself; the words are then decoded for a group at once,
since a step of the model costs little more for ten rows than for one. Knows cases and methods; not
what the answers are compared for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from explorer import answers as single
from explorer import cost, methods
from explorer.cases import Case, Source, ask, open_case
from explorer.decoding import Batch, decode_together, forced_together
from explorer.engine import Prompt, prefill
from explorer.errors import VisitorError
from explorer.families import Vlm
from explorer.maps import plan_of
from explorer.memory import Memory
from explorer.results import Answer
from explorer.runs import Run

FIRST_GROUP = 6  # answers that are decoded at once: a few, so that something is told soon,
GROUP = 32  # then many
PHRASE = 10  # tokens; where the full answer is short, who says more is heard out later, together
GROUP_BYTES = 1_000_000_000  # of the caches of a group

Wanted = tuple[str, int]
"""A method's spec and a mean budget."""


@dataclass(frozen=True)
class Told:
    """What became of one wish: an answer, or the sentence that says why there is none.

    known: it was remembered and not computed anew.
    """

    method: str
    budget: int
    answer: Answer | None
    error: str | None = None
    known: bool = False


@dataclass
class _Row:
    """One prefilled run of a group. prepared: seconds that its signals took."""

    method: str
    budget: int
    run: Run
    prepared: float
    speech: single.Speech


def never() -> bool:
    """Don't stop."""
    return False


def answers(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[Wanted],
    memory: Memory | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Told]:
    """Answer by several methods, each at its own mean budget; what is remembered comes first.

    A method that can't do it gets a sentence in place of an answer. The seconds of decoding are not
    a number (a step is shared by many rows), selection and prefill are each method's own.
    stop: asked between two steps; once true, nothing more is told. Raises `VisitorError` for a
    picture, question or model that is no good.
    """
    case = open_case(model, image, question, memory)
    remembered = {wish: single.remembered(case.id, *wish, memory) for wish in dict.fromkeys(wanted)}
    for wish, answer in remembered.items():
        if answer is not None:
            yield Told(*wish, answer, known=True)
    pending = sorted((wish for wish, answer in remembered.items() if answer is None), key=_slow)
    if not pending or stop():
        return
    compared = single.reference(case, memory)
    for told in _computed(case, pending, compared, stop):
        if told.answer is not None:
            single.remember(case, told.answer, memory)
        yield told


def remembered(
    model: str | Vlm,
    image: Source,
    question: str,
    wanted: Sequence[Wanted],
    memory: Memory,
) -> list[Told]:
    """Give those of the wanted answers that nothing has to be computed for, without a model."""
    id_ = ask(model, image, question).id
    found = [(wish, single.remembered(id_, *wish, memory)) for wish in dict.fromkeys(wanted)]
    return [Told(*wish, answer, known=True) for wish, answer in found if answer is not None]


def _slow(wish: Wanted) -> bool:
    """Tell whether a method takes as long as many others together: it comes last."""
    try:
        return methods.slow(methods.resolve(wish[0])[0])
    except VisitorError:
        return False


def _computed(
    case: Case, pending: list[Wanted], compared: single.Reference, stop: Callable[[], bool]
) -> Iterator[Told]:
    prompts: dict[frozenset[str], tuple[Prompt, float]] = {}
    group: list[_Row] = []
    lengthy: list[_Row] = []
    limit = case.vlm.max_new_tokens
    most, steps = FIRST_GROUP, PHRASE if len(compared.tokens) <= PHRASE else limit
    for number, wish in enumerate(pending, 1):
        if stop():
            return
        try:
            group.append(_prefilled(case, wish, compared, prompts))
        except VisitorError as error:
            yield Told(*wish, None, str(error))
        last = number == len(pending)
        if group and (last or _full(case, group, most)):
            lengthy += yield from _spoken(case, group, compared, stop, steps)
            group, most = [], GROUP
        if lengthy and (last or _full(case, lengthy, GROUP)):
            yield from _spoken(case, lengthy, compared, stop, limit)
            lengthy = []


def _full(case: Case, group: list[_Row], most: int) -> bool:
    shape, size = cost.shape_of(case.decoder.body.config), case.vlm.model.dtype.itemsize
    held = sum(cost.kv_bytes(shape, row.run.length, size) for row in group)
    return len(group) >= most or held > GROUP_BYTES


def _prefilled(case: Case, wish: Wanted, compared: single.Reference, prompts: dict) -> _Row:
    """Let one method prune; its signals are shared with those that look at the same."""
    method, budget = wish
    module, options = methods.resolve(method)
    single.check_budget(budget, case.size.tokens)
    plan = plan_of(module, options, case.size, budget)
    if plan.needs not in prompts:
        began = time.perf_counter()
        prompt = case.prompt(plan.needs, lambda: compared.tokens)
        prompts[plan.needs] = prompt, time.perf_counter() - began
    prompt, prepared = prompts[plan.needs]
    run = prefill(case.decoder, prompt, plan)
    return _Row(method, budget, run, prepared, single.Speech(case))


def _spoken(
    case: Case,
    group: list[_Row],
    compared: single.Reference,
    stop: Callable[[], bool],
    limit: int,
) -> Generator[Told, None, list[_Row]]:
    """Decode a group; every answer is told as soon as it has ended.

    Gives back the rows that have more to say than `limit` tokens, to start anew.
    """
    runs = [row.run for row in group]
    batch = Batch(runs)
    met = forced_together(batch, compared.tokens)

    def ended(number: int) -> Told:
        row = group[number]
        said = row.speech.told(row.run, row.method, row.budget)
        answer = single.measured(case, row.run, said, row.prepared, math.nan)
        return Told(row.method, row.budget, single.against(compared, answer, met[number]))

    going = set(range(len(group)))
    for steps in decode_together(runs, min(limit, case.vlm.max_new_tokens), batch):
        if stop():
            return []
        now = {number for number, _ in steps}
        for number in sorted(going - now):
            yield ended(number)
        going = now
        for number, step in steps:
            group[number].speech.add(step)
    left = []
    for number in sorted(going):
        row = group[number]
        if limit < case.vlm.max_new_tokens and row.speech.tokens[-1] not in case.decoder.eos:
            left.append(replace(row, speech=single.Speech(case)))
        else:
            yield ended(number)
    return left
