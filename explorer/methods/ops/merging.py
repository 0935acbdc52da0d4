"""Contextual tokens: fold the tokens that were not kept into a few targets, by similar keys.

The step that VisionZip and VisionDrop share. Official code: dvlab-research/VisionZip @3151f6d,
visionzip/clip_encoder.py; Ruixxxx/VisionDrop @f7a9444, llava/model/modeling_llama_visiondrop.py.
Does not know how the kept tokens were chosen, nor whether it runs in a tower or in an LLM.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.methods.signals import Size, Stage


def split(layer: int, total: int, contextual: int, cls: bool) -> Stage:
    """Divide `total` tokens into kept ones, contextual ones and, if there is one, [CLS].

    However small the total, at least one token is a kept one; [CLS] comes next.
    """
    lead = int(cls and total > 1)
    contextual = min(contextual, total - lead - 1)
    return Stage(layer, total - contextual - lead, contextual + lead)


def all_merged(size: Size, budget: int) -> Stage:
    """Fold all tokens into `budget` means before the LLM; keep all of them if none must go."""
    return Stage(0, budget) if budget == size.tokens else Stage(0, 0, budget)


def rest(kept: Tensor, count: int) -> Tensor:
    """Give the tokens of 0..count-1 that are not in `kept`, ascending."""
    left = torch.ones(count, dtype=torch.bool, device=kept.device)
    left[kept] = False
    return left.nonzero()[:, 0]


def merge(hidden: Tensor, keys: Tensor, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Fold `tokens` [m] of hidden [N, D] into `count` contextual tokens, by their keys [N, d].

    Returns the contextual tokens [count, D] and which of them each of `tokens` went into [m].
    """
    m = len(tokens)
    step = max(1, m // count)
    target = torch.arange(count, device=tokens.device) * step  # evenly spaced in the list
    unit = normalize(keys[tokens].float(), dim=1)
    group = (unit @ unit[target].T).argmax(1)  # highest cosine, of equals the first
    group[target] = torch.arange(count, device=tokens.device)
    others = torch.ones(m, dtype=torch.bool, device=tokens.device)
    others[target] = False
    values = hidden[tokens].float()
    sums = values.new_zeros(count, values.shape[1]).index_add_(0, group[others], values[others])
    sizes = group[others].bincount(minlength=count).clamp(min=1)
    # a target plus the mean of its group, not the mean of both: the norm about doubles
    return values[target] + sums / sizes[:, None], group


def into_nearest(features: Tensor, centre: Tensor, among: Tensor) -> Tensor:
    """Tell which of the tokens `centre` [K] each token is folded into by cosine, [N]; -1 for none.

    among [N]: whether a token takes part. A centre is folded into itself.
    """
    unit = normalize(features.float(), dim=1)
    group = torch.full(among.shape, -1, device=among.device)
    others = among.nonzero()[:, 0]
    group[others] = (unit[others] @ unit[centre].T).argmax(1)
    group[centre] = torch.arange(len(centre), device=centre.device)
    return group


def group_tokens(group: Tensor, median: bool = False) -> Tensor:
    """Give the first token of every group, or the lower median one, [M]; group [n] has no -1."""
    size = group.bincount()
    first = size.cumsum(0) - size
    return group.argsort(stable=True)[first + ((size - 1) // 2 if median else 0)]


def in_token_order(group: Tensor, median: bool = False) -> Tensor:
    """Number the groups of tokens [n] in the order of their `group_tokens`, [n]."""
    return group_tokens(group, median).argsort().argsort()[group]


def group_means(features: Tensor, group: Tensor) -> Tensor:
    """Give the plain mean of every group of tokens, [M, D]; group [N] is -1 for a token in none."""
    folded = (group >= 0).nonzero()[:, 0]
    count = int(group.max()) + 1
    sums = features.new_zeros(count, features.shape[1], dtype=torch.float32)
    sums.index_add_(0, group[folded], features[folded].float())
    return sums / group[folded].bincount(minlength=count)[:, None]
