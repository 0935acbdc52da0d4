"""The use cases: analyse a picture and a question, answer from fewer visual tokens.

Pure functions, used alike by the page, the API, the command line and the tests. What they remember
goes into a `Memory` that the caller owns and may leave out. They know models, methods and metrics;
they do not know pages, sessions or ground truth.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from explorer import cost, dominance, fidelity, methods
from explorer.cases import Case, Source, open_case
from explorer.engine import EVERYTHING, Plan, Prompt, Run, Step, decode, forced, prefill
from explorer.errors import BadBudget, MethodUnavailable
from explorer.families import Vlm
from explorer.maps import map_of, plan_of, stage_map
from explorer.memory import Memory, recall
from explorer.results import Analysis, Answer, MethodMap, Token
from explorer.words import unknown_words

FULL = "full"


@dataclass(frozen=True)
class Reference:
    """The full run of a case, to which pruned runs are compared. logits [G, V]."""

    answer: Answer
    tokens: tuple[int, ...]
    logits: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, records rounded up."""
        return self.logits.numel() * self.logits.element_size() + 20_000


def analyse(
    model: str | Vlm, image: Source, question: str, memory: Memory | None = None
) -> Analysis:
    """Score a picture by every method and answer the question from all visual tokens.

    image: a file, its bytes, or a PIL image. Raises `VisitorError` with one clear sentence.
    """
    case = open_case(model, image, question, memory)
    return recall(memory, ("analysis", case.id), lambda: _analyse(case, memory), _weigh)


def _weigh(analysis: Analysis) -> int:
    width, height = analysis.picture.image.size
    return sum(map(weigh, analysis.methods)) + 3 * width * height + 20_000


def weigh(found: MethodMap) -> int:
    """Count the bytes of a map, records rounded up."""
    stages = [stage for knot in found.knots or () for stage in knot.stages]
    return 4 * found.score.nbytes + sum(s.fate.nbytes + s.score.nbytes for s in stages) + 500


def _analyse(case: Case, memory: Memory | None) -> Analysis:
    began = time.perf_counter()
    compared = reference(case, memory)
    answered = time.perf_counter()
    prompts: dict[frozenset[str], Prompt] = {}

    def prompt(needs: frozenset[str]) -> Prompt:
        if needs not in prompts:
            prompts[needs] = case.prompt(needs, lambda: compared.tokens)
        return prompts[needs]

    maps, notes = [], list(case.picture.notes) + _word_notes(case)
    for spec, method, options in methods.choices():
        try:
            maps.append(map_of(spec, method, options, case.size, case.decoder, prompt))
        except MethodUnavailable as error:
            notes.append(str(error))
    return Analysis(
        id=case.id,
        model=case.vlm.key,
        question=case.question,
        picture=case.picture,
        grid=case.look.grid,
        layers=case.size.layers,
        methods=tuple(maps),
        full=compared.answer,
        notes=tuple(notes),
        seconds={
            "vision": case.look.seconds,
            "full": answered - began,
            "maps": time.perf_counter() - answered,
        },
    )


def draw(
    model: str | Vlm, image: Source, question: str, method: str, memory: Memory | None = None
) -> MethodMap:
    """Draw up the map of one method, which may be a spec with options: "random?seed=3"."""
    case = open_case(model, image, question, memory)
    module, options = methods.resolve(method)

    def make() -> MethodMap:
        def prompt(needs: frozenset[str]) -> Prompt:
            return case.prompt(needs, lambda: reference(case, memory).tokens)

        return map_of(method, module, options, case.size, case.decoder, prompt)

    return recall(memory, ("map", case.id, method), make, weigh)


def _word_notes(case: Case) -> list[str]:
    unknown = unknown_words(case.question, case.vlm.processor.tokenizer)
    if not unknown:
        return []
    listed = ", ".join(f"“{word}”" for word in unknown)
    return [f"{case.vlm.title} does not know {listed}: it read a blank there."]


def answer(
    model: str | Vlm,
    image: Source,
    question: str,
    method: str,
    budget: int,
    memory: Memory | None = None,
) -> Answer:
    """Answer from the visual tokens that a method keeps at a mean budget; see `Answer`."""
    *_, last = stream(model, image, question, method, budget, memory)
    return last


