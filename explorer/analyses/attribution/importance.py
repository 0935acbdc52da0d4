"""How much an answer rests on each visual token, by the ways of the oracle, with progress.

For the whole full answer, one word of it, or an answer that somebody types. Knows cases and
captum's ways (captum_methods.py); not methods and pages. Letters: N visual tokens, G tokens of the
answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.attribution import captum_methods
from explorer.cases import answers
from explorer.cases.cache import ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.progress import ProgressCallback, with_progress
from explorer.cases.records import words_of
from explorer.cases.request import Source
from explorer.errors import BadAnswer, MethodUnavailable
from explorer.inference.ablation import AblationScorer
from explorer.inference.vision import encode_image
from explorer.media.grid import Grid
from explorer.vlm.components import Vlm
from explorer.vlm.progress import Progress
from explorer.vlm.prompt import as_read, unknown_words
from explorer.vlm.threads import cpu_threads, parallel_runs

WAYS = {
    "removed": "leave one out: the patch is dropped",
    "mean": "leave one out: the mean of all patches stands in for it",
    "zero": "leave one out: zeros stand in for it",
    "gradients": "integrated gradients, from the mean of all patches",
    "shapley": "Shapley values of 2 x 2 patches, sampled",
    "occlusion": "squares of the picture painted over",
}
WEAK = 0.1  # nats per token; an answer that loses less has hardly needed the picture. Ours
CONVERGED = 0.01  # share of f(full) - f(none) by which integrated gradients may miss it
STEPS = (50, 200)  # of integrated gradients; more if the first don't converge
SAMPLES = 5  # permutations of Shapley's
CELLS = 7  # squares along a side of the picture
ROWS = 8  # evaluated at once: few enough that progress is seen soon
MANY = 32  # where progress is told in between
CHARACTERS = 200  # of a typed answer


@dataclass(frozen=True)
class Target:
    """What is to be explained: the full answer, its word number `word`, or a typed `text`."""

    word: int | None = None
    text: str | None = None


@dataclass(frozen=True)
class Importance:
    """What an answer owes to every visual token.

    values [N] float32: positive for a token that speaks for the answer. answer: what is explained;
    words: those of the full answer, `word` one of them. full, none: log-probability of what is
    explained from all visual tokens and from none (what "none" is depends on the way); tokens G of
    it. delta: what integrated gradients miss.
    """

    case: str
    way: str
    answer: str
    words: tuple[str, ...]
    word: int | None
    values: np.ndarray
    full: float
    none: float
    tokens: int
    delta: float | None
    seconds: float

    @property
    def worth(self) -> float:
        """What the whole picture is worth to the answer, in nats."""
        return self.full - self.none

    @property
    def weak(self) -> bool:
        """Whether the answer hardly depends on the picture, so that the map is mostly noise."""
        return abs(self.worth) < WEAK * self.tokens

    @property
    def converged(self) -> bool:
        """Whether integrated gradients add up to what the picture is worth."""
        return self.delta is None or abs(self.delta) <= CONVERGED * abs(self.worth)


@dataclass(frozen=True)
class TargetTokens:
    """A target as tokens: of the whole answer those in the span count."""

    tokens: tuple[int, ...]
    span: tuple[int, int]
    text: str
    words: tuple[str, ...]


def explain(
    model: str | Vlm,
    image: Source,
    question: str,
    target: Target = Target(),
    way: str = "removed",
    memory: ResultCache | None = None,
) -> Iterator[Progress | Importance]:
    """Tell how far the work is, and at last what the answer owes to every visual token.

    Raises `BadAnswer` for a target or a way that there is not, `MethodUnavailable` for a way that
    this model can't go.
    """
    if way not in WAYS:
        raise BadAnswer(f"There is no such way to explain; choose one of {', '.join(WAYS)}.")
    case = open_case(model, image, question, memory)
    wanted = target_tokens(case, target, memory)
    key = ("importance", case.id, target, way)
    found = memory.get(key) if memory else None
    if found is None:
        for found in with_progress(lambda tell: _explained(case, wanted, target, way, tell)):
            if isinstance(found, Progress):
                yield found
        if memory:
            memory.put(key, found, found.values.nbytes + 2_000)
    yield found


def importance(
    model: str | Vlm,
    image: Source,
    question: str,
    target: Target = Target(),
    way: str = "removed",
    memory: ResultCache | None = None,
) -> Importance:
    """Like `explain`, without the progress."""
    *_, last = explain(model, image, question, target, way, memory)
    return last


def target_tokens(case: Case, target: Target, memory: ResultCache | None = None) -> TargetTokens:
    """Find the tokens of a target, or raise `BadAnswer` with a sentence."""
    full = answers.full_run(case, memory)
    said = tuple(token for token in full.tokens if token not in case.decoder.eos)
    words = words_of(full.answer.tokens)
    names = tuple(text for text, *_ in words)
    if target.text is not None:
        typed, text = _typed(case, target.text)
        return TargetTokens(typed, (0, len(typed)), text, names)
    if not said:
        raise BadAnswer("The model says nothing here, so there is no answer to explain.")
    if target.word is None:
        return TargetTokens(said, (0, len(said)), full.answer.text, names)
    if not isinstance(target.word, int) or not 0 <= target.word < len(words):
        raise BadAnswer(f"The answer has {len(words)} words; there is no such word in it.")
    text, first, last = words[target.word]
    return TargetTokens(said, (first, last), text, names)


def _typed(case: Case, text: str) -> tuple[tuple[int, ...], str]:
    tokenizer = case.vlm.processor.tokenizer
    if not isinstance(text, str) or len(text) > CHARACTERS:
        raise BadAnswer(f"Please keep the answer under {CHARACTERS + 1} characters.")
    text = " ".join(as_read(text, tokenizer).split())
    if not text:
        raise BadAnswer("Please type the answer that you want explained.")
    unknown = unknown_words(text, tokenizer)
    if unknown:
        raise BadAnswer(f"{case.vlm.title} can't say “{unknown[0]}”: it does not know the word.")
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"]), text


def _explained(
    case: Case, wanted: TargetTokens, target: Target, way: str, tell: ProgressCallback
) -> Importance:
    began = time.perf_counter()
    prompt = case.prompt()
    if prompt.deepstack and way not in ("removed", "shapley"):
        raise MethodUnavailable(
            f"{case.vlm.title} adds the picture in several layers: its tokens can be dropped, but "
            "nothing else can stand in for them."
        )
    lanes = parallel_runs(case.vlm)
    probe = AblationScorer(case.decoder, prompt, wanted.tokens, wanted.span, lanes=lanes)
    with cpu_threads(case.vlm.cores):  # many rows side by side keep all of them busy
        values, full, none, delta = _by(way, case, probe, tell)
    return Importance(
        case=case.id,
        way=way,
        answer=wanted.text,
        words=wanted.words,
        word=target.word if target.text is None else None,
        values=values.detach().float().cpu().numpy(),
        full=full,
        none=none,
        tokens=len(probe.answer),
        delta=delta,
        seconds=time.perf_counter() - began,
    )


Found = tuple[Tensor, float, float, float | None]
"""Values [N], f from everything, f from nothing, convergence delta."""


def _by(way: str, case: Case, probe: AblationScorer, tell: ProgressCallback) -> Found:
    n = case.size.tokens
    tell(0, 1)
    if way == "occlusion":
        return _occluded(case, probe, tell)
    if way in ("removed", "shapley"):
        full, none = probe.without(torch.stack([torch.ones(n), torch.zeros(n)]).float()).tolist()
        if way == "removed":
            without = partial(probe.without, done=captum_methods.counter(n + 1, tell))
            return captum_methods.leave_one_out(without, n, MANY), full, none, None
        groups = squares(case.look.grid)
        shared = captum_methods.shapley(
            probe.without,
            torch.ones(1, n, dtype=torch.float32),
            0,
            groups,
            SAMPLES,
            per_call=ROWS,
            progress=tell,
        )
        return (shared / groups.bincount())[groups], full, none, None
    baseline = "mean" if way == "gradients" else way
    with torch.no_grad():
        absent = torch.zeros_like(probe.tokens) + captum_methods.baseline_tokens(
            probe.tokens, baseline
        )
        full, none = (float(probe.replaced(tokens)) for tokens in (probe.tokens, absent))
    if way == "gradients":
        return _integrated(probe, full, none, tell)
    counted = captum_methods.counted(_without_gradient(probe.replaced), n + 1, tell)
    return captum_methods.ablation(counted, probe.tokens, baseline, ROWS), full, none, None


def _without_gradient(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return f(rows)

    return call


def _integrated(probe: AblationScorer, full: float, none: float, tell: ProgressCallback) -> Found:
    for steps in STEPS:
        f = captum_methods.counted(probe.replaced, steps + 2, tell)
        values, delta = captum_methods.integrated(f, probe.tokens, "mean", steps)
        if abs(delta) <= CONVERGED * abs(full - none):
            break
    return values, full, none, delta


def squares(grid: Grid) -> Tensor:
    """Number the squares of 2 x 2 patches, [N]; tokens without a patch are one group."""
    place = torch.from_numpy(grid.place.astype("int64"))
    corner = torch.where(place[:, :1] < 0, -1, place)
    corner[:, 1:] = corner[:, 1:].div(2, rounding_mode="floor")
    return torch.unique(corner, dim=0, return_inverse=True)[1]


def _occluded(case: Case, probe: AblationScorer, tell: ProgressCallback) -> Found:
    """Paint over one square of the picture after the other, in the picture's mean colour."""
    picture, family, vlm = case.picture.image.convert("RGB"), case.vlm.family, case.vlm
    width, height = picture.size
    colour = tuple(int(x) for x in np.asarray(picture).reshape(-1, 3).mean(0).round())
    across, down = min(CELLS, width), min(CELLS, height)
    done, total = 0, across * down + 3  # captum looks at the untouched picture once more

    @torch.no_grad()
    def f(cells: Tensor) -> Tensor:
        nonlocal done
        seen = []
        for row in cells[:, 0]:
            painted = picture.copy()
            for r, c in (row < 0.5).nonzero().tolist():
                box = (c * width // across, r * height // down)
                behind = ((c + 1) * width // across, (r + 1) * height // down)
                painted.paste(colour, (*box, *behind))
            seen.append(
                encode_image(family.vision_tower(vlm), family.preprocess(vlm, painted)).features
            )
            done += 1
            tell(min(done, total), total)
        return probe.replaced(torch.stack(seen)).to(cells.device)

    whole = torch.ones(1, 1, down, across, dtype=torch.float32)
    full, none = float(f(whole)), float(f(torch.zeros_like(whole)))
    values = captum_methods.occlusion(f, whole, 1, 1)
    x0, y0, x1, y1 = case.look.grid.boxes.T
    column = (x0 + x1) / 2 * across / width
    row = (y0 + y1) / 2 * down / height
    inside = (column >= 0) & (column < across) & (row >= 0) & (row < down)
    at = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
    return torch.where(torch.from_numpy(inside), values[at], 0.0), full, none, None
