"""Answer a case from all visual tokens or from those that a method keeps, and compare the two.

What is remembered goes into a `Memory` that the caller owns and may leave out. Knows models,
methods and metrics; not maps, pages or ground truth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from explorer.cases.cache import ResultCache, get_or_compute
from explorer.cases.case import Case, open_case
from explorer.cases.method_maps import plan_of, stage_map
from explorer.cases.records import Answer, Token
from explorer.cases.request import Source
from explorer.errors import BadBudget
from explorer.inference import decode as inference_decode
from explorer.inference.decode import Step, teacher_force
from explorer.inference.prefill import KEEP_ALL, PrefillRun, PruningPlan, prefill
from explorer.methods import catalog
from explorer.metrics import cost, fidelity, text_dominance
from explorer.vlm.components import Vlm

FULL = "full"
ANSWER_BYTES = 20_000  # what a remembered answer weighs
INCOMPLETE = "\ufffd"  # what tokenizers write for the first bytes of a letter


@dataclass(frozen=True)
class FullRun:
    """The full run of a case, to which pruned runs are compared. logits [G, V], on no device."""

    answer: Answer
    tokens: tuple[int, ...]
    logits: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, records rounded up."""
        return self.logits.nbytes + ANSWER_BYTES


def stream(
    model: str | Vlm,
    image: Source,
    question: str,
    method: str,
    budget: int,
    memory: ResultCache | None = None,
    every: float = 0.0,
) -> Iterator[Answer]:
    """Answer from the tokens that a method keeps at a mean budget; the last answer is complete.

    The ones before are partial, given while the tokens come; see `Answer`.

    every: seconds that pass at least from one partial answer to the next.
    """
    if method != FULL:
        catalog.resolve(method)  # before the tower looks
    yield from stream_case(open_case(model, image, question, memory), method, budget, memory, every)


def stream_case(
    case: Case, method: str, budget: int, memory: ResultCache | None = None, every: float = 0.0
) -> Iterator[Answer]:
    """Like `stream`, for a case that is open."""
    check_budget(budget, case.size.tokens)
    if method == FULL:
        yield from _full(case, memory, every)
        return
    known = cached_answer(case.id, method, budget, memory)
    if known is None:
        plan = plan_of(catalog.resolve(method), case.size, budget)
        compared = full_run(case, memory)
        for known in pruned(case, method, budget, plan, compared, every):
            yield known
        store_answer(case, known, memory)
    else:
        yield known


def by_plan(
    case: Case, name: str, budget: int, plan: PruningPlan, memory: ResultCache | None = None
) -> Answer:
    """Answer from the tokens that a plan leaves; it is called `name`, and not remembered."""
    *_, last = pruned(case, name, budget, plan, full_run(case, memory), math.inf)
    return last


def cached_answer(case: str, method: str, budget: int, memory: ResultCache | None) -> Answer | None:
    """Give the complete answer that was worked out before, if it is still in memory.

    case: its id, which needs no model.
    """
    return None if memory is None else memory.get(("answer", case, method, budget))


def store_answer(case: Case, answer: Answer, memory: ResultCache | None) -> None:
    """Keep a complete answer for the next who asks for it."""
    if memory is not None:
        memory.put(("answer", case.id, answer.method, answer.budget), answer, ANSWER_BYTES)


def stream_full(
    model: str | Vlm,
    image: Source,
    question: str,
    memory: ResultCache | None = None,
    every: float = 0.0,
) -> Iterator[Answer]:
    """Give the answer from all visual tokens while it comes; the last one is complete."""
    yield from _full(open_case(model, image, question, memory), memory, every)


def check_budget(budget: int, tokens: int) -> None:
    """Raise `BadBudget` unless the budget is a whole number of tokens that there are."""
    if isinstance(budget, bool) or not isinstance(budget, int) or not 1 <= budget <= tokens:
        raise BadBudget(f"The budget must be a whole number from 1 to {tokens}, not {budget}.")


def full_run(case: Case, memory: ResultCache | None = None) -> FullRun:
    """Run the case with all visual tokens."""

    def make() -> FullRun:
        *_, last = _run_full(case)
        return last

    return get_or_compute(memory, ("full", case.id), make, lambda reference: reference.nbytes)


def _full(case: Case, memory: ResultCache | None, every: float) -> Iterator[Answer]:
    key = ("full", case.id)
    found = memory.get(key) if memory else None
    if found is None:
        for found in _run_full(case, every):
            if isinstance(found, Answer):
                yield found
        store_full_run(case, found, memory)
    yield found.answer


def store_full_run(case: Case, found: FullRun, memory: ResultCache | None) -> None:
    """Keep the full run for the next who asks for it."""
    if memory is not None:
        memory.put(("full", case.id), found, found.nbytes)


