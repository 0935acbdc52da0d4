"""Make the record of a traced run: one layer at a time, so that no more than one is in memory.

Knows traced runs of cases; not how they came about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analyses.inside.layer_keys import KINDS, LayerKeys
from explorer.analyses.inside.records import Inside
from explorer.analyses.inside.tracing import Traced
from explorer.cases.case import Case
from explorer.cases.records import Token
from explorer.inference.llm_layers import LayerTrace
from explorer.methods.inside_llm.transprune import weights

CANDIDATES = 5  # tokens whose chances are told


@dataclass(frozen=True)
class Lens:
    """The logit lens: what would be said behind each layer; see `Inside`."""

    candidates: tuple[tuple[str, ...], ...]
    chances: np.ndarray
    says: tuple[tuple[str, ...], ...]
    stands_from: tuple[int, ...]


def describe(
    case: Case,
    traced: Traced,
    name: tuple[str, int],
    text: str,
    tokens: tuple[Token, ...],
    agrees: bool,
) -> Inside:
    """Make the record. name: the method and the budget; text, tokens: the answer."""
    attention, shares, norms, changes = [], [], [], []
    for layer, kept in enumerate(traced.run.trace):
        rows = traced.rows(layer)
        attention.append(to_numpy(rows.to_patches().mean(0), np.float16))
        shares.append(to_numpy(rows.shares(len(KINDS))))
        norms.append(to_numpy(_of_patches(kept.norms, kept, rows.entering)))
        changed = weights(kept.transition)[kept.transition.visual]
        changes.append(to_numpy(_of_patches(changed, kept, rows.entering)))
    lens, (tower_norms, token_norms) = read_off(case, traced), _norms_before(case)
    return Inside(
        method=name[0],
        budget=name[1],
        text=text,
        tokens=tokens,
        token_ids=tuple(traced.tokens),
        predicted=tuple(_text(case, token) for token in traced.tokens),
        agrees=agrees,
        heads=traced.run.trace[0].attention.shape[0],
        entering=tuple(traced.run.n_visual),
        cached=tuple(traced.run.cached_visual),
        attention=np.stack(attention),
        shares=np.stack(shares, 1),
        candidates=lens.candidates,
        chances=lens.chances,
        says=lens.says,
        stands_from=lens.stands_from,
        norms=np.stack(norms),
        changes=np.stack(changes),
        tower_norms=tower_norms,
        token_norms=token_norms,
    )


def read_off(case: Case, traced: Traced) -> Lens:
    """Read every token off what each layer gives, as if it were the last one.

    What the last layer gives is what was said.
    """
    tokens = torch.tensor(traced.tokens, device=traced.run.logits.device)
    last = traced.logits(traced.n_layers - 1)
    candidates = last.topk(min(CANDIDATES, last.shape[1])).indices  # [G, C]
    asked = candidates.repeat(traced.n_layers, 1)  # [L x G, C]
    chances, said = [], []
    for logits in traced.logits_of_layers():
        here, asked = asked[: len(logits)], asked[len(logits) :]
        chances.append(logits.softmax(-1).gather(1, here.to(logits.device)))
        said.append(logits.argmax(-1))
    says = torch.cat(said).view(traced.n_layers, -1).to(tokens.device)
    wrong = says != tokens  # [L, G]
    number = torch.arange(1, len(says) + 1, device=wrong.device)[:, None]
    stands_from = (wrong * number).amax(0).tolist()
    return Lens(
        candidates=tuple(tuple(_text(case, t) for t in row) for row in candidates.tolist()),
        chances=to_numpy(torch.cat(chances).view(*says.shape, -1)),
        says=tuple(tuple(_text(case, t) for t in row) for row in says.tolist()),
        stands_from=tuple(stands_from),
    )


def _text(case: Case, token: int) -> str:
    return "" if token in case.decoder.eos else case.vlm.processor.tokenizer.decode([token])


def _of_patches(values: Tensor, kept: LayerTrace, keys: LayerKeys) -> Tensor:
    """Give what the visual tokens of a layer have [n] to their patches, [N]; NaN for none."""
    placed = values.new_zeros(kept.text_visual_mask.shape[1]).float()
    placed[kept.text_visual_mask[1] > 0] = values.float()
    return keys.holding(placed).masked_fill(keys.patch_key < 0, torch.nan)


def _norms_before(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Measure the tokens before the language model, [N] each: those of registers stand out.

    Of what the tower gives, a token made of several patches has their mean; then of the features.
    """
    vision = case.vision.output
    norms = vision.hidden.float().norm(dim=-1).flatten()
    patches = case.vision.patches
    of_token = norms[patches.clamp(min=0)].masked_fill(patches < 0, torch.nan)
    return to_numpy(of_token.nanmean(-1)), to_numpy(vision.features.float().norm(dim=-1))


def to_numpy(tensor: Tensor, dtype: type = np.float32) -> np.ndarray:
    """Bring a tensor to the host."""
    return tensor.detach().float().cpu().numpy().astype(dtype)
