"""DART: after two layers of the language model, drop the visual tokens that repeat a few pivots.

Wen et al., "Stop Looking for 'Important Tokens' in Multimodal Language Models: Duplication Matters
More", EMNLP 2025, arXiv 2502.11494, section 3.3. Official code: ZichenWen1/DART, of which a
co-author's copy was read, Chenfei-Liao/VTC-Bench @983e443, external/DART/llava/model/
language_model/modeling_llama_self.py (get_retained_image_token). The question chooses some pivots.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.inside_llm.token_schedule import OneStep
from explorer.methods.method import Card, option
from explorer.methods.signals import Kept, Signals, Stage

IMAGE_PIVOTS = TEXT_PIVOTS = 4


@dataclass(frozen=True)
class DART(OneStep):
    """Pivots, and the tokens that are least like them."""

    card = Card(
        key="dart",
        title="DART",
        authors="Wen, Gao, Wang, Zhang, Zhang, Li, He, Zhang",
        year=2025,
        arxiv="2502.11494",
        repository="Chenfei-Liao/VTC-Bench",
        commit="983e443ebb41",
        verified=(
            "Kept sets equal those of a co-author's copy of the official code on 3 recorded runs."
        ),
        uncertain=(
            "The authors' own repository (ZichenWen1/DART) could not be read. The code keeps 4 "
            "tokens and a multiple of 8; other numbers are filled up in one more round over the "
            "pivots: our rule. Pivots take turns as a Python set orders their positions, as in the "
            "code; the paper is silent."
        ),
        sentence=(
            "Lets the language model read everything for two layers, picks eight tokens with long "
            "keys, and keeps the patches that are least like those."
        ),
        equation="each pivot p takes the (K − 4) / 8 tokens j with the lowest cos(h_p, h_j)",
        headline=(
            "LLaVA-1.5-7B keeps 98.8 % at 192 tokens, 98.0 % at 128, 93.7 % at 64. DART, table 1."
        ),
        traps=(
            "To a pivot among the words all patches are almost equally unlike, so what it keeps is "
            "nearly chance. Long keys are measured by the L1 norm."
        ),
        score_means="how unlike the pivots a patch is; the pivots themselves are on top",
    )
    needs = frozenset({"normed", "tail_normed", "key_norms", "tail_key_norms", "n_leading_tokens"})
    reads_question = True
    # sets at 4 + 8 m are; those between are filled up without regard to the next
    nested = False
    positions = "keep"
    layer = 2  # layers 0 and 1 see every token
    order: str = option("set", "norm", meaning="pivots take turns as in the code, or by their norm")

    def score(self, signals: Signals) -> Tensor:
        """Give 1 - max over pivots of cos(h_p, h_j), largest for the visual pivots; [N]."""
        visual, everyone = pivots(signals)
        unit = normalize(torch.cat([signals.normed, signals.tail_normed]).float(), dim=1)
        unlike = 1 - (unit[: signals.count] @ unit[everyone].T).amax(1)
        return unlike.index_fill(0, torch.tensor(visual, device=unlike.device), unlike.max())

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Share the tokens out among the pivots: floor((K - 4) / 8) for each."""
        # differs: the code needs K >= 4 and a prompt of 4 tokens behind the picture
        visual, everyone = pivots(signals, min(IMAGE_PIVOTS, stage.keep), order=self.order)
        # differs: the code leaves a remainder out; here the first pivots take one more each
        per, extra = divmod(stage.keep - len(visual), len(everyone))
        return Kept(retain(signals, visual, everyone, per, extra))


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
        start = signals.n_leading_tokens
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