@dataclass
class Generation:
    """The answer so far: its steps, its tokens (EOS included) and the words they make."""

    case: Case
    steps: list[Step] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    pieces: list[Token] = field(default_factory=list)
    text: str = ""
    read: tuple[int, int] = (0, 0)  # tokens from the first number on give context for the new ones,
    # which begin at the second: a token by itself would lose the blank before it

    def add(self, step: Step) -> None:
        """Take in the next token."""
        self.steps.append(step)
        self.tokens.append(step.token)
        if step.token not in self.case.decoder.eos:
            piece = self._words()
            self.pieces.append(Token(piece, step.probability))
            self.text += piece

    def _words(self) -> str:
        """Read the words that the new tokens add; none while a letter is still incomplete."""
        decode = self.case.vlm.processor.tokenizer.decode
        before, new = self.read
        known = decode(self.tokens[before:new], skip_special_tokens=True)
        now = decode(self.tokens[before:], skip_special_tokens=True)
        if now.endswith(INCOMPLETE):
            return ""
        self.read = new, len(self.tokens)
        return now[len(known) :]

    @property
    def logits(self) -> Tensor:
        """Give [G, V], one row before each token."""
        return torch.stack([step.logits for step in self.steps])

    def told(self, run: PrefillRun, method: str, budget: int, partial: bool = False) -> Answer:
        """Write down what was said so far."""
        return Answer(
            method=method,
            budget=budget,
            text=self.text.strip(),
            tokens=tuple(self.pieces),
            layers=tuple(run.cached_visual),
            partial=partial,
        )


def _generate(
    case: Case, run: PrefillRun, method: str, budget: int, every: float
) -> Generator[Answer, None, tuple[Generation, float]]:
    """Decode a prefilled run and tell of it now and then; gives back all, and its seconds."""
    speech, spent, told = Generation(case), 0.0, -math.inf
    began = time.perf_counter()
    for step in inference_decode.decode(run, case.vlm.max_new_tokens):
        now = time.perf_counter()
        spent += now - began  # not the reader's time between two tokens
        speech.add(step)
        if now - told >= every:
            told = now
            yield speech.told(run, method, budget, partial=True)
        began = time.perf_counter()
    return speech, spent


def _run_full(case: Case, every: float = math.inf) -> Iterator[Answer | FullRun]:
    """Give partial answers, and at last the whole run."""
    tokens = case.size.tokens
    run = prefill(case.decoder, case.prompt(), KEEP_ALL)
    speech, spent = yield from _generate(case, run, FULL, tokens, every)
    yield finish_full_run(case, run, speech, spent)


def finish_full_run(case: Case, run: PrefillRun, speech: Generation, spent: float) -> FullRun:
    """Write down a run with all visual tokens; spent: the seconds of decoding."""
    answer = measured(case, run, speech.told(run, FULL, case.size.tokens), 0.0, spent)
    probability = fidelity.probability(speech.logits, speech.tokens)
    answer = replace(answer, same=True, p_full=probability, kl=0.0, drop=0.0)
    return FullRun(answer, tuple(speech.tokens), speech.logits.cpu().numpy())


def pruned(
    case: Case,
    method: str,
    budget: int,
    plan: PruningPlan,
    compared: FullRun,
    every: float = math.inf,
) -> Iterator[Answer]:
    """Answer from the tokens that a plan leaves; the last answer is complete and measured."""
    began = time.perf_counter()
    prompt = case.prompt(plan.needs, lambda: compared.tokens)
    prepared = time.perf_counter() - began
    run = prefill(case.decoder, prompt, plan)
    speech, spent = yield from _generate(case, run, method, budget, every)
    answer = measured(case, run, speech.told(run, method, budget), prepared, spent)
    tokens = list(compared.tokens)
    logits = speech.logits if speech.tokens == tokens else teacher_force(run, tokens)
    yield compare_to_full(compared, answer, logits)


def compare_to_full(compared: FullRun, answer: Answer, logits: Tensor) -> Answer:
    """Add how far a pruned run is from the full one; logits [G, V]: how it met the full answer."""
    tokens, met = list(compared.tokens), torch.from_numpy(compared.logits).to(logits.device)
    return replace(
        answer,
        same=fidelity.agrees(answer.text, compared.answer.text),
        p_full=fidelity.probability(logits, tokens),
        kl=float(fidelity.kl(met[:1], logits[:1])[0]),
        drop=fidelity.log_probability_loss(met, logits, tokens),
    )


def measured(
    case: Case, run: PrefillRun, answer: Answer, prepared: float, decoded: float
) -> Answer:
    """Add who stayed, what the run cost, and how much it listened to text."""
    shape = cost.shape_of(case.decoder.body.config)
    mass = run.attention_mass.cpu().numpy()
    return replace(
        answer,
        flops=cost.prefill_flops(shape, run.length),
        kv_bytes=cost.kv_bytes(shape, run.length, case.vlm.model.dtype.itemsize),
        stages=tuple(stage_map(outcome) for outcome in run.outcomes),
        seconds={
            "vision": case.look.seconds,
            "select": run.select_seconds + prepared,
            "prefill": run.prefill_seconds,
            "decode": decoded,
        },
        dominance=text_dominance.measure(
            mass[:, 0],
            mass[:, 1],
            int(run.text_visual_mask[0][0].sum()),
            run.n_visual,
            run.n_answer_tokens,
        ),
    )
