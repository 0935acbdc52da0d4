"""FlowCut inside whole tiny CLIP towers, which run again with fewer patches."""

from __future__ import annotations

from functools import partial

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from explorer.methods.in_tower import criteria
from explorer.methods.in_tower.flowcut import FlowCut, leaving
from explorer.methods.in_tower.tower_pruning import TowerPruning
from explorer.methods.observed import TowerLayer
from explorer.methods.signals import Signals, Stage
from explorer.vlm.attention import register_attention
from explorer.vlm.components import Tower, Vision
from explorer.vlm.tower.rerun import rerun_tower
from parity.reading import Golden, assert_close


def tiny_tower(golden: Golden) -> Tower:
    """The recorded tower, of which the projector reads the last layer but one."""
    side, patch = int(golden["side"]), int(golden["patch_size"])
    config = CLIPVisionConfig(
        hidden_size=int(golden["hidden_size"]),
        intermediate_size=int(golden["intermediate_size"]),
        num_hidden_layers=int(golden["num_layers"]),
        num_attention_heads=int(golden["num_heads"]),
        layer_norm_eps=float(golden["layer_norm_eps"]),
        image_size=side * patch,
        patch_size=patch,
    )
    model = CLIPVisionModel._from_config(config, attn_implementation=register_attention()).eval()
    weights = {name[2:]: value for name, value in golden.items() if name.startswith("w:")}
    left_out = model.load_state_dict(weights, strict=False)
    assert not left_out.unexpected_keys
    assert not [n for n in left_out.missing_keys if "encoder.layers" in n]
    layers = model.encoder.layers

    def run(_: dict) -> Vision:
        return model.encoder(inputs_embeds=golden["embeddings"])

    every = dict.fromkeys(("attention", "first", "early", "object", "last"), layers[0].self_attn)
    return Tower(
        **every,
        has_cls=True,
        run=run,
        project=torch.nn.Identity(),
        layers=tuple(layers),
        feeds=len(layers) - 2,
    )


def signals_of(golden: Golden) -> Signals:
    """As many views as the recording has pictures; the projector changes nothing."""
    views, n = int(golden["batch"]), int(golden["side"]) ** 2
    number = torch.arange(views * n)
    place = torch.stack([number // n, number % n, number * 0], 1)
    width = int(golden["hidden_size"])
    return Signals(
        place,
        torch.zeros(views * n, width),
        patches=number[:, None],
        hidden=torch.zeros(views, n, width),
        project=lambda x: x,
        rerun_tower=partial(rerun_tower, tiny_tower(golden), {}),
    )


def run_flowcut(golden: Golden) -> None:
    signals, target = signals_of(golden), int(golden["target"])
    rule, alive, leave = leaving(target), [], []

    def watch(layer: TowerLayer, going: TowerPruning) -> int | None:
        number, n = layer.number, going.alive.shape[1]
        alive.append(n)
        if number < int(golden["scored_layers"]):
            assert_close(layer.attention(), golden[f"cls_attention_layer{number}"])
            assert_close(criteria.value_likeness(layer), golden[f"semantic_layer{number}"])
            assert_close(criteria.value_size(layer), golden[f"value_norm_layer{number}"])
            assert_close(criteria.layer_score(layer), golden[f"score_layer{number}"])
        if number in golden["prune_layers"].tolist():
            left = layer.feeds - number - 1
            leave.append(criteria.n_leaving(layer.attention(), target, left))
        return rule(layer, going)

    going = TowerPruning(signals, watch)
    assert alive == golden["alive_entering"].tolist()
    assert leave == golden["prune_asked"].tolist()
    assert going.alive.tolist() == golden["keep"].tolist()
    assert_close(going.hidden, golden["features"])
    views, n = int(golden["batch"]), int(golden["side"]) ** 2
    kept = FlowCut().keep(signals, Stage(0, views * target))
    assert kept.index.view(views, -1).remainder(n).tolist() == golden["keep"].tolist()
    assert_close(kept.features.view(views, target, -1), golden["features"][:, 1:])
    assert kept.tower == tuple(views * (1 + n) for n in golden["alive_entering"].tolist())


RUNNERS = {"flowcut": run_flowcut}
