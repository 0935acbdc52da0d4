"""Run the language model layer by layer, let tokens leave between layers, and decode.

The only place that runs the language model. It knows sequences, positions and caches; it does not
know where tokens come from, which method chooses them, or what the words mean. Batch size 1.
Facts about transformers 5.24 that this file rests on: a decoder layer returns one tensor; sdpa
without a mask is causal for more than one query and open for a single one; caches hold keys with
their positions and may differ in length from layer to layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from explorer.capture import listen
from explorer.families.parts import Decoder
from explorer.inner import OF_LAST_LAYER, Watch
from explorer.sequence import Outcome, Prompt, Sequence
from explorer.signals import Kept, Signals, Stage

Choose = Callable[[Signals, Stage], Kept]


@dataclass(frozen=True)
class Plan:
    """Where tokens leave, who chooses them, what he looks at, and what becomes of positions."""

    stages: tuple[Stage, ...] = ()
    choose: Choose | None = None
    needs: frozenset[str] = frozenset()
    renumber: bool = False


EVERYTHING = Plan()


@dataclass
class Run:
    """A prefilled prompt, ready to decode.

    logits [V] after the last prompt token; visual [L] and length [L] tokens that entered each
    layer; mass [L, 2] attention that the answering rows paid to text and to visual tokens so far.
    """

    decoder: Decoder
    cache: DynamicCache
    next_position: int
    axes: tuple[int, ...]
    renumbered: list[bool] = field(default_factory=list)
    counted: list[Tensor] = field(default_factory=list)
    visual: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    logits: Tensor | None = None
    mass: Tensor | None = None
    answered: int = 0
    select_seconds: float = 0.0
    prefill_seconds: float = 0.0

    def entered(self, sequence: Sequence) -> None:
        """Note what is about to enter the next layer."""
        self.renumbered.append(sequence.renumbered)
        self.counted.append(sequence.counted)
        self.visual.append(len(sequence.visual))
        self.length.append(sequence.x.shape[1])

    def hear(self, layer: int, row: Tensor) -> None:
        """Add an answering row [H, keys] of a layer; keys beyond the prompt are left out."""
        prompt = row[:, : self.length[layer]].mean(0)
        self.mass[layer] += self.counted[layer] @ prompt


def _prune(run: Run, sequence: Sequence, plan: Plan, stage: Stage, watch: Watch) -> None:
    """Let the plan choose who leaves at one stage, and rebuild the sequence."""
    began = time.perf_counter()
    if stage.layer == 0:
        signals = watch.prompt.signals
    else:
        signals = watch.signals(sequence, run.decoder.body, stage.layer)
    kept = plan.choose(signals, stage)
    run.outcomes.append(sequence.drop(kept, stage, plan.renumber))
    merged = 0 if kept.merged is None else len(kept.merged)
    watch.dropped(kept.index, kept.lead, merged - kept.lead)
    run.select_seconds += time.perf_counter() - began


def _last_row(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Give the attention row of the newest token, [H, keys]; it sees every key, so no mask."""
    newest, keys = query[0, :, -1].float(), key[0].float()
    grouped = newest.view(keys.shape[0], -1, newest.shape[-1])
    return ((grouped @ keys.transpose(1, 2)).flatten(0, 1) * scaling).softmax(-1)


