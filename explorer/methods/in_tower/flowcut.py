"""FlowCut: drop patches inside the vision tower, a few behind every second layer.

Tong et al., "FlowCut: Rethinking Redundancy via Information Flow for Efficient Vision-Language
Models", NeurIPS 2025, arXiv 2505.19536. Official code: TungChintao/FlowCut @a2ecd24, flowcut/
modeling_clip_flowcut.py, flowcut/utils_flowcut.py. Does not read the question. What the kept
patches become differs from the full run: later layers of the tower attend to fewer of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from explorer.methods.in_tower.criteria import layer_score, n_leaving
from explorer.methods.in_tower.tower_pruning import KeepRule, TowerPruning, Units, can_prune_tower
from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.observed import TowerLayer
from explorer.methods.signals import Kept, Signals, Stage, top


@dataclass(frozen=True)
class FlowCut(BeforeLLM):
    """Attention, likeness of values and their size, averaged over the layers of the tower."""

    card = Card(
        key="flowcut",
        title="FlowCut",
        authors="Tong, Jin, Qin, Li, Zou, Li, Li, Li",
        year=2025,
        arxiv="2505.19536",
        repository="TungChintao/FlowCut",
        commit="a2ecd247cb3c605773ec317a0c246425b47abdbe",
        verified=(
            "All three criteria in every layer, where and how many patches leave, kept sets and "
            "what the projector reads equal those of the official code on 2 recorded runs of tiny "
            "random towers, one of them with two pictures."
        ),
        uncertain=(
            "Only abstract and code were read. All views together get the budget, each the same "
            "number of patches; the second stage of the code for crops, in the LLM, is left out "
            "(ours). Patches that become one token leave together (ours). Qwen-VL's tower and "
            "frames of a video can't be run again with fewer patches: one look at its last layer "
            "takes the place of the rerun there, another method in effect."
        ),
        sentence=(
            "Drops patches already inside the vision model, whenever its attention is peaked, and "
            "looks at those that are left more closely."
        ),
        equation="s_j = (a_j / Σ a + c_j / Σ c) ‖v_j‖₁, c = softmax(v_CLS · v_j); r ← (r + s) / 2",
        headline="LLaVA-1.5-7B: 1.6 % better than the best before it at 64 tokens (abstract).",
        traps=(
            "Kept patches are not what they are in the full run: the tower has run again. The map "
            "shows the average over an untouched tower; each budget takes a way of its own."
        ),
        score_means="attention, likeness and size of values over all tower layers",
        stand_in="the mean query of all patches, without likeness of values",
    )
    needs = frozenset({"rerun_tower", "project", "hidden", "patch_attention"})
    nested = False
    slow = True  # the tower runs again for every budget
    rerun: bool = option(
        True, False, meaning="run the tower again, or keep the full run's features"
    )

    @property
    def in_tower(self) -> bool:
        """Patches leave between the tower's layers, unless its rerun is switched off."""
        return self.rerun

    def score(self, signals: Signals) -> Tensor:
        """Give r_j behind the last layer of a tower in which nobody leaves, [N]."""
        if signals.rerun_tower is None:  # differs: one layer alone, see the card
            size = signals.hidden.float().abs().sum(-1)
            return signals.per_token(signals.patch_attention.float().mean(1) * size)
        return TowerPruning(signals, accumulate).token_scores()

    def keep(self, signals: Signals, stage: Stage) -> Kept:
        """Run the tower again, and keep those that are left of its patches."""
        if stage.keep == signals.count or not (self.rerun and can_prune_tower(signals)):
            return super().keep(signals, stage)
        pruning = TowerPruning(signals, leaving(Units.of(signals).per_view(stage.keep)))
        if pruning.score is None:  # enough left for newlines alone to go
            return super().keep(signals, stage)
        index = top(pruning.token_scores(), stage.keep)
        features = signals.project(pruning.unprojected()[index]).float()
        newline = signals.grid_position[index, 0] < 0
        features[newline] = signals.features[index[newline]].float()
        return Kept(index, features=features, tower=tuple(pruning.lengths))


def accumulate(layer: TowerLayer, pruning: TowerPruning) -> None:
    """Take a layer into the running average r: half of the past, half of s_j."""
    if layer.number <= layer.feeds:
        score = pruning.means(layer_score(layer))
        pruning.score = score if pruning.score is None else 0.5 * pruning.score + 0.5 * score


def leaving(target: int) -> KeepRule:
    """Let patches leave behind every second layer, until `target` are left of each view."""

    def rule(layer: TowerLayer, pruning: TowerPruning) -> int | None:
        n = pruning.alive.shape[1]
        if n <= target or layer.number > layer.feeds:
            return None
        accumulate(layer, pruning)
        # without [CLS] the layer that feeds the projector counts, too
        left = max(layer.feeds - layer.number - layer.has_cls, 0)
        if left % 2:
            return None
        return n - n_leaving(pruning.means(layer.attention()), target, left) if left else target

    return rule
