"""The tokens of one prompt while they pass through the layers, and what becomes of each of them.

Knows order, positions and which visual token went where; runs no model and chooses nothing.
Letters: S tokens of the sequence, N visual tokens of it, N0 of the untouched prompt, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.inference.attention_bias import AttentionBias
from explorer.methods.signals import Kept, Signals, Stage

MergeWeights = Callable[[Tensor], Tensor]
"""Maps rows [N, C] of all visual tokens to rows [M, C] of the merged ones."""


@dataclass(frozen=True)
class Prompt:
    """A question about a picture, as the language model gets it.

    inputs_embeds [1, S, D] with the visual tokens in place; position_ids [1, S] (or [3, 1, S]);
    visual_positions [N] ascending indices of the visual tokens in the sequence; is_text [S] true
    where a token counts as text (neither visual nor BOS, EOS, padding); signals: what a method may
    look at before layer 0; n_response_header: how many tokens stand behind the question (those
    with which the template opens the answer); deepstack: [N, D] each, of which the i-th is added to
    the visual tokens behind layer i.
    """

    inputs_embeds: Tensor
    position_ids: Tensor
    visual_positions: Tensor
    is_text: Tensor
    signals: Signals
    n_response_header: int = 1
    deepstack: tuple[Tensor, ...] = ()


@torch.no_grad()
def embed_with_answer(
    body: nn.Module, prompt: Prompt, answer_tokens: list[int]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Give the embeddings [1, S + T, D] of a prompt and the T answer tokens behind it.

    Gives also cos and sin of their positions: the answer's go on from the prompt's greatest one.
    """
    device = prompt.inputs_embeds.device
    input_ids = torch.tensor([answer_tokens], dtype=torch.long, device=device)
    answer_embeds = body.embed_tokens(input_ids).to(prompt.inputs_embeds.dtype)
    inputs_embeds = torch.cat([prompt.inputs_embeds, answer_embeds], 1)
    ahead = torch.arange(1, len(answer_tokens) + 1, device=device)
    answer_positions = (prompt.position_ids[..., -1].max() + ahead).expand(
        *prompt.position_ids.shape[:-1], -1
    )
    position_ids = torch.cat([prompt.position_ids, answer_positions], -1)
    return inputs_embeds, body.rotary_emb(inputs_embeds, position_ids)


@dataclass
class StageOutcome:
    """What one stage did to the N0 visual tokens of the untouched prompt.

    alive_index [N0]: which of the N visual tokens now alive holds each of them, -1 if it is gone.
    source_index [N]: which of the N0 tokens each one now alive is, or at whose place it stands; -1
    for a merged or added one that stands at nobody's.
    alive_index_before [N0]: `alive_index` as it was when the stage began. tower: as in `Kept`.
    """

    stage: Stage
    alive_index: Tensor
    source_index: Tensor
    alive_index_before: Tensor
    tower: tuple[int, ...] | None = None