@torch.no_grad()
def prefill(
    decoder: Decoder, prompt: Prompt, plan: Plan = EVERYTHING, only_stages: bool = False
) -> Run:
    """Pass the prompt through all layers; tokens leave where the plan says.

    only_stages: stop when the last stage is done (for maps; such a run can't decode).
    """
    started = time.perf_counter()
    body, sequence = decoder.body, Sequence(prompt)
    run = Run(
        decoder=decoder,
        cache=DynamicCache(config=body.config),
        next_position=int(prompt.positions[..., -1].max()) + 1,
        axes=tuple(prompt.positions.shape[:-2]),
        mass=torch.zeros(len(body.layers), 2, device=prompt.embeds.device),
    )
    at = {stage.layer: stage for stage in plan.stages}
    watch = Watch(plan.needs, prompt)
    last_row: Tensor | None = None

    def hear(query: Tensor, key: Tensor, scaling: float) -> None:
        nonlocal last_row
        watch.hear(query, key, scaling)
        if not only_stages:
            last_row = _last_row(query, key, scaling)

    # For maps nothing is answered: no cache, and no listening where no method looks at the rows.
    cache = None if only_stages else run.cache
    listening = not only_stages or bool(plan.needs & OF_LAST_LAYER)
    for index, layer in enumerate(body.layers):
        if index in at:
            _prune(run, sequence, plan, at[index], watch)
        if only_stages and len(run.outcomes) == len(at):
            return run
        run.entered(sequence)
        how = {
            "attention_mask": None,
            "position_embeddings": sequence.rotary(body),
            "cache": cache,
        }
        with listen({layer.self_attn: hear} if listening else {}):
            if watch.in_parts and index < plan.stages[-1].layer:
                sequence.x = watch.run(layer, sequence.x, sequence, **how)
            else:
                sequence.x = layer(sequence.x, use_cache=True, **how)
        if not only_stages:
            if last_row is None:
                raise RuntimeError("the language model is not set to the listening attention")
            run.hear(index, last_row)
    run.answered = 1
    run.logits = decoder.head(body.norm(sequence.x[:, -1:]))[0, -1].float()
    run.prefill_seconds = time.perf_counter() - started - run.select_seconds
    return run


def _advance(run: Run, tokens: Tensor, listening: bool) -> Tensor:
    """Pass tokens [q] through all layers behind the caches; gives logits [q, V]."""
    body, q = run.decoder.body, tokens.shape[0]
    x = body.embed_tokens(tokens[None])
    ahead = torch.arange(q, device=x.device)
    rotary: dict[int, tuple[Tensor, Tensor]] = {}
    last_row: Tensor | None = None

    def hear(query: Tensor, key: Tensor, scaling: float) -> None:
        nonlocal last_row
        last_row = _last_row(query, key, scaling)

    for index, layer in enumerate(body.layers):
        held = run.cache.get_seq_length(index)
        start = held if run.renumbered[index] else run.next_position
        if start not in rotary:
            positions = (start + ahead).expand(*run.axes, 1, -1)
            rotary[start] = body.rotary_emb(x, positions)
        mask = None
        if q > 1:  # sdpa must not guess: every cached key is open, the new ones are causal
            old = torch.ones(q, held, dtype=torch.bool, device=x.device)
            mask = torch.cat([old, ahead[None, :] <= ahead[:, None]], 1)[None, None]
        with listen({layer.self_attn: hear} if listening else {}):
            x = layer(
                x,
                attention_mask=mask,
                position_embeddings=rotary[start],
                cache=run.cache,
                use_cache=True,
            )
        if listening:
            run.hear(index, last_row)
    return run.decoder.head(body.norm(x))[0].float()


@dataclass(frozen=True)
class Step:
    """One token of the answer and the probability that the model gave it."""

    token: int
    probability: float
    logits: Tensor


@torch.no_grad()
def decode(run: Run, max_new_tokens: int) -> Iterator[Step]:
    """Answer greedily, one token at a time, until EOS or the limit; EOS is yielded too."""
    logits = run.logits
    for count in range(max_new_tokens):
        token = int(logits.argmax())
        yield Step(token, float(logits.softmax(-1)[token]), logits)
        if token in run.decoder.eos or count + 1 == max_new_tokens:
            return
        logits = _advance(run, torch.tensor([token], device=logits.device), listening=True)[-1]
        run.next_position += 1
        run.answered += 1


@torch.no_grad()
def forced(run: Run, tokens: list[int]) -> Tensor:
    """Give the logits [G, V] with which this run would have met a given answer of G tokens.

    What has been decoded so far is taken back from the caches first.
    """
    for index, layer in enumerate(run.cache.layers):
        layer.keys = layer.keys[:, :, : run.length[index]]
        layer.values = layer.values[:, :, : run.length[index]]
    run.next_position -= run.answered - 1
    run.answered = 1
    if len(tokens) == 1:
        return run.logits[None]
    ids = torch.tensor(tokens[:-1], device=run.logits.device)
    return torch.cat([run.logits[None], _advance(run, ids, listening=False)])
