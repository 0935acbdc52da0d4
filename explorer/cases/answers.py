"""Answer a case from all visual tokens or from those that a method keeps, and compare the two.

Knows methods and how an answer is decoded (generation.py); not maps, pages or ground truth.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator

from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import Case, PromptCache, count_tokens, open_case
from explorer.cases.generation import (
    ANSWER_BYTES,
    FULL,
    FullRun,
    compare_to_full,
    finish_full_run,
    generate,
    measured,
)
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.method_maps import plan_of
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget
from explorer.inference.decode import teacher_force
from explorer.inference.prefill import KEEP_ALL, PruningPlan, prefill
from explorer.methods import catalog
from explorer.vlm.turns.current_run import clock


def answer_key(case: str, method: str, budget: int) -> CacheKey:
    """Name an answer in the cache; case: its id. The full answer has no budget."""
    return CacheKey("answer", case, (method,) if method == FULL else (method, budget))


def full_run_key(case: str) -> CacheKey:
    """Name a full run in the cache; case: its id."""
    return CacheKey("full", case)


def _check(request: CaseRequest, method: str, budget: int, **_: object) -> None:
    if method != FULL:
        catalog.resolve(method)
    if not _is_whole(
        budget
    ):  # whose answer could be in the cache: to a dict 1, 1.0 and True are one
        check_budget(budget, count_tokens(request))


@use_case(
    cost=lambda request, method, **_: GpuCost(answers=1 if method == FULL else 2),
    cached=CachedAs(
        lambda request, method, budget, **_: answer_key(request.id, method, budget),
        nbytes=lambda answer: ANSWER_BYTES,
    ),
    check=_check,
)
def stream(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    every: float = 0.0,
    *,
    cache: ResultCache | None = None,
) -> Iterator[Answer]:
    """Answer from the visual tokens that a method keeps at a mean budget, or from all.

    Partial answers come while tokens are decoded; the last answer is complete; see `Answer`.

    method: a spec such as "fastv", or "full", which needs no budget. every: seconds that pass at
    least from one partial answer to the next.
    """
    yield from stream_case(open_case(request, cache), method, budget, every, cache)


def answer(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    *,
    cache: ResultCache | None = None,
) -> Answer:
    """Like `stream`, but gives the complete answer alone."""
    *_, complete = stream(request, method, budget, every=math.inf, cache=cache)
    return complete


def stream_case(
    case: Case, method: str, budget: int, every: float = 0.0, cache: ResultCache | None = None
) -> Iterator[Answer]:
    """Like `stream`, for an open case; only the full run is cached."""
    check_budget(budget, case.size.tokens)
    if method == FULL:
        yield (yield from stream_full(case, every, cache)).answer
        return
    plan = plan_of(catalog.resolve(method), case.size, budget)
    yield from pruned(case, method, budget, plan, full_run(case, cache), every)


def check_budget(budget: int, tokens: int) -> None:
    """Raise `BadBudget` unless the budget is a whole number of tokens that there are."""
    if not _is_whole(budget) or not 1 <= budget <= tokens:
        raise BadBudget.not_within(tokens, budget)


def _is_whole(budget: object) -> bool:
    return isinstance(budget, int) and not isinstance(budget, bool)


def full_run(case: Case, cache: ResultCache | None = None) -> FullRun:
    """Run the case with all visual tokens, unless the cache has that run."""
    partial = stream_full(case, math.inf, cache)
    while True:
        try:
            next(partial)
        except StopIteration as ended:
            return ended.value


def stream_full(
    case: Case, every: float, cache: ResultCache | None, prompts: PromptCache | None = None
) -> Generator[Answer, None, FullRun]:
    """Give partial answers of the full run, and return it whole; nothing where the cache has it.

    prompts: in which whatever looks into the layers next shall find them walked.
    """
    run = cache.get(full_run_key(case.id)) if cache else None
    if run is None:
        passed = prompts.prefill() if prompts else prefill(case.decoder, case.prompt(), KEEP_ALL)
        generation, seconds = yield from generate(case, passed, FULL, case.size.tokens, every)
        run = finish_full_run(case, passed, generation, seconds)
        store_full_run(case, run, cache)
    return run


def store_full_run(case: Case, run: FullRun, cache: ResultCache | None) -> None:
    """Keep a full run, and its answer by itself."""
    if cache is not None:
        cache.put(full_run_key(case.id), run, run.nbytes)
        store_answer(case, run.answer, cache)


def store_answer(case: Case, answer: Answer, cache: ResultCache | None) -> None:
    """Keep a complete answer."""
    if cache is not None:
        cache.put(answer_key(case.id, answer.method, answer.budget), answer, ANSWER_BYTES)


def pruned(
    case: Case,
    method: str,
    budget: int,
    plan: PruningPlan,
    full_run: FullRun,
    every: float = math.inf,
) -> Iterator[Answer]:
    """Answer from the tokens that a plan leaves; the last answer is complete and measured."""
    began = clock()
    prompt = case.prompt(plan.needs, lambda: full_run.tokens)
    prompt_seconds = clock() - began
    run = prefill(case.decoder, prompt, plan)
    generation, seconds = yield from generate(case, run, method, budget, every)
    answer = generation.to_answer(run, method, budget)
    answer = measured(case, run, answer, prompt_seconds, seconds)
    tokens = list(full_run.tokens)
    logits = generation.logits if generation.tokens == tokens else teacher_force(run, tokens)
    yield compare_to_full(full_run, answer, logits)


def by_plan(
    case: Case, name: str, budget: int, plan: PruningPlan, cache: ResultCache | None = None
) -> Answer:
    """Answer from the tokens that a plan leaves; `name` stands in place of the method."""
    *_, complete = pruned(case, name, budget, plan, full_run(case, cache))
    return complete