class Sequence:
    """The tokens that are alive while the prompt passes through the layers.

    hidden_states [1, S, D] and position_ids [1, S] or [3, 1, S] of them; is_visual, is_text [S];
    visual_positions [N]; text_visual_mask [3, S]: text, visual, and
    the first token where it is neither; grid_position [N, 3]; alive_index [N0] and
    source_index [N] as in `StageOutcome`; token_id [N], which a token keeps; attention_bias: what
    a stage adds to attention logits, or None. Its tensors are replaced, never written into.
    """

    def __init__(self, prompt: Prompt):
        device = prompt.inputs_embeds.device
        self.hidden_states = prompt.inputs_embeds
        self.position_ids = prompt.position_ids
        self.is_visual = torch.zeros(self.hidden_states.shape[1], dtype=torch.bool, device=device)
        self.is_visual[prompt.visual_positions] = True
        self.is_text = prompt.is_text
        self.grid_position = prompt.signals.grid_position
        self.alive_index = torch.arange(len(prompt.visual_positions), device=device)
        self.source_index = self.token_id = self.alive_index.clone()
        self.n_token_ids = len(self.token_id)
        self.deepstack = prompt.deepstack
        self.attention_bias: AttentionBias | None = None
        self._refresh()

    def _refresh(self) -> None:
        self.visual_positions = self.is_visual.nonzero()[:, 0]
        is_first = ~(self.is_text | self.is_visual)
        is_first[1:] = False
        self.text_visual_mask = torch.stack([self.is_text, self.is_visual, is_first]).float()
        self._position_embeddings: tuple[Tensor, Tensor] | None = None

    def drop(self, kept: Kept, stage: Stage, renumber: bool) -> StageOutcome:
        """Rebuild the sequence: [merged[:lead], kept, merged[lead:]] where the block was.

        Positions by row and column are kept, whatever the plan: counted anew they would lose the
        picture's layout. Where positions are kept, a merged token gets that of its centre, or else
        the mean of those folded into it.
        """
        by_grid = self.position_ids.dim() == 3
        # after an optional stage only text may be left, and text keeps its positions
        renumber = renumber and not by_grid and not stage.optional
        n_merged = 0 if kept.merged is None else len(kept.merged)
        merge: MergeWeights | None = None
        if n_merged and ((not renumber and kept.centre is None) or self.deepstack):
            merge = kept.mix or _mean_of(_shares(kept.group, self.visual_positions, n_merged))
        visual_position_ids = self.position_ids[..., self.visual_positions].float()
        self.deepstack = tuple(_rebuilt(rows, kept, merge) for rows in self.deepstack)
        outcome = self.follow(kept, stage)
        order = self._order(kept, n_merged)
        is_merged, source = order < 0, order.clamp(min=0)
        is_kept = self.is_visual[source] & ~is_merged
        self.hidden_states = self.hidden_states[:, source]
        if n_merged:
            self.hidden_states[0, is_merged] = kept.merged.to(self.hidden_states.dtype)
        if kept.features is not None:
            self.hidden_states[0, is_kept] = kept.features.to(self.hidden_states.dtype)
        self.is_visual = self.is_visual[source] | is_merged
        self.is_text = self.is_text[source] & ~is_merged
        if renumber:
            count = torch.arange(len(order), device=order.device)
            self.position_ids = count.expand(*self.position_ids.shape[:-1], -1)
        else:
            self.position_ids = self.position_ids[..., source]
            if n_merged:
                own = _merged_positions(kept, visual_position_ids, merge)
                self.position_ids[..., is_merged] = own.to(self.position_ids.dtype)
        self.attention_bias = AttentionBias.behind(
            self.attention_bias, kept, stage, order, is_kept, self.position_ids
        )
        self._refresh()
        return outcome

    def keep_all(self, kept: Kept, stage: Stage) -> tuple[StageOutcome, Tensor]:
        """Let all tokens stay at a stage that only wipes the cache.

        Gives also the indices [n], in the sequence, of the visual tokens that are not kept.
        """
        if len(kept.index) != stage.keep or kept.merged is not None:
            raise RuntimeError(f"{stage} was answered with {len(kept.index)} kept")
        wiped = torch.ones(
            len(self.visual_positions) + 1, dtype=torch.bool, device=self.hidden_states.device
        )
        wiped[kept.index] = False
        # index -1 reads the last entry, which is one more than there are tokens: gone stays gone
        alive_index = self.alive_index.masked_fill(wiped[self.alive_index], -1)
        outcome = StageOutcome(stage, alive_index, self.source_index, self.alive_index)
        return outcome, self.visual_positions[wiped[:-1]]

    def _check(self, kept: Kept, stage: Stage) -> None:
        """Refuse a choice that is not what the stage has announced."""
        found = len(kept.index), 0 if kept.merged is None else len(kept.merged)
        everything = stage.optional and found[0] == len(self.visual_positions)
        if found != (stage.keep, stage.merge) and not everything:
            raise RuntimeError(f"{stage} was answered with {found[0]} kept, {found[1]} merged")

    def _order(self, kept: Kept, n_merged: int) -> Tensor:
        """Give, for each token of the rebuilt sequence, the index it had, [S'], -1 if merged."""
        stays = ~self.is_visual
        stays[self.visual_positions[kept.index]] = True
        order = stays.nonzero()[:, 0]
        # what was at index i sorts as 2 i + 1, so that a merged token may go to 2 i, before it
        sort_keys = torch.cat([self._sort_keys_of_merged(kept, n_merged), 2 * order + 1])
        order = torch.cat([order.new_full((n_merged,), -1), order])
        return order[sort_keys.argsort(stable=True)]

    def _sort_keys_of_merged(self, kept: Kept, n_merged: int) -> Tensor:
        """Give the sort key of every merged token, [M], if that of index i is 2 i + 1."""
        # where none is kept, the merged ones are all there is, in their own order
        before = kept.centre if kept.centre is not None and len(kept.index) else kept.insert_before
        if before is not None:
            return 2 * self.visual_positions[before]
        first, last = self.visual_positions[:1], self.visual_positions[-1:]
        behind = n_merged - kept.lead
        return torch.cat([(2 * first).expand(kept.lead), (2 * last + 2).expand(behind)])

    def follow(self, kept: Kept, stage: Stage) -> StageOutcome:
        """Update who holds whom: `alive_index`, `source_index` and `grid_position`; no more."""
        self._check(kept, stage)
        before = self.alive_index
        kept_slots, merged_slots = kept.slots()
        # One entry more than there are tokens: index -1 reads the last one, and gone stays gone.
        moved = self.alive_index.new_full((len(self.source_index) + 1,), -1)
        moved[kept.index] = kept_slots
        if kept.group is not None:
            folded = (kept.group >= 0).nonzero()[:, 0]
            moved[folded] = merged_slots[kept.group[folded]]
        self.alive_index = moved[self.alive_index]
        count = len(kept_slots) + len(merged_slots)
        source_index = self.source_index.new_full((count,), -1)
        grid_position = self.grid_position.new_full((count, 3), -1)
        source_index[kept_slots] = self.source_index[kept.index]
        grid_position[kept_slots] = self.grid_position[kept.index]
        if kept.centre is not None:
            somewhere = kept.centre >= 0
            at, centre = merged_slots[somewhere], kept.centre[somewhere]
            source_index[at] = self.source_index[centre]
            grid_position[at] = self.grid_position[centre]
        self.source_index, self.grid_position = source_index, grid_position
        token_id = torch.empty_like(source_index)
        token_id[kept_slots] = self.token_id[kept.index]
        number = torch.arange(len(merged_slots), device=token_id.device)
        token_id[merged_slots] = self.n_token_ids + number
        self.token_id, self.n_token_ids = token_id, self.n_token_ids + len(number)
        return StageOutcome(stage, self.alive_index, self.source_index, before, kept.tower)

    def add_deepstack(self, layer: int) -> None:
        """Add to the visual tokens what their picture has for them behind a layer (DeepStack)."""
        self.hidden_states = add_deepstack(
            self.hidden_states, self.deepstack, layer, self.visual_positions
        )

    def attention_mask(self, layer: int) -> Tensor | None:
        """Give the causal mask with what stages add to it, [1, 1, S, S]; None if they add nothing.

        Without a mask sdpa is causal by itself.
        """
        if self.attention_bias is None:
            return None
        return self.attention_bias.mask(layer, self.hidden_states.dtype)

    def attention_bias_of(self, layer: int, rows: Tensor) -> Tensor | None:
        """Give what stages add to some rows of a layer's logits, [R, S]; None if nothing."""
        return self.attention_bias and self.attention_bias.rows(layer, rows)

    def position_embeddings(self, body: nn.Module) -> tuple[Tensor, Tensor]:
        """Give cos and sin of the present positions, computed once between two drops."""
        if self._position_embeddings is None:
            self._position_embeddings = body.rotary_emb(self.hidden_states, self.position_ids)
        return self._position_embeddings


