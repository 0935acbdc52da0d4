"""An answer while it is decoded, and what is measured once it is complete.

Knows cases, runs of the language model and metrics; not methods, caches or what is asked next.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from explorer.cases.case import Case
from explorer.cases.method_maps import stage_map
from explorer.cases.records import Answer, Token
from explorer.inference.decode import Step, decode
from explorer.inference.prefill import PrefillRun
from explorer.metrics import cost, fidelity, text_dominance
from explorer.vlm.progress import Progress, report
from explorer.vlm.turns.current_run import clock

FULL = "full"  # what an answer from all visual tokens has in place of a method
ANSWER_BYTES = 20_000  # of a cached answer, about
INCOMPLETE = "\ufffd"  # what tokenizers write for the first bytes of a letter


@dataclass(frozen=True)
class FullRun:
    """The full run of a case, with which pruned runs are compared. logits [G, V], on the host."""

    answer: Answer
    tokens: tuple[int, ...]
    logits: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, records rounded up."""
        return self.logits.nbytes + ANSWER_BYTES


@dataclass
class Generation:
    """The answer so far: its steps, its tokens (EOS included) and the text they make."""

    case: Case
    steps: list[Step] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    pieces: list[Token] = field(default_factory=list)
    text: str = ""
    span: tuple[int, int] = (0, 0)  # tokens from the first number on give context for the new ones,
    # which begin at the second: a token by itself would lose the blank before it

    def add(self, step: Step) -> None:
        """Append the next token."""
        self.steps.append(step)
        self.tokens.append(step.token)
        if step.token not in self.case.decoder.eos:
            piece = self._new_text()
            self.pieces.append(Token(piece, step.probability))
            self.text += piece

    def _new_text(self) -> str:
        """Decode the text that the new tokens add; none while a letter is still incomplete."""
        decode_text = self.case.vlm.processor.tokenizer.decode
        context, new = self.span
        before = decode_text(self.tokens[context:new], skip_special_tokens=True)
        now = decode_text(self.tokens[context:], skip_special_tokens=True)
        if now.endswith(INCOMPLETE):
            return ""
        self.span = new, len(self.tokens)
        return now[len(before) :]

    @property
    def logits(self) -> Tensor:
        """Give [G, V], one row before each token."""
        return torch.stack([step.logits for step in self.steps])

    def to_answer(self, run: PrefillRun, method: str, budget: int, partial: bool = False) -> Answer:
        """Give the answer so far as a record."""
        return Answer(
            method=method,
            budget=budget,
            text=self.text.strip(),
            tokens=tuple(self.pieces),
            layers=tuple(run.cached_visual),
            yes_no=None if partial else self._yes_no(),
            partial=partial,
        )

    def _yes_no(self) -> tuple[float, float] | None:
        """Add up the probabilities of "yes" and of "no", in all spellings, at the first token."""
        yes, no = self.case.vlm.yes_no
        if not (yes and no and self.steps):
            return None
        first = self.steps[0].logits.float().softmax(-1)
        return float(first[list(yes)].sum()), float(first[list(no)].sum())


def generate(
    case: Case, run: PrefillRun, method: str, budget: int, every: float
) -> Generator[Answer, None, tuple[Generation, float]]:
    """Decode behind a prefill and give partial answers; returns the generation and its seconds.

    every: seconds that pass at least from one partial answer to the next.
    """
    generation, seconds, last = Generation(case), 0.0, -math.inf
    began = clock()
    for step in decode(run, case.vlm.max_new_tokens):
        report(Progress(len(generation.tokens) + 1, case.vlm.max_new_tokens, "words"))
        now = clock()
        seconds += now - began  # not the caller's time between two tokens
        generation.add(step)
        if now - last >= every:
            last = now
            yield generation.to_answer(run, method, budget, partial=True)
        began = clock()
    return generation, seconds


def finish_full_run(
    case: Case, run: PrefillRun, generation: Generation, decode_seconds: float
) -> FullRun:
    """Make the record of a run with all visual tokens."""
    answer = generation.to_answer(run, FULL, case.size.tokens)
    answer = measured(case, run, answer, 0.0, decode_seconds)
    probability = fidelity.probability(generation.logits, generation.tokens)
    answer = replace(answer, agrees=True, p_full=probability, kl=0.0, log_prob_loss=0.0)
    return FullRun(answer, tuple(generation.tokens), generation.logits.cpu().numpy())


def compare_to_full(full_run: FullRun, answer: Answer, logits: Tensor) -> Answer:
    """Add how far a pruned run is from the full one.

    logits [G, V]: of the pruned run, teacher-forced with the tokens of the full answer.
    """
    tokens = list(full_run.tokens)
    full_logits = torch.from_numpy(full_run.logits).to(logits.device)
    full_seconds = full_run.answer.seconds
    return replace(
        answer,
        # both runs take what one look at the picture gave
        seconds=answer.seconds | {"vision": full_seconds["vision"]},
        full_seconds=full_seconds,
        agrees=fidelity.agrees(answer.text, full_run.answer.text),
        p_full=fidelity.probability(logits, tokens),
        kl=float(fidelity.kl(full_logits[:1], logits[:1])[0]),
        log_prob_loss=fidelity.log_probability_loss(full_logits, logits, tokens),
        token_losses=tuple(fidelity.token_losses(full_logits, logits, tokens).tolist()),
    )


def tower_flops(case: Case, run: PrefillRun) -> int:
    """Count what the vision tower took, with the patches that a method left in it; 0 if unknown."""
    shape = cost.tower_shape_of(case.vlm.model.config.vision_config)
    if shape is None:
        return 0
    vision = case.vision.output
    views, n = vision.hidden.shape[:2]
    whole = [views * (n + (vision.cls_hidden is not None))] * shape.layers
    fewer = (outcome.tower for outcome in run.outcomes if outcome.tower)
    return cost.tower_flops(shape, views, next(fewer, whole))


def measured(
    case: Case, run: PrefillRun, answer: Answer, prompt_seconds: float, decode_seconds: float
) -> Answer:
    """Add what every stage kept, what the run cost, and how much attention went to text.

    prompt_seconds: what the signals took that the method chose by.
    """
    shape = cost.shape_of(case.decoder.body.config)
    text_mass, image_mass, first_mass = run.attention_mass.cpu().numpy().T
    text, _, first = run.text_visual_mask[0].sum(1).int().tolist()
    attended = text_mass, image_mass, text, run.n_visual, run.n_answer_tokens
    return replace(
        answer,
        flops=cost.prefill_flops(shape, run.length),
        tower_flops=tower_flops(case, run),
        kv_bytes=cost.kv_bytes(shape, run.cached_length, case.vlm.model.dtype.itemsize),
        stages=tuple(stage_map(outcome) for outcome in run.outcomes),
        seconds={
            "vision": case.vision.seconds,
            "select": run.select_seconds + prompt_seconds,
            "prefill": run.prefill_seconds,
            "decode": decode_seconds,
        },
        dominance=text_dominance.measure(*attended),
        dominance_with_first=text_dominance.measure(*attended, first_mass if first else None),
    )
