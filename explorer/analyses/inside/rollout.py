"""Attention rollout: what reaches a word of the answer through all layers together.

Abnar, Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020, arXiv 2005.00928: half of
every token comes from itself, half from what it attends to, mean over heads; layer by layer these
mixtures are multiplied. Prompt and answer pass once more as a whole, and attention is taken from
queries and keys in parts. Knows prompts and plans; not cases or pages.
Letters: S tokens of prompt and answer, N patches, G tokens of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.analyses.inside.layer_keys import find
from explorer.errors import MethodUnavailable
from explorer.inference.attention_weights import MAX_ATTENTION_ELEMENTS, causal_rows
from explorer.inference.layer_signals import SignalRecorder
from explorer.inference.llm_layers import ForwardState, run_layer
from explorer.inference.prefill import PruningPlan, prefill, prune
from explorer.inference.sequence import Prompt, StageOutcome
from explorer.inference.sequence import Sequence as Tokens
from explorer.methods.signals import Kept, Signals, Stage
from explorer.vlm.components import Decoder


@dataclass
class _Replay:
    """What a plan has chosen, to be chosen again with an answer behind the prompt."""

    plan: PruningPlan
    kept: list[Kept]

    def record(self, signals: Signals, stage: Stage) -> Kept:
        """Choose as the plan does."""
        self.kept.append(self.plan.choose(signals, stage))
        return self.kept[-1]

    def again(self) -> PruningPlan:
        """Give a plan that chooses what was chosen."""
        kept = iter(self.kept)
        return replace(self.plan, choose=lambda *_: next(kept), needs=frozenset())


@torch.no_grad()
def rollout(decoder: Decoder, prompt: Prompt, plan: PruningPlan, tokens: Sequence[int]) -> Tensor:
    """Give what reaches each token of an answer from every patch, [G, N]; rows sum to 1 at most.

    A merged token has even parts of its patches. tokens [G].
    """
    if any(stage.wipe_cache or stage.cut_from is not None for stage in plan.stages):
        raise MethodUnavailable(
            "Rollout needs prompt and answer to see the same tokens, and this method's answer "
            "doesn't."
        )
    replay = _Replay(plan, [])
    if plan.stages:
        prefill(decoder, prompt, replace(plan, choose=replay.record))
    plan = replay.again()
    longer = _with_answer(decoder, prompt, tokens[:-1])
    state = ForwardState(Tokens(longer), SignalRecorder(frozenset(), longer))
    n = len(prompt.visual_positions)
    reached = longer.inputs_embeds.new_zeros(longer.inputs_embeds.shape[1], n).float()
    reached[prompt.visual_positions, torch.arange(n, device=reached.device)] = 1
    stages = {stage.layer: stage for stage in plan.stages}
    for index, layer in enumerate(decoder.body.layers):
        if index in stages:
            before = _numbers(state.sequence)
            outcome, _ = prune(decoder, state, plan, stages[index])
            reached = _followed(reached, before, state.sequence, outcome)
        heard: list[tuple[Tensor, Tensor, float]] = []
        run_layer(layer, [state], decoder.body, lambda _, *qk, heard=heard: heard.append(qk), False)
        reached = (reached + _mixed(reached, heard[0], state.sequence, index)) / 2
    return reached[-len(tokens) :]


def _with_answer(decoder: Decoder, prompt: Prompt, tokens: Sequence[int]) -> Prompt:
    """Put an answer behind a prompt; its positions go on from the greatest one."""
    device = prompt.inputs_embeds.device
    ids = torch.tensor([list(tokens)], dtype=torch.long, device=device)
    embeds = decoder.body.embed_tokens(ids).to(prompt.inputs_embeds.dtype)
    ahead = torch.arange(1, len(tokens) + 1, device=device)
    behind = (prompt.position_ids[..., -1].max() + ahead).expand(
        *prompt.position_ids.shape[:-1], -1
    )
    return replace(
        prompt,
        inputs_embeds=torch.cat([prompt.inputs_embeds, embeds], 1),
        position_ids=torch.cat([prompt.position_ids, behind], -1),
        is_text=torch.cat([prompt.is_text, prompt.is_text.new_zeros(len(tokens))]),
    )


def _mixed(
    reached: Tensor, qk: tuple[Tensor, Tensor, float], sequence: Tokens, layer: int
) -> Tensor:
    """Let every token take what those have that it attends to, [S, N], some rows at a time."""
    query, key, scaling = qk[0][0], qk[1][0], qk[2]
    H, S, _ = query.shape
    parts = []
    for rows in torch.arange(S, device=query.device).split(
        max(1, MAX_ATTENTION_ELEMENTS // (H * S))
    ):
        bias = sequence.attention_bias_of(layer, rows)
        attention = causal_rows(query[:, rows], key, rows, scaling, bias=bias).mean(0)
        parts.append(attention.to(reached.device) @ reached)
    return torch.cat(parts)


def _numbers(sequence: Tokens) -> Tensor:
    """Number all tokens so that each keeps its number: words below zero."""
    visual = sequence.is_visual
    number = torch.empty(len(visual), dtype=torch.long, device=visual.device)
    number[visual] = sequence.token_id
    number[~visual] = -1 - torch.arange(int((~visual).sum()), device=visual.device)
    return number


def _followed(reached: Tensor, before: Tensor, sequence: Tokens, outcome: StageOutcome) -> Tensor:
    """Take the rows of those that stay along; a new token is even parts of its patches."""
    at, found = find(before, _numbers(sequence))
    followed = reached[at] * found[:, None]
    place = sequence.visual_positions[outcome.alive_index.clamp(min=0)]
    is_new = (outcome.alive_index >= 0) & ~found[place]
    members = reached.new_zeros(reached.shape[1], len(followed))
    members[is_new, place[is_new]] = 1
    return followed + (members / members.sum(0).clamp(min=1)).T
