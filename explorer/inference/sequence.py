"""The tokens of one prompt while they pass through the layers, and what becomes of each of them.

Knows order, positions and which visual token went where; runs no model and chooses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.methods.signals import Kept, Signals, Stage

MergeWeights = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Prompt:
    """A question about a picture, as the language model gets it.

    embeds [1, S, D] with the visual tokens in place, positions [1, S] (or [3, 1, S]),
    visual [N] ascending places of the visual tokens, text [S] true where a token counts as text
    (neither visual nor BOS, EOS, padding), signals what a method may see before layer 0, header:
    how many tokens stand behind the question (those with which the template opens the answer),
    deep: [N, D] each, of which the i-th is added to the visual tokens behind layer i.
    """

    embeds: Tensor
    positions: Tensor
    visual: Tensor
    text: Tensor
    signals: Signals
    header: int = 1
    deep: tuple[Tensor, ...] = ()


@dataclass
class StageOutcome:
    """What one stage did, told for the N visual tokens of the untouched prompt.

    slot [N]: which of the tokens now alive holds it, -1 if it is gone.
    itself [n]: which original token a token now alive is, unmerged; -1 for a merged or added one.
    before [N]: `slot` as it was when the stage began.
    """

    stage: Stage
    slot: Tensor
    itself: Tensor
    before: Tensor


class Sequence:
    """The tokens that are alive while the prompt passes through the layers."""

    def __init__(self, prompt: Prompt):
        device = prompt.embeds.device
        self.x = prompt.embeds
        self.positions = prompt.positions
        self.is_visual = torch.zeros(self.x.shape[1], dtype=torch.bool, device=device)
        self.is_visual[prompt.visual] = True
        self.is_text = prompt.text
        self.grid_position = prompt.signals.grid_position
        self.slot = torch.arange(len(prompt.visual), device=device)
        self.itself = self.slot.clone()
        self.deep = prompt.deep
        self._refresh()

    def _refresh(self) -> None:
        self.visual = self.is_visual.nonzero()[:, 0]
        self.counted = torch.stack([self.is_text, self.is_visual]).float()
        self.cos_sin: tuple[Tensor, Tensor] | None = None

    def drop(self, kept: Kept, stage: Stage, renumber: bool) -> StageOutcome:
        """Rebuild the sequence: [merged[:lead], kept, merged[lead:]] where the block was.

        Positions by row and column are kept, whatever the plan: counted anew they would lose the
        picture's layout. Where positions are kept, a merged token gets the mean of those folded
        into it.
        """
        by_place = self.positions.dim() == 3
        # all that is left where an optional stage fires is text, which keeps its positions
        renumber = renumber and not by_place and not stage.optional
        merged = 0 if kept.merged is None else kept.merged.shape[0]
        everything = stage.optional and len(kept.index) == len(self.visual)
        if (len(kept.index), merged) != (stage.keep, stage.merge) and not everything:
            raise RuntimeError(f"{stage} was answered with {len(kept.index)} kept, {merged} merged")
        before = self.slot
        mix = None
        if merged and (not renumber or self.deep):
            mix = kept.mix or _mean_of(_shares(kept.group, self.visual, merged))
        placed = self.positions[..., self.visual].float()
        self.deep = tuple(_rebuilt(rows, kept, mix) for rows in self.deep)
        self._place_slots(kept, merged)
        stays = ~self.is_visual
        stays[self.visual[kept.index]] = True
        order = stays.nonzero()[:, 0]
        places = torch.cat([self._places_of_merged(kept, merged), 2 * order + 1])
        order = torch.cat([order.new_full((merged,), -1), order])[places.argsort(stable=True)]
        added = order < 0
        source = order.clamp(min=0)
        self.x = self.x[:, source]
        if merged:
            self.x[0, added] = kept.merged.to(self.x.dtype)
        self.is_visual = self.is_visual[source] | added
        self.is_text = self.is_text[source] & ~added
        if renumber:
            count = torch.arange(len(order), device=self.x.device)
            self.positions = count.expand(*self.positions.shape[:-1], -1)
        else:
            self.positions = self.positions[..., source]
            if merged:
                made = mix(placed.flatten(0, -2).T).T.view(*placed.shape[:-1], merged)
                self.positions[..., added] = made.round().to(self.positions.dtype)
        self._refresh()
        return StageOutcome(stage, self.slot, self.itself, before)

    def blank(self, kept: Kept, stage: Stage) -> tuple[StageOutcome, Tensor]:
        """Let all tokens stay; gives the places [n] of the visual ones that are not kept, too."""
        if len(kept.index) != stage.keep or kept.merged is not None:
            raise RuntimeError(f"{stage} was answered with {len(kept.index)} kept")
        gone = torch.ones(len(self.visual) + 1, dtype=torch.bool, device=self.x.device)
        gone[kept.index] = False
        slot = self.slot.masked_fill(gone[self.slot], -1)  # slot -1 reads the last: gone
        return StageOutcome(stage, slot, self.itself, self.slot), self.visual[gone[:-1]]

    def _places_of_merged(self, kept: Kept, merged: int) -> Tensor:
        """Tell where merged tokens stand, [M], if what was at place i before is at 2 i + 1."""
        if kept.insert_before is not None:
            return 2 * self.visual[kept.insert_before]
        first, last = self.visual[:1], self.visual[-1:]
        return torch.cat([(2 * first).expand(kept.lead), (2 * last + 2).expand(merged - kept.lead)])

    def _place_slots(self, kept: Kept, merged: int) -> None:
        alive, lead = len(self.itself), kept.lead
        # One entry more than there are tokens: slot -1 reads the last one, and gone stays gone.
        moved = self.slot.new_full((alive + 1,), -1)
        moved[kept.index] = torch.arange(len(kept.index), device=moved.device) + lead
        if kept.group is not None:
            folded = (kept.group >= 0).nonzero()[:, 0]
            to = kept.group[folded]
            moved[folded] = torch.where(to < lead, to, to + len(kept.index))
        self.slot = moved[self.slot]
        count = len(kept.index) + merged
        itself, place = (
            self.itself.new_full((count,), -1),
            self.grid_position.new_full((count, 3), -1),
        )
        itself[lead : lead + len(kept.index)] = self.itself[kept.index]
        place[lead : lead + len(kept.index)] = self.grid_position[kept.index]
        self.itself, self.grid_position = itself, place

    def deepen(self, layer: int) -> None:
        """Add to the visual tokens what their picture has for them behind a layer (DeepStack)."""
        self.x = self.deepened(self.x, layer)

    def deepened(self, x: Tensor, layer: int) -> Tensor:
        """Add it to other states [1, S, D] of these very tokens."""
        return deepened(x, self.deep[layer], self.visual) if layer < len(self.deep) else x

    def rotary(self, body: nn.Module) -> tuple[Tensor, Tensor]:
        """Give cos and sin of the present positions, computed once between two drops."""
        if self.cos_sin is None:
            self.cos_sin = body.rotary_emb(self.x, self.positions)
        return self.cos_sin


def deepened(x: Tensor, rows: Tensor, visual: Tensor) -> Tensor:
    """Add rows [N, D] to the visual tokens of a sequence [B, S, D]."""
    return x.index_add(1, visual, rows.to(x.dtype).expand(len(x), -1, -1))


def _shares(group: Tensor | None, visual: Tensor, merged: int) -> Tensor:
    """Tell how much of each merged token a visual token makes up, [M, N]; rows add up to 1.

    What nobody was folded into ([CLS]) stands for all alike.
    """
    shares = torch.zeros(merged, len(visual), device=visual.device, dtype=torch.float32)
    if group is not None:
        folded = (group >= 0).nonzero()[:, 0]
        shares[group[folded], folded] = 1
    shares[shares.sum(1) == 0] = 1
    return shares / shares.sum(1, keepdim=True)


def _mean_of(shares: Tensor) -> MergeWeights:
    """Take means of rows [N, C] by shares [M, N]."""
    return lambda rows: shares.to(rows) @ rows


def _rebuilt(rows: Tensor, kept: Kept, mix: MergeWeights | None) -> Tensor:
    """Follow rows [N, D] of the visual tokens through a stage, [K + M, D]."""
    left = rows[kept.index]
    if mix is None:
        return left
    made = mix(rows).to(rows)
    return torch.cat([made[: kept.lead], left, made[kept.lead :]])
