"""Read a golden file, and compare with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel

from explorer.inference.decode import decode
from explorer.inference.prefill import PrefillRun
from explorer.inference.sequence import Prompt
from explorer.methods.signals import Kept, Signals
from explorer.vlm.attention import register_attention

LOGITS = 1e-4  # largest difference of a logit, as absolute number

Golden = dict[str, Tensor | str | list[str]]


# ---- loading and comparing --------------------------------------------------------------------


def load(path: Path) -> Golden:
    """Numbers as tensors, floats in float32, texts as str or as lists of them."""
    golden = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            array = file[name]
            if array.dtype.kind == "U":
                golden[name] = array.tolist()
            elif array.dtype.kind == "f":
                golden[name] = torch.from_numpy(array.astype(np.float32))
            else:
                golden[name] = torch.from_numpy(array)
    return golden


def batch(golden: Golden, *names: str) -> list[list[Tensor]]:
    """The named arrays of each row of a batch."""
    return [list(row) for row in zip(*(golden[name] for name in names), strict=True)]


def assert_close(ours: Tensor, official: Tensor, relative: float = 1e-4) -> None:
    """Equal up to a relative error, or up to rounding of the largest number."""
    rounding = 1e-6 * float(official[official.isfinite()].abs().max())
    torch.testing.assert_close(ours, official, rtol=relative, atol=rounding, check_dtype=False)


def assert_same_set(ours: Tensor, official: Tensor) -> None:
    assert ours.tolist() == sorted(official.tolist())


def line(n: int, columns: int | None = None) -> Tensor:
    """Places [n, 3] of n tokens, in rows of `columns`."""
    number = torch.arange(n)
    return torch.stack([number * 0, number // (columns or n), number % (columns or n)], 1)


def block(signals: Signals, kept: Kept) -> Tensor:
    """The visual tokens as the engine joins them."""
    merged, lead = kept.merged, kept.lead
    return torch.cat([merged[:lead], signals.features[kept.index], merged[lead:]])


def assert_same_groups(kept: Kept, contextual: int, assign: Tensor) -> None:
    """`assign` is told for the tokens that are neither kept nor a target, in their order."""
    folded = (kept.group >= 0).nonzero()[:, 0]
    assert len(folded) == len(assign) + contextual
    step = max(1, len(folded) // contextual)
    group = kept.group[folded] - kept.lead
    targets = torch.arange(contextual) * step
    assert group[targets].tolist() == list(range(contextual))
    others = torch.ones(len(folded), dtype=torch.bool)
    others[targets] = False
    assert group[others].tolist() == assign.tolist()


def tiny_llama(golden: Golden, of: type[PreTrainedModel] = LlamaForCausalLM) -> PreTrainedModel:
    """The language model that a recording of a method inside the LLM carries."""
    config = of.config_class(
        vocab_size=int(golden["vocab_size"]),
        hidden_size=int(golden["hidden_size"]),
        intermediate_size=int(golden["intermediate_size"]),
        num_hidden_layers=int(golden["num_layers"]),
        num_attention_heads=int(golden["num_heads"]),
        num_key_value_heads=int(golden["num_kv_heads"]),
        rms_norm_eps=float(golden["rms_norm_eps"]),
        rope_parameters={"rope_type": "default", "rope_theta": float(golden["rope_theta"])},
        max_position_embeddings=2048,
    )
    model = of._from_config(config, attn_implementation=register_attention()).eval()
    weights = {name[2:]: value for name, value in golden.items() if name.startswith("w:")}
    weights["model.embed_tokens.weight"] = golden["embed_tokens"]
    left_out = model.load_state_dict(weights, strict=False)
    assert not left_out.unexpected_keys
    assert not [name for name in left_out.missing_keys if "inv_freq" not in name]
    return model


def recorded_prompt(golden: Golden, header: int = 1) -> Prompt:
    """The prompt that a recording of a method inside the LLM carries."""
    embeds = golden["inputs_embeds"][None]
    start, n, total = int(golden["n_sys"]), int(golden["n_visual"]), embeds.shape[1]
    visual = torch.arange(start, start + n)
    text = torch.ones(total, dtype=torch.bool)
    text[visual] = False
    signals = Signals(line(n), embeds[0, visual], patches=torch.arange(n)[:, None])
    return Prompt(embeds, torch.arange(total)[None], visual, text, signals, header)


def assert_same_answer(run: PrefillRun, golden: Golden) -> None:
    """The same logits and tokens, of the prefill and of every step after it."""
    answer = list(decode(run, len(golden["logits_last"])))
    logits = torch.stack([step.logits for step in answer])
    assert (logits - golden["logits_last"]).abs().max() < LOGITS
    tokens = [step.token for step in answer]
    assert tokens[: len(golden["greedy_tokens"])] == golden["greedy_tokens"].tolist()


def assert_same_end(run: PrefillRun, golden: Golden) -> None:
    """The same answer, and caches of the same lengths."""
    assert_same_answer(run, golden)
    lengths = [run.cache.get_seq_length(i) for i in range(len(run.length))]
    assert lengths == golden["kv_len_after"].tolist()
