"""LexRank, G-Prune and ZOO-Prune, which choose by how tokens resemble each other."""

from __future__ import annotations

import torch
from torch.nn.functional import gelu, linear, normalize

from explorer.methods.signals import Signals, Size, Stage
from explorer.methods.similarity import lexrank, zooprune
from explorer.methods.similarity.gprune import GPrune
from explorer.methods.similarity.lexrank import LexRank
from parity.reading import Golden, assert_close, assert_same_set, line


def run_lexrank(golden: Golden) -> None:
    """Recorded from networkx's PageRank: there is no official code for patches."""
    threshold, damping = (round(float(golden[name]), 6) for name in ("threshold", "damping"))
    if "cos" in golden:
        cosine = golden["cos"].double()
    else:
        unit = normalize(golden["features"].double(), dim=1)
        cosine = unit @ unit.T
    found = {
        "degree": lexrank.centrality(cosine, "degree", threshold),
        "lexrank": lexrank.centrality(cosine, "threshold", threshold, damping),
        "continuous": lexrank.centrality(cosine, "continuous", threshold, damping),
    }
    for name, scores in found.items():
        assert_close(scores.float(), golden[name])
    if "table2_t01" in golden:
        table = found["lexrank"] / found["lexrank"].max()
        assert (table - golden["table2_t01"]).abs().max() < 1e-3
        return
    budget = int(golden["budget"])
    signals = Signals(line(len(cosine)), golden["features"])
    for name, kind in (("lexrank", "threshold"), ("continuous", "continuous")):
        kept = LexRank(kind=kind, threshold=threshold, damping=damping).keep(
            signals, Stage(0, budget)
        )
        assert_same_set(kept.index, golden[f"keep_{name}"])


def run_gprune(golden: Golden) -> None:
    options = {
        "similarity": float(golden["similarity"]),
        "temperature": float(golden["temperature"]),
        "steps": int(golden["iterate_num"]),
    }
    scores, degree = GPrune(**options).flow(golden["features"])
    assert degree.tolist() == golden["degree"].tolist()
    assert_close(scores, golden["scores"])
    n, budget = len(scores), int(golden["budget"])
    signals = Signals(line(n), golden["features"])
    [stage] = GPrune().schedule(Size(n, 32, n), budget)
    assert_same_set(GPrune(**options).keep(signals, stage).index, golden["keep"])


def run_zooprune(golden: Golden) -> None:
    """Finite differences carry an error of about 1e-5 of the values themselves."""
    w1, b1, w2, b2 = (golden[name] for name in ("w1", "b1", "w2", "b2"))

    def project(x: torch.Tensor) -> torch.Tensor:
        return linear(gelu(linear(x, w1, b1)), w2, b2)

    def differ(x: torch.Tensor, nudge: torch.Tensor) -> torch.Tensor:
        return project(x + nudge) - project(x - nudge)

    assert_close(project(golden["features"]), golden["proj"], 1e-3)
    found = zooprune.sensitivity(golden["features"], differ, golden["u"], float(golden["h"]))
    assert_close(found, golden["sens"], 2e-3)
    chosen = zooprune.order(zooprune.weights(found), golden["proj"])
    assert chosen[: int(golden["budget"])].tolist() == golden["keep"].tolist()


RUNNERS = {"lexrank": run_lexrank, "gprune": run_gprune, "zooprune": run_zooprune}
