"""Run the language model layer by layer over a prompt, and let tokens leave between layers.

Knows sequences, positions and caches; not where tokens come from, which method chooses them, or
what the words mean. Prompts that pass together stand one behind the other in one row of tokens.
Facts about transformers 5.24 that this file rests on: a decoder layer returns one tensor; sdpa
without a mask is causal for more than one query and open for a single one; caches hold keys with
their positions and may differ in length from layer to layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.inference.attention_weights import last_rows
from explorer.inference.llm_layers import (
    ForwardState,
    LayerTrace,
    Shared,
    SignalRecorder,
    record_qk,
    run_layer,
)
from explorer.inference.sequence import Prompt, Sequence, StageOutcome
from explorer.methods.observed import Neurons
from explorer.methods.signals import Kept, Signals, Stage
from explorer.vlm.components import Decoder
from explorer.vlm.progress import track
from explorer.vlm.turns.current_run import clock, yield_turn

ChooseTokens = Callable[[Signals, Stage], Kept]


@dataclass(frozen=True)
class PruningPlan:
    """Where tokens leave, what chooses them from which signals, and what becomes of positions.

    decoding_neuron_mask: chooses, from what a layer's FFN activates over the prompt, the neurons
    [I] that decoding may use there; needs "neurons". None lets it use all.
    """

    stages: tuple[Stage, ...] = ()
    choose: ChooseTokens | None = None
    needs: frozenset[str] = frozenset()
    renumber: bool = False
    decoding_neuron_mask: Callable[[Neurons], Tensor] | None = None


KEEP_ALL = PruningPlan()


@dataclass
class PrefillRun:
    """A prefilled prompt, from which an answer can be decoded. L layers, V tokens of the language.

    logits [V] after the last prompt token; n_visual [L] and length [L]: visual and all tokens that
    entered each layer; cached_length [L]: all tokens that its cache holds when decoding begins;
    cached_visual [L]: visual tokens without those that are wiped from a layer's cache. token_id
    [L]: `Sequence.token_id` of the visual tokens in its cache; key_bias [L][cached_length]: what is
    added to attention logits of its cached keys, or None. text_visual_mask [L][3, cached_length]:
    which tokens are text, which visual, and the first one where it is neither.
    prompt_attention_mass [L, 3]: attention that the last prompt row paid to text, to visual tokens
    and to the first one; attention_mass [L, 3]: the same summed over all rows that produced the
    answer, n_answer_tokens of them. position_axes: dimensions of position ids before the batch
    (mRoPE: 3); next_position [L]: the position of the next token in each layer. neuron_mask [L][I]:
    the neurons that decoding may use in each layer; empty for all. trace [L]: what the layers did,
    if that was asked for.
    """

    decoder: Decoder
    cache: DynamicCache
    position_axes: tuple[int, ...]
    next_position: list[int] = field(default_factory=list)
    text_visual_mask: list[Tensor] = field(default_factory=list)
    n_visual: list[int] = field(default_factory=list)
    cached_visual: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    cached_length: list[int] = field(default_factory=list)
    key_bias: list[Tensor | None] = field(default_factory=list)
    token_id: list[Tensor] = field(default_factory=list)
    outcomes: list[StageOutcome] = field(default_factory=list)
    neuron_mask: list[Tensor] = field(default_factory=list)
    trace: list[LayerTrace] = field(default_factory=list)
    logits: Tensor | None = None
    prompt_attention_mass: Tensor | None = None
    attention_mass: Tensor | None = None
    n_answer_tokens: int = 1
    select_seconds: float = 0.0
    prefill_seconds: float = 0.0

    def record_input(self, sequence: Sequence) -> None:
        """Note what is about to enter the next layer."""
        self.next_position.append(int(sequence.position_ids[..., -1].max()) + 1)
        self.text_visual_mask.append(sequence.text_visual_mask)
        self.n_visual.append(len(sequence.visual_positions))
        self.cached_visual.append(len(sequence.visual_positions))
        layer, bias = len(self.length), sequence.attention_bias
        self.key_bias.append(None if bias is None else bias.keys(layer))
        self.token_id.append(sequence.token_id)
        self.length.append(sequence.hidden_states.shape[1])
        self.cached_length.append(sequence.hidden_states.shape[1])

    def cut_caches(self, first: int, alive: Tensor, own_positions: bool) -> None:
        """Take visual tokens out of the caches of the layers from `first` on that have run.

        alive: the `token_id` of those that stay.
        own_positions: the next token stands at the length of each cut cache.
        """
        for layer in range(first, len(self.length)):
            visual = self.text_visual_mask[layer][1] > 0
            stays, still = ~visual, torch.isin(self.token_id[layer], alive)
            stays[visual] = still
            self.token_id[layer] = self.token_id[layer][still]
            index = stays.nonzero()[:, 0]
            if self.cache.get_seq_length(layer):
                cached = self.cache.layers[layer]
                here = index.to(cached.keys.device)
                cached.keys, cached.values = cached.keys[:, :, here], cached.values[:, :, here]
            self.text_visual_mask[layer] = self.text_visual_mask[layer][:, index]
            bias = self.key_bias[layer]
            self.key_bias[layer] = None if bias is None else bias[index]
            self.cached_length[layer] = len(index)
            if own_positions:
                self.next_position[layer] = len(index)

    def wipe_cache(self, layer: int, positions: Tensor) -> None:
        """Set what a layer has cached at these indices to zero; if it has cached any."""
        self.cached_visual[layer] -= len(positions)
        if self.cache.get_seq_length(layer):
            cached = self.cache.layers[layer]
            positions = positions.to(cached.keys.device)
            cached.keys = cached.keys.index_fill(2, positions, 0)
            cached.values = cached.values.index_fill(2, positions, 0)


def prune(
    decoder: Decoder, state: ForwardState, plan: PruningPlan, stage: Stage, ends: bool = False
) -> tuple[StageOutcome, Tensor]:
    """Let the plan choose which tokens leave at one stage, and rebuild the sequence.

    Gives also the indices of those that stay but shall be wiped from the last layer's cache.
    ends: nothing reads the sequence any more, so that it isn't rebuilt.
    """
    yield_turn()  # some methods take as long to choose as a layer takes to run
    sequence, recorder = state.sequence, state.recorder
    if stage.layer == 0:
        signals = recorder.prompt.signals
    else:
        signals = recorder.signals(sequence, decoder.body, stage.layer)
    kept = plan.choose(signals, stage)
    if stage.wipe_cache:
        return sequence.keep_all(kept, stage)
    if ends:
        return sequence.follow(kept, stage), kept.index[:0]
    outcome = sequence.drop(kept, stage, plan.renumber and not stage.keep_positions)
    recorder.follow(kept)
    return outcome, kept.index[:0]


class _PrefillRow:
    """One of the prompts that pass together: its run so far, its tokens, and its stages."""

    def __init__(self, decoder: Decoder, prompt: Prompt, plan: PruningPlan, trace: bool):
        n_layers, device = len(decoder.body.layers), prompt.inputs_embeds.device
        self.plan = plan
        self.stages = {stage.layer: stage for stage in plan.stages}
        whole = trace or plan.decoding_neuron_mask
        self.n_recorded = n_layers if whole else max(self.stages, default=0)
        self.run = PrefillRun(
            decoder=decoder,
            cache=DynamicCache(config=decoder.body.config),
            position_axes=tuple(prompt.position_ids.shape[:-2]),
            prompt_attention_mass=torch.zeros(n_layers, 3, device=device, dtype=torch.float32),
        )
        recorder = SignalRecorder(plan.needs, prompt)
        self.state = ForwardState(Sequence(prompt), recorder, self.run.cache)

    def prune(self, layer: int) -> None:
        """Let tokens leave before a layer if there is a stage."""
        if layer not in self.stages:
            return
        began, stage, run = clock(), self.stages[layer], self.run
        outcome, wiped = prune(run.decoder, self.state, self.plan, stage)
        run.outcomes.append(outcome)
        if stage.wipe_cache:
            run.wipe_cache(layer - 1, wiped)
        if stage.cut_from is not None:
            run.cut_caches(stage.cut_from, self.state.sequence.token_id, stage.cut_positions)
        run.select_seconds += clock() - began

    def trace_layer(self, attention: Tensor) -> None:
        """Keep what the layer that has just run did. attention [H, S]: of the last token."""
        sequence, changes = self.state.sequence, self.state.recorder.transitions
        hidden_states = sequence.hidden_states[0]
        self.run.trace.append(
            LayerTrace(
                attention=attention,
                hidden=hidden_states[-1].clone(),  # a view would hold all tokens in memory
                norms=hidden_states[sequence.visual_positions].float().norm(dim=-1),
                token_id=sequence.token_id,
                text_visual_mask=sequence.text_visual_mask,
                position_ids=sequence.position_ids,
                transition=changes[-1] if changes else None,
            )
        )

    def choose_neurons(self) -> None:
        """Choose the neurons that decoding may use in the layer that has just run."""
        if self.plan.decoding_neuron_mask:
            neurons = self.state.recorder.neurons(self.state.sequence)
            self.run.neuron_mask.append(self.plan.decoding_neuron_mask(neurons))


def prefill(
    decoder: Decoder,
    prompt: Prompt,
    plan: PruningPlan = KEEP_ALL,
    trace: bool = False,
    behind: Callable[[ForwardState], None] | None = None,
) -> PrefillRun:
    """Pass the prompt through all layers; tokens leave where the plan says.

    trace: whether to keep what each layer did; see `LayerTrace`. behind: sees what each layer gives
    and what is recorded of it.
    """
    return prefill_together(decoder, [(prompt, plan)], trace, behind)[0]


@torch.no_grad()
def prefill_together(
    decoder: Decoder,
    prompts: list[tuple[Prompt, PruningPlan]],
    trace: bool = False,
    behind: Callable[[ForwardState], None] | None = None,
) -> list[PrefillRun]:
    """Pass several prompts through all layers side by side, each by its own plan.

    Runs differ from those that are prefilled alone by rounding only, if at all. Their
    `prefill_seconds` are not a number: they are shared.
    """
    started, body = clock(), decoder.body
    rows = [_PrefillRow(decoder, prompt, plan, trace) for prompt, plan in prompts]
    runs, states = [row.run for row in rows], [row.state for row in rows]
    mass: dict[int, Tensor] = {}  # what each state's last token paid in the layer that runs
    by_head: dict[int, Tensor] = {}  # and to which tokens, if that is to be kept

    def record(groups: list[Shared], query: Tensor, key: Tensor, scaling: float) -> None:
        record_qk(groups, query, key, scaling)
        first = [group[0] for group in groups]
        bias = _last_bias(first, len(runs[0].length) - 1)
        lengths = [state.length for state in first]
        attention = last_rows(query, key, scaling, lengths, bias)
        masks = torch.cat([state.sequence.text_visual_mask for state in first], 1)
        for group, paid in zip(groups, attention.mean(0).to(masks.device) @ masks.T, strict=True):
            mass.update((id(state), paid) for state in group)
        for number, own in enumerate(attention.split(lengths, 2) if trace else ()):
            by_head.update((id(state), own[:, number]) for state in groups[number])

    n_recorded = max(row.n_recorded for row in rows)
    for index, layer in enumerate(track(body.layers, "prefill")):
        for row in rows:
            row.prune(index)
            row.run.record_input(row.state.sequence)
        run_layer(layer, states, body, record, index < n_recorded)
        if not mass:
            raise RuntimeError("the decoder has its own attention; register_attention() is needed")
        for row in rows:
            row.run.prompt_attention_mass[index] = mass[id(row.state)]
            row.choose_neurons()
            if trace:
                row.trace_layer(by_head[id(row.state)])
            if behind is not None:
                behind(row.state)
    for row in rows:
        row.prune(len(body.layers))  # a stage that wipes the cache may stand behind the last layer
    last = torch.cat([state.sequence.hidden_states[:, -1:] for state in states])  # [B, 1, D]
    logits = decoder.head(body.norm(last))[:, -1].float()
    seconds = clock() - started if len(rows) == 1 else math.nan
    for run, run_logits in zip(runs, logits, strict=True):
        run.attention_mass, run.logits = run.prompt_attention_mass, run_logits
        run.prefill_seconds = seconds - run.select_seconds
    return runs


def _last_bias(states: list[ForwardState], layer: int) -> Tensor | None:
    """Give what is added to the last row of every sequence in a pack, [S]; None if nothing."""
    if all(state.sequence.attention_bias is None for state in states):
        return None
    parts = []
    for state in states:
        visual = state.sequence.visual_positions
        bias = state.sequence.attention_bias_of(layer, visual.new_tensor([state.length - 1]))
        parts.append(visual.new_zeros(state.length).float() if bias is None else bias[0])
    return torch.cat(parts)
