"""Relevance and CoreMatching: methods that look at gradients and at neurons."""

from __future__ import annotations

import numpy as np
import torch

from explorer.inference.prefill import PruningPlan, prefill
from explorer.methods.attention import relevance
from explorer.methods.attention.relevance import Relevance
from explorer.methods.inside_llm.corematching import CoreMatching
from explorer.methods.observed import AnswerGradient
from explorer.methods.signals import Kept, Signals, Stage, top
from explorer.vlm.components import Decoder
from parity.reading import (
    Golden,
    assert_close,
    assert_same_answer,
    assert_same_set,
    line,
    recorded_prompt,
    tiny_llama,
)


def run_relevance(golden: Golden) -> None:
    pre, n, steps = (int(golden[name]) for name in ("pre", "n_visual", "n_steps"))
    visual = torch.arange(pre, pre + n)

    def explain(target: str):
        assert target == golden["target"]
        for step in range(steps):
            attention = golden[f"attn_{step}"]
            last = attention.shape[-1] - 1
            yield AnswerGradient(attention, golden[f"grad_{step}"], last, visual)

    options = {"target": golden["target"]}
    signals = Signals(line(n), torch.zeros(n, 1), explain=explain)
    for step, explained in enumerate(explain(golden["target"])):
        row, official = relevance.row_of(explained), golden[f"row_{step}"]
        # the official function hides the explained position's own column
        assert_close(row[: explained.row], official[: explained.row])
        assert_close(row[visual], golden["scores_per_step"][step])
    assert_close(Relevance(**options).score(signals), golden["scores"])
    half = Stage(0, len(golden["keep_half"]))
    assert_same_set(Relevance(**options).keep(signals, half).index, golden["keep_half"])


def elbow(scores: torch.Tensor) -> int:
    """Count the tokens above the elbow of the falling scores [N], where the code cuts off.

    The elbow is the point of the curve that is farthest from the chord between its ends, on either
    side; if all scores are equal, none is above it.
    """
    curve = scores.double().sort(descending=True).values
    place = torch.arange(len(curve), device=curve.device)
    height = (curve - curve[0]) * (len(curve) - 1) - (curve[-1] - curve[0]) * place
    return int((curve > curve[height.abs().argmax()]).sum())


def run_corematching(golden: Golden) -> None:
    """The code's own cut-off, at the elbow, in every layer of its window."""
    model = tiny_llama(golden)
    prompt = recorded_prompt(golden, header=-int(golden["query_row"]))
    acts = range(int(golden["lo"]), int(golden["hi"]) - 1)
    stages = [Stage(i + 1, len(golden[f"keep_layer{i}"]), wipe_cache=True) for i in acts]

    def choose(inside: Signals, at: Stage) -> Kept:
        layer, active = at.layer - 1, inside.neurons.values > 0
        official = np.unpackbits(golden[f"act_positive_layer{layer}"].numpy(), axis=1)
        assert np.array_equal(active.numpy(), official[:, : active.shape[1]].astype(bool))
        scores = CoreMatching().score(inside)
        assert scores.tolist() == golden[f"scores_layer{layer}"].tolist()
        kept = top(scores, elbow(scores))
        assert_same_set(kept, golden[f"keep_layer{layer}"])
        assert torch.equal(CoreMatching().keep(inside, at).index, kept)
        return Kept(kept)

    run = prefill(
        Decoder(model.get_decoder(), model.lm_head, frozenset()),
        prompt,
        PruningPlan(tuple(stages), choose, CoreMatching.needs),
    )
    assert [run.cache.get_seq_length(i) for i in range(len(run.length))] == run.length
    for stage in stages:
        gone = torch.ones(len(prompt.visual_positions), dtype=torch.bool)
        gone[golden[f"keep_layer{stage.layer - 1}"]] = False
        wiped = (run.cache.layers[stage.layer - 1].values[0] == 0).all(-1).all(0).nonzero()[:, 0]
        assert_same_set(wiped, prompt.visual_positions[gone])
    assert_same_answer(run, golden)


RUNNERS = {"relevance": run_relevance, "corematching": run_corematching}
