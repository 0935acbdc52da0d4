"""How much an answer rests on each visual token, by six ways, with progress.

Which answer, target.py says. Knows cases and captum's ways (captum_methods.py); not methods and
pages. Letters: N visual tokens, G tokens of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.attribution import captum_methods
from explorer.analyses.attribution.target import Target, TargetTokens, target_tokens
from explorer.cases.cache import CacheKey, ResultCache
from explorer.cases.case import Case, open_case
from explorer.cases.gpu import CachedAs, GpuCost, use_case
from explorer.cases.progress import ProgressCallback, with_progress
from explorer.cases.request import CaseRequest
from explorer.errors import BadAnswer, MethodUnavailable
from explorer.inference.ablation import AblationScorer
from explorer.inference.vision import encode_image
from explorer.media.grid import Grid
from explorer.vlm.progress import Progress
from explorer.vlm.threads import cpu_threads, parallel_runs
from explorer.vlm.turns.current_run import clock

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
MOST_ROWS, TOKENS_AT_ONCE = 10, 4_096  # of them side by side: a layer and back in half a second
SAMPLES = 5  # permutations of Shapley's
CELLS = 7  # squares along a side of the picture
DROPPING = ("removed", "shapley")  # ways in which patches are absent, not replaced
ROWS = 8  # evaluated at once: few enough that progress is seen soon
MANY = 32  # where progress is told in between
ABOUT = 200  # answers that one explanation costs


@dataclass(frozen=True)
class Importance:
    """What an answer owes to every visual token.

    values [N] float32: positive for a token that speaks for the answer. answer: what is explained;
    words: those of the full answer, `word` one of them. full, none: log-probability of what is
    explained from all visual tokens and from none (what "none" is depends on the way); tokens G of
    it. delta: what integrated gradients miss. renumber: whether those that stayed were counted
    anew while others were absent; None for ways that replace tokens.
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
    renumber: bool | None = None

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


def _check_way(request: CaseRequest, way: str, **_: object) -> None:
    if way not in WAYS:
        raise BadAnswer(f"There is no such way to explain; choose one of {', '.join(WAYS)}.")


@use_case(
    cost=GpuCost(answers=ABOUT),
    cached=CachedAs(
        lambda request, target, way, renumber: CacheKey(
            "importance", request.id, (target, way, renumber and way in DROPPING)
        ),
        lambda importance: importance.values.nbytes + 2_000,
    ),
    check=_check_way,
)
def explain(
    request: CaseRequest,
    target: Target = Target(),  # noqa: B008 (a frozen record)
    way: str = "removed",
    renumber: bool = False,
    *,
    cache: ResultCache | None = None,
) -> Iterator[Progress | Importance]:
    """Give the progress, and at last how much the answer rests on every visual token.

    renumber: count the positions of those that stay anew, as the method does that the values are
    held against; False leaves them where they were. Raises `BadAnswer` for a target or a way that
    there is not, `MethodUnavailable` for a way that this model can't go.
    """
    case = open_case(request, cache)
    tokens = target_tokens(case, target, cache)
    renumbers = renumber if way in DROPPING else None
    yield from with_progress(
        lambda report: _explained(case, tokens, target, way, renumbers, report)
    )


def _explained(
    case: Case,
    tokens: TargetTokens,
    target: Target,
    way: str,
    renumber: bool | None,
    report: ProgressCallback,
) -> Importance:
    began = clock()
    prompt = case.prompt()
    if prompt.deepstack and way not in DROPPING:
        raise MethodUnavailable(
            f"{case.vlm.title} adds the picture in several layers: its tokens can be dropped, but "
            "nothing else can stand in for them."
        )
    n_threads = parallel_runs(case.vlm)
    scorer = AblationScorer(
        case.decoder,
        prompt,
        tokens.tokens,
        tokens.span,
        renumber=bool(renumber),
        n_threads=n_threads,
    )
    with cpu_threads(case.vlm.cores):  # many rows side by side keep all of them busy
        values, full, none, delta = _by(way, case, scorer, report)
    return Importance(
        case=case.id,
        way=way,
        answer=tokens.text,
        words=tokens.words,
        word=target.word if target.text is None else None,
        values=values.detach().float().cpu().numpy(),
        full=full,
        none=none,
        tokens=len(scorer.answer_ids),
        delta=delta,
        seconds=clock() - began,
        renumber=renumber,
    )


