"""Use cases: what each word of an answer looked at, and behind which layer the answer stands.

Knows cases, methods and traced runs; not which keys other methods would read, nor pages.
"""

from __future__ import annotations

import numpy as np
import torch

from explorer.analyses.inside.describing import describe, to_numpy
from explorer.analyses.inside.records import Inside
from explorer.analyses.inside.rollout import rollout
from explorer.analyses.inside.tracing import Traced, trace, trace_given
from explorer.cases.answers import check_budget, full_run, full_run_key, store_full_run
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.generation import FULL, Generation, finish_full_run
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.method_maps import plan_of
from explorer.cases.request import CaseRequest
from explorer.errors import BadMessage
from explorer.inference.prefill import KEEP_ALL, PruningPlan
from explorer.inference.sequence import Prompt
from explorer.methods import catalog
from explorer.metrics import fidelity
from explorer.vlm.turns.current_run import clock


def check_method(request: CaseRequest, method: str = FULL, **_: object) -> None:
    """Refuse a method that there isn't, before a model is touched."""
    if method != FULL:
        catalog.resolve(method)


def run_key(kind: str, request: CaseRequest, method: str, budget: int, *rest: object) -> CacheKey:
    """Name what is known of one run; the full one has no budget."""
    return CacheKey(kind, request.id, (method, 0 if method == FULL else budget, *rest))


def cached_run(kind: str) -> CachedAs:
    """Keep what is found in one run under its method, budget, and the arguments behind them."""

    def key(request: CaseRequest, method: str, budget: int, **rest: object) -> CacheKey:
        return run_key(kind, request, method, budget, *rest.values())

    return CachedAs(key, nbytes=lambda found: found.nbytes)


@use_case(cost=GpuCost(answers=2), cached=cached_run("inside"), check=check_method)
def look_inside(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    *,
    cache: ResultCache | None = None,
) -> Inside:
    """Answer from the tokens that a method keeps, or from all, and tell what every layer did.

    Costs hardly more than the answer: only single rows of attention are computed anew.
    """
    case = open_case(request, cache)
    if method == FULL:
        return _full(case, cache)
    check_budget(budget, case.size.tokens)
    full = full_run(case, cache).answer
    inputs = _inputs(case, *prompt_and_plan(case, method, budget, cache))
    *steps, traced = trace(*inputs, case.vlm.max_new_tokens)
    generation = _generation(case, steps)
    text = generation.text.strip()
    agrees = fidelity.agrees(text, full.text)
    return describe(case, traced, (method, budget), text, tuple(generation.pieces), agrees)


def _full(case: Case, cache: ResultCache | None) -> Inside:
    """Trace the full run: with the answer that is known already, or while it is given."""
    known = cache.get(full_run_key(case.id)) if cache else None
    inputs = _inputs(case, case.prompt(), KEEP_ALL)
    if known is not None:
        traced = trace_given(*inputs, known.tokens)
    else:
        began = clock()
        *steps, traced = trace(*inputs, case.vlm.max_new_tokens)
        decoding = clock() - began - traced.run.prefill_seconds
        known = finish_full_run(case, traced.run, _generation(case, steps), decoding)
        store_full_run(case, known, cache)
    name = FULL, case.size.tokens
    return describe(case, traced, name, known.answer.text, known.answer.tokens, True)


def prompt_and_plan(
    case: Case, method: str, budget: int, cache: ResultCache | None
) -> tuple[Prompt, PruningPlan]:
    """Give what a run begins with."""
    if method == FULL:
        return case.prompt(), KEEP_ALL
    plan = plan_of(catalog.resolve(method), case.size, budget)
    return case.prompt(plan.needs, lambda: full_run(case, cache).tokens), plan


def _inputs(case: Case, prompt: Prompt, plan: PruningPlan) -> tuple:
    """Give what a trace takes; see `trace`."""
    chat = case.vlm.family.build_prompt(case.vlm, case.question, case.vision.grid)
    words = torch.ones(chat.input_ids.shape[1], dtype=torch.bool)
    words[chat.visual_positions] = False
    return case.decoder, prompt, plan, chat.is_question[words].to(case.vlm.device)


def _generation(case: Case, steps: list) -> Generation:
    generation = Generation(case)
    for step in steps:
        generation.add(step)
    return generation


def trace_again(
    request: CaseRequest, method: str, budget: int, cache: ResultCache | None
) -> tuple[Case, Traced, Inside]:
    """Let a known answer pass once more, for what was not kept of it."""
    inside = look_inside(request, method, budget, cache=cache)
    case = open_case(request, cache)
    inputs = _inputs(case, *prompt_and_plan(case, method, budget, cache))
    return case, trace_given(*inputs, inside.token_ids), inside


@use_case(cost=GpuCost(answers=2), cached=cached_run("heads"), check=check_method)
def attention_of_heads(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    layer: int = 0,
    *,
    cache: ResultCache | None = None,
) -> np.ndarray:
    """Give what every head of one layer pays to the patches, [H, G, N] float16; see `Inside`."""
    _, traced, _ = trace_again(request, method, budget, cache)
    if not 0 <= layer < traced.n_layers:
        raise BadMessage(f"The model has layers 0 to {traced.n_layers - 1}.")
    return to_numpy(traced.rows(layer).to_patches(), np.float16)


@use_case(cost=GpuCost(answers=3), cached=cached_run("rollout"), check=check_method)
def roll_out(
    request: CaseRequest,
    method: str = FULL,
    budget: int = 1,
    *,
    cache: ResultCache | None = None,
) -> np.ndarray:
    """Give what reaches every token of the answer from the patches through all layers, [G, N]."""
    inside = look_inside(request, method, budget, cache=cache)
    case = open_case(request, cache)
    prompt, plan = prompt_and_plan(case, method, budget, cache)
    found = rollout(case.decoder, prompt, plan, inside.token_ids)
    return to_numpy(found)
