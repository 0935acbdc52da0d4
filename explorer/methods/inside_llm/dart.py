"""DART: after two layers of the language model, drop the visual tokens that repeat a few pivots.

Wen et al., "Stop Looking for 'Important Tokens' in Multimodal Language Models: Duplication Matters
More", EMNLP 2025, arXiv 2502.11494, section 3.3. Official code: ZichenWen1/DART, of which a
co-author's copy was read, Chenfei-Liao/VTC-Bench @983e443, external/DART/llava/model/
language_model/modeling_llama_self.py (get_retained_image_token). The question chooses some pivots.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.inside_llm import token_schedule
from explorer.methods.signals import Kept, Signals, Size, Stage

KEY = "dart"
TITLE = "DART"
AUTHORS = "Wen, Gao, Wang, Zhang, Zhang, Li, He, Zhang"
YEAR = 2025
ARXIV = "2502.11494"
REPOSITORY = "Chenfei-Liao/VTC-Bench"
COMMIT = "983e443ebb41"
VERIFIED = "Kept sets equal those of a co-author's copy of the official code on 3 recorded runs."
UNCERTAIN = (
    "The authors' own repository (ZichenWen1/DART) could not be read. The code keeps 4 tokens and "
    "a multiple of 8; other numbers are filled up in one more round over the pivots: our rule. "
    "Pivots take turns as a Python set orders their positions, as in the code; the paper is silent."
)
NEEDS = frozenset({"normed", "tail_normed", "key_norms", "tail_key_norms", "start"})
READS_QUESTION = True
NESTED = False  # sets at 4 + 8 m are; those between are filled up without regard to the next
MERGES = TRAINED = False
POSITIONS = "keep"
WHERE = "inside the LLM"
SENTENCE = (
    "Lets the language model read everything for two layers, picks eight tokens with long keys, "
    "and keeps the patches that are least like those."
)
EQUATION = "each pivot p takes the (K − 4) / 8 tokens j with the lowest cos(h_p, h_j)"
HEADLINE = "LLaVA-1.5-7B keeps 98.8 % at 192 tokens, 98.0 % at 128, 93.7 % at 64. DART, table 1."
TRAPS = (
    "To a pivot among the words all patches are almost equally unlike, so what it keeps is nearly "
    "chance. Long keys are measured by the L1 norm."
)
SCORE_MEANS = "how unlike the pivots a patch is; the pivots themselves are on top"
OPTIONS = {"order": ("set", "norm")}
VARIANTS: dict[str, dict] = {}

LAYER = 2  # layers 0 and 1 see every token
IMAGE_PIVOTS = TEXT_PIVOTS = 4


def schedule(size: Size, budget: int, **_) -> list[Stage]:
    """Solve T = (2 N + (L - 2) k) / L for the k tokens that the layers behind the stage see."""
    first = min(LAYER, size.layers)
    token_schedule.check(TITLE, size, first, floor(size), budget)
    if budget == size.tokens:
        return [Stage(LAYER, budget)]
    kept = round((budget * size.layers - first * size.tokens) / (size.layers - first))
    return [Stage(LAYER, max(1, kept))]


def floor(size: Size, **_) -> int:
    """Give the mean, rounded up, when a single visual token is left after the first layers."""
    return token_schedule.lowest(size, [Stage(min(LAYER, size.layers), 1)])


def pivots(
    signals: Signals, images: int = IMAGE_PIVOTS, texts: int = TEXT_PIVOTS, order: str = "set"
) -> tuple[list[int], list[int]]:
    """Give the visual pivots by falling L1 norm of their keys, and the order of all pivots.

    A pivot is a row of the visual tokens with the tail behind them. set: as the code's Python set
    of absolute positions has them; norm: visual ones, then words, by falling norm.
    """
    visual, words = (
        norms.argsort(descending=True, stable=True)[:count].tolist()
        for norms, count in ((signals.key_norms, images), (signals.tail_key_norms, texts))
    )
    everyone = visual + [signals.count + word for word in words]
    if order == "set":
        start = signals.start
        everyone = [p - start for p in list(set([start + pivot for pivot in everyone]))]
    return visual, everyone


def retain(
    signals: Signals, visual: list[int], everyone: list[int], per: int, extra: int
) -> Tensor:
    """Keep the visual pivots and `per` tokens that each pivot finds least like itself, ascending.

    extra: how many pivots, in their order, then take one more.
    """
    unit = normalize(torch.cat([signals.normed, signals.tail_normed]).float(), dim=1)
    left = torch.ones(signals.count, dtype=torch.bool, device=unit.device)
    left[visual] = False
    for pivot, taken in [*((p, per) for p in everyone), *((p, 1) for p in everyone[:extra])]:
        rest = left.nonzero()[:, 0]
        likeness = unit[rest] @ unit[pivot]  # dup(p, x), Definition 1
        left[rest[likeness.argsort(stable=True)[:taken]]] = False
    return (~left).nonzero()[:, 0]


def score(signals: Signals, **_) -> Tensor:
    """Give 1 - max over pivots of cos(h_p, h_j), the largest value for the visual pivots; [N]."""
    visual, everyone = pivots(signals)
    unit = normalize(torch.cat([signals.normed, signals.tail_normed]).float(), dim=1)
    unlike = 1 - (unit[: signals.count] @ unit[everyone].T).amax(1)
    return unlike.index_fill(0, torch.tensor(visual, device=unlike.device), unlike.max())


def keep(signals: Signals, stage: Stage, *, order: str = "set") -> Kept:
    """Share the tokens out among the pivots: floor((K - 4) / 8) for each."""
    # differs: the code needs K >= 4 and a prompt of 4 tokens behind the picture
    visual, everyone = pivots(signals, min(IMAGE_PIVOTS, stage.keep), order=order)
    # differs: the code leaves a remainder out; here the first pivots take one more each
    per, extra = divmod(stage.keep - len(visual), len(everyone))
    return Kept(retain(signals, visual, everyone, per, extra))