WayResult = tuple[Tensor, float, float, float | None]
"""Values [N], f from everything, f from nothing, convergence delta."""


def _by(way: str, case: Case, scorer: AblationScorer, report: ProgressCallback) -> WayResult:
    n = case.size.tokens
    report(0, 1)
    if way == "occlusion":
        return _occluded(case, scorer, report)
    if way in DROPPING:
        full, none = scorer.log_prob_ablated(
            torch.stack([torch.ones(n), torch.zeros(n)]).float()
        ).tolist()
        if way == "removed":
            ablated = partial(scorer.log_prob_ablated, done=captum_methods.counter(n + 1, report))
            return captum_methods.leave_one_out(ablated, n, MANY), full, none, None
        groups = squares(case.vision.grid)
        shared = captum_methods.shapley(
            scorer.log_prob_ablated,
            torch.ones(1, n, dtype=torch.float32),
            0,
            groups,
            SAMPLES,
            per_call=ROWS,
            progress=report,
        )
        return (shared / groups.bincount())[groups], full, none, None
    baseline = "mean" if way == "gradients" else way
    with torch.no_grad():
        absent = torch.zeros_like(scorer.tokens) + captum_methods.baseline_tokens(
            scorer.tokens, baseline
        )
        full, none = (float(scorer.log_prob_replaced(tokens)) for tokens in (scorer.tokens, absent))
    if way == "gradients":
        return _integrated(scorer, full, none, report)
    counted = captum_methods.counted(_without_gradient(scorer.log_prob_replaced), n + 1, report)
    return captum_methods.ablation(counted, scorer.tokens, baseline, ROWS), full, none, None


def _without_gradient(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def call(rows: Tensor) -> Tensor:
        with torch.no_grad():
            return f(rows)

    return call


def _integrated(
    scorer: AblationScorer, full: float, none: float, report: ProgressCallback
) -> WayResult:
    per_call = max(1, min(MOST_ROWS, TOKENS_AT_ONCE // scorer.inputs_embeds.shape[1]))
    for steps in STEPS:
        f = captum_methods.counted(scorer.log_prob_replaced, steps + 2, report)
        values, delta = captum_methods.integrated(f, scorer.tokens, "mean", steps, per_call)
        if abs(delta) <= CONVERGED * abs(full - none):
            break
    return values, full, none, delta


def squares(grid: Grid) -> Tensor:
    """Number the squares of 2 x 2 patches, [N]; tokens without a patch are one group."""
    place = torch.from_numpy(grid.place.astype("int64"))
    corner = torch.where(place[:, :1] < 0, -1, place)
    corner[:, 1:] = corner[:, 1:].div(2, rounding_mode="floor")
    return torch.unique(corner, dim=0, return_inverse=True)[1]


def _occluded(case: Case, scorer: AblationScorer, report: ProgressCallback) -> WayResult:
    """Paint over one square of the picture after the other, in the picture's mean colour."""
    picture, family, vlm = case.picture.image.convert("RGB"), case.vlm.family, case.vlm
    width, height = picture.size
    colour = tuple(int(x) for x in np.asarray(picture).reshape(-1, 3).mean(0).round())
    across, down = min(CELLS, width), min(CELLS, height)
    done, total = 0, across * down + 3  # captum looks at the untouched picture once more

    @torch.no_grad()
    def f(cells: Tensor) -> Tensor:
        nonlocal done
        features = []
        for row in cells[:, 0]:
            painted = picture.copy()
            for r, c in (row < 0.5).nonzero().tolist():
                box = (c * width // across, r * height // down)
                behind = ((c + 1) * width // across, (r + 1) * height // down)
                painted.paste(colour, (*box, *behind))
            pixels = family.preprocess(vlm, painted)
            features.append(encode_image(family.vision_tower(vlm), pixels).features)
            done += 1
            report(min(done, total), total)
        return scorer.log_prob_replaced(torch.stack(features)).to(cells.device)

    whole = torch.ones(1, 1, down, across, dtype=torch.float32)
    full, none = float(f(whole)), float(f(torch.zeros_like(whole)))
    values = captum_methods.occlusion(f, whole, 1, 1)
    x0, y0, x1, y1 = case.vision.grid.boxes.T
    column = (x0 + x1) / 2 * across / width
    row = (y0 + y1) / 2 * down / height
    inside = (column >= 0) & (column < across) & (row >= 0) & (row < down)
    at = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
    return torch.where(torch.from_numpy(inside), values[at], 0.0), full, none, None
