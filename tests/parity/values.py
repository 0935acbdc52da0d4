"""IVC-Prune, which looks at values and rotary angles: both readings of its code."""

from __future__ import annotations

import torch

from explorer.inference.layer_signals import mean_rotation
from explorer.methods.inside_llm.ivcprune import IVCPrune
from explorer.methods.signals import Kept, Signals, Stage
from parity.inside import play
from parity.reading import Golden, assert_close, assert_same_set, line


def run_ivcprune(golden: Golden) -> None:
    (run_llava if golden["variant"] == "llava" else run_qwen)(golden)


def compare_rotation(signals: Signals, golden: Golden) -> None:
    cosine, sine = signals.rotary.T
    assert_close(cosine, golden["cos_mean"])
    assert_close(sine, golden["sin_mean"])


def run_llava(golden: Golden) -> None:
    """A whole language model; how many tokens stay is the recording's."""
    method, count = IVCPrune(reading="llava"), len(golden["keep"])
    start, n = int(golden["n_sys"]), int(golden["n_visual"])

    def look(signals: Signals, stage: Stage, s: int) -> Kept:
        compare_rotation(signals, golden)
        rows = torch.cat([signals.other_values, signals.values, signals.tail_values], 1)
        likeness = method.likeness(signals, rows)
        assert_close(likeness, golden["value_similarity"])
        text = likeness[start + n + int(golden["skip_text"]) :]
        assert_close(text.mean(0), golden["seed_score"])
        kept = method.keep(signals, stage)
        assert_same_set(kept.index, golden["keep"])
        return kept

    stage = Stage(int(golden["ivcp_k"]), count, cut_from=1)
    run, _ = play(golden, IVCPrune, [stage], look, method.positions)
    assert run.cached_length == golden["kv_len_after_prefill"].tolist()


def run_qwen(golden: Golden) -> None:
    """One layer's values, and positions by time, row and column."""
    values, start, n = golden["values"], int(golden["n_sys"]), int(golden["n_visual"])
    width, visual = values.shape[-1], slice(start, start + n)
    frequencies = float(golden["rope_theta"]) ** (-torch.arange(0, width, 2) / width)
    signals = Signals(
        line(n),
        torch.zeros(n, 1),
        values=values[:, visual],
        tail_values=values[:, visual.stop :],
        other_values=values[:, :start],
        rotary=mean_rotation(golden["position_ids"][:, visual], frequencies),
    )
    compare_rotation(signals, golden)
    method, budget = IVCPrune(), int(golden["budget"])
    coordinates = method.coordinates(signals, round(float(golden["cos_share"]) * n))
    assert coordinates.tolist() == golden["coordinates"].tolist()
    seeds, scores = method.foreground(signals, budget - len(coordinates))
    assert_same_set(seeds, golden["seeds"])
    text = method.likeness(signals, signals.tail_values[:, int(golden["skip_text"]) :])
    assert_close(text.mean(0), golden["seed_score"])
    assert_close(scores, golden["scores"])
    assert_same_set(method.keep(signals, Stage(16, budget)).index, golden["keep"])


RUNNERS = {"ivcprune": run_ivcprune}
