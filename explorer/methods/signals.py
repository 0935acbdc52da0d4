"""What a pruning method may look at (`Signals`) and what it answers (`Stage`, `Kept`).

Knows nothing of models, pictures or pages: plain tensors in, indices out. Letters: N visual tokens
that are alive, K kept, M merged, V views of the picture (1, or crops and a thumbnail), n patches in
a view, H heads, D width of the language model, Dv width of the vision tower, d width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from explorer.methods.observed import AnswerGradient, Neurons, TowerLayer, Transition

Made = TypeVar("Made")


@dataclass(frozen=True)
class Size:
    """How much there is to prune: N visual tokens, L decoder layers, patches in one row.

    cls: whether the vision tower has a [CLS] token, which some methods keep beside the patches.
    frames: of a video, each with as many tokens; 1 for a picture, whose crops are no frames.
    """

    tokens: int
    layers: int
    columns: int
    cls: bool = True
    frames: int = 1


@dataclass(frozen=True)
class Stage:
    """One place where tokens leave: before the language model (0), or before its layer r.

    keep, merge: how many stay as they are, and how many merged ones there are; both may be 0.
    optional: the method may keep every token instead, if what it sees there tells it to.
    wipe_cache: no token leaves; what layer r - 1 has cached of those that are not kept becomes
    zero, so that decoding alone changes. r may then be L, behind the last layer.
    cut_from: what has left is cut out of the caches, from this layer to those that have run last;
    None cuts no cache. cut_positions: there the next token stands at the length of the cut cache.
    keep_positions: those that stay keep their positions, whatever becomes of them elsewhere.
    """

    layer: int
    keep: int
    merge: int = 0
    optional: bool = False
    wipe_cache: bool = False
    cut_from: int | None = None
    cut_positions: bool = False
    keep_positions: bool = False

    @property
    def total(self) -> int:
        """Visual tokens alive after the stage; at one that wipes, those that keep their cache."""
        return self.keep + self.merge


@dataclass
class Kept:
    """The outcome of one stage.

    index: [K] ascending, those that stay; merged: [M, D] new tokens in the LLM's width, or None.
    group:  [N] which merged token a token was folded into, -1 for none, or None.
    lead:   how many of the merged tokens stand before the kept ones; the others stand behind.
    insert_before: [M] ascending, the token before which each merged one stands, where none is
            kept and text lies between (frames of a video); None otherwise.
    mix:    maps rows [N, C] of all tokens to those of the merged ones [M, C], if `group` can't.
    centre: [M] ascending, the token at whose place each merged one stands, folded into it; None if
            they stand before and behind the kept ones. In any order if none is kept, -1: nobody's.
    features: [K, D] what becomes of the kept tokens, where they don't stay as they are; or None.
    tower:  tokens that entered each layer of the vision tower, if some left there, [CLS] counted.
    weight: [K + M], kept ones first: as how many each counts in all attention from here on (its
            logarithm is added to its column's logits); None: as one.
    first_weight: [K + M] the same in the first layer behind the stage alone; None: no exception.
    distance_bias: maps distances of positions [S, S], query minus key, to what is added to the
            prompt's attention logits from here on; or None.
    """

    index: Tensor
    merged: Tensor | None = None
    group: Tensor | None = None
    lead: int = 0
    insert_before: Tensor | None = None
    mix: Callable[[Tensor], Tensor] | None = None
    centre: Tensor | None = None
    features: Tensor | None = None
    tower: tuple[int, ...] | None = None
    weight: Tensor | None = None
    first_weight: Tensor | None = None
    distance_bias: Callable[[Tensor], Tensor] | None = None

    def slots(self) -> tuple[Tensor, Tensor]:
        """Tell where the kept [K] and the merged [M] tokens stand among those that are left."""
        n_kept, n_merged = len(self.index), 0 if self.merged is None else len(self.merged)
        place = torch.arange(n_kept + n_merged, device=self.index.device)
        if self.centre is not None and n_kept:
            place = torch.cat([self.index, self.centre]).argsort().argsort()
            return place[:n_kept], place[n_kept:]
        block = slice(self.lead, self.lead + n_kept)
        return place[block], torch.cat([place[: self.lead], place[block.stop :]])


@dataclass(frozen=True)
class Signals:
    """What a method may look at, at one stage. A field that the method does not name is None.

    Always there:
      grid_position  [N, 3] view, row and column of the patch that a token stands for; -1 -1 -1 for
                     a token without a patch (newline, [CLS], merged).
      features       [N, D] the tokens as the language model gets them; inside it, their hidden
                     states.
      patches        [N, P] which patches a token stands for, as view * n + patch; -1 pads.

    Before the language model, from the vision tower (the layer that feeds the projector, unless
    another is named):
      cls_attention        [V, H, n] softmaxed attention of [CLS] to the patches; None without one.
      first_cls_attention  [V, H, n] the same in the tower's first layer.
      early_cls_attention  [V, H, n] the same a fifth of the way up, where a tower sees details.
      last_cls_attention   [V, H, n] the same in the tower's last layer.
      last_cls_logits      [V, H, n] the same before the softmax, scaled; None without one.
      wide_cls_attention   [V, n] the same there, as if all heads were one.
      object_attention     [V, n] attention that a patch receives where the tower looks at things,
                           9/24 of the way up; mean over heads and queries, [CLS] among them.
      patch_attention      [V, n, n] softmaxed, mean over heads, [CLS] cut off; row = query.
      patch_logits         [V, n, n] the same before the softmax.
      keys                 [V, n, d] keys, bias included, not scaled, mean over heads.
      last_keys            [V, n, H * d] keys of the tower's last layer, heads side by side.
      hidden               [V, n, Dv] what the projector reads.
      patches_per_token    J, how many patches the projector makes a token of, one behind the
                           other.
      cls_hidden           [V, J * Dv] the hidden state of [CLS], as often as the projector
                           wants it; None without a [CLS].
      project              maps [..., J * Dv] to [..., D]; `unprojected` is what it maps.
      project_difference   maps x and nudges to project(x + nudge) - project(x - nudge), faster.
      padding              [N] true for a token that lies wholly outside the picture.
      frame_position       [N, 3] frame of a video, row and column in it; -1 for a token of none.
                           None for a picture.
      areas                [V, 4] x0 y0 x1 y1 of each view, as shares of the picture; view 0 is
                           the whole picture where there are several.
      rerun_tower          runs the tower again: maps a rule to what the projector reads then, with
                           [CLS] in front. The rule gets a `TowerLayer` behind every layer, and
                           gives the tokens that the next one reads, or None if they are the same.
      patch_embeds         [V, n, C] patches in the space that the tower shares with a text tower,
      text_embeds          [M, C] and the question in it; None where there is no such text tower.

    Before the language model, from the prompt (M words, T tokens after the visual ones):
      question             the visitor's words.
      embed                maps a text to the input embeddings [M, D] of its tokens, unframed.
      tail                 [T, D] input embeddings of all tokens after the visual ones.
      rotary_frequencies   [d / 2] the language model's rotary embedding: radians per position.
      question_attention   [N] layer 0: attention of the tail to each visual token, mean over
                           heads and rows.
      relevance_net        maps that [N] to shares of relevance [N]; None where nobody has trained
                           this network for the model.
      explain              gives, for "logit" or "logprob", an `AnswerGradient` for every token of
                           the full answer without EOS.

    Inside the language model, at the stage before layer r; queries and keys carry their positions.
    last_cls_attention and patch_attention are known there, too:
      last_attention       [H, N] layer r - 1: softmaxed attention of the prompt's last token.
      unrotated_attention  [H, N] layer r - 1: the last token's query and the visual keys without
                           their positions, softmaxed over these N alone.
      next_last_attention  [H, N] the same in layer r, which has not run yet.
      tail_attention       [H, T, N] layer r - 1: attention of all tokens after the visual ones.
      next_tail_attention  [H, T, N] the same in layer r.
      visual_received      [N] layer r - 1: attention that each visual token gets from all visual
                           ones, maximum over heads, summed over these queries.
      pagerank             [N] layer r - 1: PageRank on attention 10 times as sharp, of all tokens
                           alive, over 5 steps without damping; root of the mean square of heads.
      visual_to_tail       [N] layer r - 1: attention that a visual token pays to the tail.
      visual_attention     [N, N] layer r: visual queries to visual keys, softmaxed over every
                           earlier position, mean over heads.
      visual_keys          [N, d] layer r: keys, mean over heads.
      joined_keys          [N, Hkv * d] the same of all key heads, one behind the other.
      values, tail_values, other_values  [Hkv, N, d], [Hkv, T, d], [Hkv, S - N - T, d] layer r - 1:
                           values of visual tokens, of those after, and of those before or between.
      rotary               [N, 2] mean cosine and mean sine of a position's rotary angles.
      global_attention     [H, N] layer r, without positions: the mean query of all tokens up to the
                           last visual one, softmaxed over these tokens.
      key_norms            [N] layer r - 1: L1 norm of a token's key over all heads,
      tail_key_norms       [T] and of the tokens after the visual ones.
      normed               [N, D] hidden states after the model's last norm,
      tail_normed          [T, D] and those of the tokens after the visual ones.
      n_leading_tokens     how many tokens stand before the visual ones.
      rotated_ones         [N, d] a vector of ones, turned by the rotary embedding of the position,
      tail_rotated_ones    [T, d] and for the tokens after the visual ones.
      tail, inputs         [T, D] and [N0, D] input embeddings of the tail and of all visual tokens
                           of the untouched prompt.
      transitions          one `Transition` for every layer before r.
      neurons              `Neurons` of layer r - 1.
    """

    grid_position: Tensor
    features: Tensor
    patches: Tensor | None = None
    cls_attention: Tensor | None = None
    first_cls_attention: Tensor | None = None
    early_cls_attention: Tensor | None = None
    last_cls_attention: Tensor | None = None
    last_cls_logits: Tensor | None = None
    wide_cls_attention: Tensor | None = None
    object_attention: Tensor | None = None
    patch_attention: Tensor | None = None
    patch_logits: Tensor | None = None
    keys: Tensor | None = None
    last_keys: Tensor | None = None
    hidden: Tensor | None = None
    patches_per_token: int = 1
    cls_hidden: Tensor | None = None
    project: Callable[[Tensor], Tensor] | None = None
    project_difference: Callable[[Tensor, Tensor], Tensor] | None = None
    padding: Tensor | None = None
    frame_position: Tensor | None = None
    areas: Tensor | None = None
    rerun_tower: Callable[[Callable[[TowerLayer], Tensor | None]], Tensor] | None = None
    patch_embeds: Tensor | None = None
    text_embeds: Tensor | None = None
    question: str | None = None
    embed: Callable[[str], Tensor] | None = None
    tail: Tensor | None = None
    rotary_frequencies: Tensor | None = None
    question_attention: Tensor | None = None
    relevance_net: Callable[[Tensor], Tensor] | None = None
    explain: Callable[[str], Iterator[AnswerGradient]] | None = None
    last_attention: Tensor | None = None
    unrotated_attention: Tensor | None = None
    next_last_attention: Tensor | None = None
    tail_attention: Tensor | None = None
    next_tail_attention: Tensor | None = None
    visual_received: Tensor | None = None
    pagerank: Tensor | None = None
    visual_to_tail: Tensor | None = None
    visual_attention: Tensor | None = None
    visual_keys: Tensor | None = None
    joined_keys: Tensor | None = None
    global_attention: Tensor | None = None
    values: Tensor | None = None
    tail_values: Tensor | None = None
    other_values: Tensor | None = None
    rotary: Tensor | None = None
    key_norms: Tensor | None = None
    tail_key_norms: Tensor | None = None
    normed: Tensor | None = None
    tail_normed: Tensor | None = None
    n_leading_tokens: int | None = None
    rotated_ones: Tensor | None = None
    tail_rotated_ones: Tensor | None = None
    inputs: Tensor | None = None
    transitions: tuple[Transition, ...] | None = None
    neurons: Neurons | None = None

    _known: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """Compute something of these signals only once, however many budgets ask for it."""
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    @property
    def count(self) -> int:
        """N, the visual tokens alive at this stage."""
        return self.grid_position.shape[0]

    def per_token(self, patch_values: Tensor) -> Tensor:
        """Turn values of patches [V, n, ...] into values of tokens [N, ...], by their mean.

        A token without a patch gets the smallest value: it is dropped first.
        """
        flat = patch_values.reshape(-1, *patch_values.shape[2:]).float()
        real = self.patches >= 0
        share = real / real.sum(1, keepdim=True).clamp(min=1)
        picked = flat[self.patches.clamp(min=0)]
        values = (picked * share.view(*share.shape, *[1] * (flat.dim() - 1))).sum(1)
        without = ~real.any(1)
        if without.any():
            values[without] = flat.amin(0)
        return values

    def unprojected(self) -> Tensor:
        """Give what the projector reads for each token, [N, J * Dv].

        Its patches behind each other, where the projector joins them, or else their mean.
        """
        if self.patches_per_token == 1:
            return self.per_token(self.hidden)
        return self.hidden.flatten(0, 1)[self.patches].flatten(1)


def top(score: Tensor, k: int) -> Tensor:
    """Give the indices of the k largest scores, ascending; among equals the lowest index wins."""
    order = torch.argsort(score, descending=True, stable=True)
    return order[:k].sort().values