def add_deepstack(
    hidden_states: Tensor, deepstack: tuple[Tensor, ...], layer: int, visual_positions: Tensor
) -> Tensor:
    """Add rows [N, D] of a layer to the visual tokens of a sequence [B, S, D], if it has any."""
    if layer >= len(deepstack):
        return hidden_states
    rows = deepstack[layer].to(hidden_states.dtype).expand(len(hidden_states), -1, -1)
    return hidden_states.index_add(1, visual_positions, rows)


def _shares(group: Tensor | None, visual_positions: Tensor, n_merged: int) -> Tensor:
    """Give the share that each visual token has of each merged one, [M, N]; rows add up to 1.

    A merged token into which none was folded ([CLS]) takes equal shares of all.
    """
    shares = torch.zeros(
        n_merged, len(visual_positions), device=visual_positions.device, dtype=torch.float32
    )
    if group is not None:
        folded = (group >= 0).nonzero()[:, 0]
        shares[group[folded], folded] = 1
    shares[shares.sum(1) == 0] = 1
    return shares / shares.sum(1, keepdim=True)


def _mean_of(shares: Tensor) -> MergeWeights:
    """Take means of rows [N, C] by shares [M, N]."""
    return lambda rows: shares.to(rows) @ rows


def _merged_positions(kept: Kept, positions: Tensor, merge: MergeWeights | None) -> Tensor:
    """Give the positions of merged tokens, [..., M], of those of all visual ones, [..., N].

    That of its centre, or else the mean of those folded into it.
    """
    if kept.centre is None:
        means = merge(positions.flatten(0, -2).T).T
        return means.view(*positions.shape[:-1], len(kept.merged)).round()
    means = positions @ _shares(kept.group, positions.flatten(0, -2)[0], len(kept.merged)).T
    return torch.where(kept.centre < 0, means.round(), positions[..., kept.centre.clamp(min=0)])


def _rebuilt(rows: Tensor, kept: Kept, merge: MergeWeights | None) -> Tensor:
    """Take rows [N, D] of the visual tokens through a stage, [K + M, D]."""
    left = rows[kept.index]
    if merge is None:
        return left
    rebuilt = torch.cat([left, merge(rows).to(rows)])
    return rebuilt[torch.cat(kept.slots()).argsort()]
