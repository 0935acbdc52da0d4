"""RESTORE over DivPrune, with a whole tiny Llama behind it."""

from __future__ import annotations

import torch

from explorer.inference.prefill import PruningPlan, prefill
from explorer.inference.sequence import Prompt
from explorer.methods.ops.groups.anchors import anchors as anchors_of
from explorer.methods.ops.merging import rest
from explorer.methods.signals import Kept, Signals, Size, Stage
from explorer.methods.similarity.divprune import order
from explorer.methods.similarity.restore import Restore
from explorer.vlm.components import Decoder
from parity.reading import Golden, assert_close, assert_same_end, assert_same_set, line, tiny_llama


def prompt_of(golden: Golden, embed: torch.nn.Module) -> Prompt:
    """Text around the picture's tokens, which stand behind `n_sys` of it."""
    features, first = golden["features"], int(golden["n_sys"])
    words = embed(golden["input_ids"]).detach()
    embeds = torch.cat([words[:first], features, words[first:]])[None]
    visual, total = torch.arange(first, first + len(features)), embeds.shape[1]
    text = torch.ones(total, dtype=torch.bool)
    text[visual] = False
    width, base = int(golden["bias_dim"]), float(golden["bias_base"])
    frequencies = base ** (-torch.arange(0, width, 2) / width)
    signals = Signals(line(len(features)), features, rotary_frequencies=frequencies)
    return Prompt(embeds, torch.arange(total)[None], visual, text, signals)


def run_restore(golden: Golden) -> None:
    assert golden["base"] == "DivPrune"
    model, features = tiny_llama(golden), golden["features"]
    [stage] = Restore().schedule(Size(len(features), 4, 7), int(golden["budget"]))
    assert order(features)[: stage.keep].tolist() == golden["base_order"].tolist()
    answers = []

    def choose(signals: Signals, at: Stage) -> Kept:
        kept = Restore().keep(signals, at)
        answers.append(kept)
        return kept

    prompt = prompt_of(golden, model.get_input_embeddings())
    plan = PruningPlan((stage,), choose, renumber=Restore().positions == "renumber")
    run = prefill(Decoder(model.get_decoder(), model.lm_head, frozenset()), prompt, plan)
    [kept] = answers
    assert_same_set(kept.index, golden["keep"])
    compare_groups(kept, golden)
    positions = golden["position_ids"]
    distance = kept.distance_bias(positions[:, None] - positions).tril()
    assert_close(distance, golden["distance_bias"].tril())
    assert_same_end(run, golden)
    assert run.next_position[0] == int(golden["decode_positions"][0])


def compare_groups(kept: Kept, golden: Golden) -> None:
    """Anchors, and who went into which row of the block in its final order."""
    features, [own, merged] = golden["features"], kept.slots()
    others = rest(kept.index, len(features))
    unit = torch.nn.functional.normalize(features[others], dim=1)
    anchors = anchors_of(unit @ unit.T, len(kept.merged), "sparser")
    assert others[anchors].tolist() == golden["anchors"].tolist()
    row = torch.empty(len(features), dtype=torch.long)
    row[kept.index] = own
    folded = kept.group >= 0
    row[folded] = merged[kept.group[folded]]
    assert row.tolist() == golden["group"].tolist()
    block = torch.cat([features[kept.index], kept.merged])[torch.cat([own, merged]).argsort()]
    assert_close(block, golden["visual_tokens"])
    assert kept.weight[torch.cat([own, merged]).argsort()].tolist() == golden["size"].tolist()


RUNNERS = {"restore": run_restore}
