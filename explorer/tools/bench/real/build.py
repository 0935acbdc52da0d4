"""The models of models.yaml at the true size of their checkpoints, with random weights.

shapes.yaml has the dimensions. Weights are drawn in place and in the precision that is asked for: a
7B model in bfloat16 takes its 14 GB and no more.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import torch
import yaml
from torch import nn
from transformers import AutoModelForImageTextToText, PreTrainedConfig, ProcessorMixin
from transformers.initialization import no_init_weights
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from explorer.tools.bench.real.processors import PROCESSORS, QWEN_MARKS, Shape, canvases
from explorer.vlm.catalog import read_entries
from explorer.vlm.components import Vlm
from explorer.vlm.families import family_of
from explorer.vlm.loader import wrap

FILE = Path(__file__).with_name("shapes.yaml")
END_MARKS = {"pad_token_id": "<pad>", "bos_token_id": "<s>", "eos_token_id": "</s>"}


@cache
def shapes() -> dict[str, Shape]:
    """Read the table: one entry for every model of models.yaml but the built-in one."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def config_of(shape: Shape, processor: ProcessorMixin) -> PreTrainedConfig:
    """Give the config of a checkpoint's own class, with the marks of a processor of ours."""
    kind, words = shape["model_type"], processor.tokenizer
    ends = {name: words.convert_tokens_to_ids(mark) for name, mark in END_MARKS.items()}
    text, more = shape["text"] | ends, {"tie_word_embeddings": bool(shape.get("tied"))}
    if kind in ("smolvlm", "idefics3"):
        more |= {"image_token_id": processor.image_token_id, "scale_factor": shape["scale_factor"]}
    elif kind == "internvl":
        more |= {
            "image_token_id": processor.image_token_id,
            "image_seq_length": processor.image_seq_length,
        }
    elif kind.startswith("qwen"):
        rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": shape["sections"]}
        text |= {"rope_parameters": rope} | more
        more |= {name: words.convert_tokens_to_ids(mark) for name, mark in QWEN_MARKS.items()}
    else:
        more |= {"image_token_index": processor.image_token_id}
        if "tiles" in shape:
            more |= {"image_grid_pinpoints": canvases(shape)}
        if kind == "llava_onevision":
            more |= {
                "video_token_index": processor.video_token_id,
                "vision_aspect_ratio": "anyres_max_9",
            }
    return CONFIG_MAPPING[kind](vision_config=shape["vision"], text_config=text, **more)


def outline(key: str) -> Vlm:
    """Give processor and config of a checkpoint, with no model behind them."""
    shape = shapes()[key] | {"words": 0}  # nobody will read an answer
    processor = PROCESSORS[shape["model_type"]](shape)
    model = SimpleNamespace(config=config_of(shape, processor))
    return Vlm(key, read_entries()[key].title, family_of(shape["model_type"]), model, processor)


def build(key: str, dtype: torch.dtype = torch.bfloat16, words: int = 0) -> Vlm:
    """Give a model of models.yaml with random weights.

    words: tokens of an answer, which never ends by itself; 0: as models.yaml says.
    """
    entry, shape = read_entries()[key], shapes()[key]
    processor = PROCESSORS[shape["model_type"]](shape)
    with no_init_weights():
        model = AutoModelForImageTextToText.from_config(
            config_of(shape, processor), dtype=dtype, attn_implementation="sdpa"
        )
    model.tie_weights()
    draw_weights(model)
    model.generation_config.eos_token_id = None
    vlm = wrap(entry, model, processor, shape["model_type"])
    return replace(vlm, max_new_tokens=words or entry.max_new_tokens)


@torch.no_grad()
def draw_weights(model: nn.Module, seed: int = 0) -> None:
    """Fill every parameter in place, so that what passes through keeps about its size."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            weight.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            bound = (3 / weight[0].numel()) ** 0.5
            weight.uniform_(-bound, bound, generator=generator)


def parameters(key: str) -> int:
    """Count a checkpoint's parameters on the meta device, where they take no memory."""
    config = outline(key).model.config
    with torch.device("meta"), no_init_weights():
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    return sum(weight.numel() for weight in model.parameters())
