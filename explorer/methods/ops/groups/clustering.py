"""DPC-KNN: gather tokens around centres that are dense and far from anything denser.

The clustering with which SparseVLM recycles dropped tokens. Official code: Gumpest/SparseVLMs
@26a5f48, llava/model/language_model/utils.py (cluster_and_merge). Knows vectors only: neither how
they were chosen nor what becomes of the clusters.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

# not the shortcut by products, which leaves a token at a distance from itself
EXACT = "donot_use_mm_for_euclid_dist"


def centres(tokens: Tensor, count: int) -> Tensor:
    """Give the tokens [count] of tokens [q, D] that the others gather around, best first."""
    distance = torch.cdist(tokens, tokens, compute_mode=EXACT) / tokens.shape[1] ** 0.5
    nearest = distance.topk(count, largest=False).values  # itself is one of them
    density = (-nearest.square().mean(1)).exp()
    # differs: the code adds noise of up to 1e-6, which makes one of two equals the denser one,
    # not the same in every run; here it is the earlier. Nearest neighbours are often equals.
    earlier = torch.ones_like(distance, dtype=torch.bool).tril(-1)
    equal = density[None, :] == density[:, None]
    denser = (density[None, :] > density[:, None]) | (equal & earlier)
    apart = distance.masked_fill(~denser, float(distance.max())).amin(1)
    return torch.argsort(apart * density, descending=True, stable=True)[:count]


def gather(tokens: Tensor, count: int, how: str = "mean") -> tuple[Tensor, Tensor]:
    """Merge tokens [q, D] into `count` clusters [count, D]; tells whose token went where, [q].

    mean: every token joins the nearest centre, and a cluster is its mean. sum: it joins the centre
    of the highest cosine, and a cluster is the sum, so that its norm grows with its size.
    """
    centre = centres(tokens, count)
    if how == "mean":
        cost = torch.cdist(tokens, tokens[centre], compute_mode=EXACT)
    else:
        unit = normalize(tokens, dim=1)
        cost = -unit @ unit[centre].T
    group = cost.argmin(1)
    group[centre] = torch.arange(count, device=tokens.device)
    merged = tokens.new_zeros(count, tokens.shape[1]).index_add_(0, group, tokens)
    if how == "mean":
        merged = merged / (group.bincount(minlength=count)[:, None] + 1e-6)
    return merged, group