def stream(
    model: str | Vlm,
    image: Source,
    question: str,
    method: str,
    budget: int,
    memory: Memory | None = None,
) -> Iterator[Answer]:
    """Like `answer`, but gives partial answers while the tokens come; the last one is complete."""
    module, options = (None, {}) if method == FULL else methods.resolve(method)
    case = open_case(model, image, question, memory)
    check_budget(budget, case.size.tokens)
    if module is None:
        yield reference(case, memory).answer
        return
    key = ("answer", case.id, method, budget)
    known = memory.get(key) if memory else None
    if known is None:
        plan = plan_of(module, options, case.size, budget)
        compared = reference(case, memory)
        for known in _pruned(case, method, budget, plan, compared):
            yield known
        if memory:
            memory.put(key, known, 20_000)
    else:
        yield known


def check_budget(budget: int, tokens: int) -> None:
    """Raise `BadBudget` unless the budget is a whole number of tokens that there are."""
    if isinstance(budget, bool) or not isinstance(budget, int) or not 1 <= budget <= tokens:
        raise BadBudget(f"The budget must be a whole number from 1 to {tokens}, not {budget}.")


def reference(case: Case, memory: Memory | None = None) -> Reference:
    """Run the case with all visual tokens."""
    return recall(
        memory, ("full", case.id), lambda: _reference(case), lambda reference: reference.nbytes
    )


@dataclass
class Speech:
    """The answer so far: its steps, and the words they make (EOS is not shown)."""

    case: Case
    steps: list[Step] = field(default_factory=list)
    text: str = ""
    pieces: list[Token] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Take in the next token."""
        self.steps.append(step)
        if step.token in self.case.decoder.eos:
            return
        tokenizer = self.case.vlm.processor.tokenizer
        text = tokenizer.decode(self.tokens, skip_special_tokens=True)
        self.pieces.append(Token(text[len(self.text) :], step.probability))
        self.text = text

    @property
    def tokens(self) -> list[int]:
        """What was said, as token ids, EOS included."""
        return [step.token for step in self.steps]

    @property
    def logits(self) -> Tensor:
        """Give [G, V], one row before each token."""
        return torch.stack([step.logits for step in self.steps])

    def told(self, run: Run, method: str, budget: int, partial: bool = False) -> Answer:
        """Write down what was said so far."""
        return Answer(
            method=method,
            budget=budget,
            text=self.text.strip(),
            tokens=tuple(self.pieces),
            layers=tuple(run.readable),
            partial=partial,
        )


def _reference(case: Case) -> Reference:
    run = prefill(case.decoder, case.prompt(), EVERYTHING)
    speech = Speech(case)
    began = time.perf_counter()
    for step in decode(run, case.vlm.max_new_tokens):
        speech.add(step)
    decoded = time.perf_counter() - began
    answer = measured(case, run, speech.told(run, FULL, case.size.tokens), 0.0, decoded)
    probability = fidelity.probability(speech.logits, speech.tokens)
    answer = replace(answer, same=True, p_full=probability, kl=0.0, drop=0.0)
    return Reference(answer, tuple(speech.tokens), speech.logits)


def _pruned(
    case: Case, method: str, budget: int, plan: Plan, compared: Reference
) -> Iterator[Answer]:
    began = time.perf_counter()
    prompt = case.prompt(plan.needs, lambda: compared.tokens)
    prepared = time.perf_counter() - began
    run = prefill(case.decoder, prompt, plan)
    speech, spent = Speech(case), 0.0
    began = time.perf_counter()
    for step in decode(run, case.vlm.max_new_tokens):
        spent += time.perf_counter() - began  # not the reader's time between two tokens
        speech.add(step)
        yield speech.told(run, method, budget, partial=True)
        began = time.perf_counter()
    answer = measured(case, run, speech.told(run, method, budget), prepared, spent)
    tokens = list(compared.tokens)
    logits = speech.logits if speech.tokens == tokens else forced(run, tokens)
    yield against(compared, answer, logits)


def against(compared: Reference, answer: Answer, logits: Tensor) -> Answer:
    """Add how far a pruned run is from the full one; logits [G, V]: how it met the full answer."""
    tokens = list(compared.tokens)
    return replace(
        answer,
        same=fidelity.agrees(answer.text, compared.answer.text),
        p_full=fidelity.probability(logits, tokens),
        kl=float(fidelity.kl(compared.logits[:1], logits[:1])[0]),
        drop=fidelity.log_probability_loss(compared.logits, logits, tokens),
    )


def measured(case: Case, run: Run, answer: Answer, prepared: float, decoded: float) -> Answer:
    """Add who stayed, what the run cost, and how much it listened to text."""
    shape = cost.shape_of(case.decoder.body.config)
    mass = run.mass.cpu().numpy()
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
        dominance=dominance.measure(
            mass[:, 0], mass[:, 1], int(run.counted[0][0].sum()), run.visual, run.answered
        ),
    )
