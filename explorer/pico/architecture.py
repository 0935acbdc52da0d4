"""pico's shape: a LLaVA of transformers' own classes, small enough for two CPU cores.

A CLIP ViT of 224/16 gives 196 patches; its penultimate layer goes through an MLP into a Llama whose
words are `vocabulary.WORDS`. Knows nothing of data or training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from explorer.pico.data.scenes import SIDE
from explorer.pico.data.vocabulary import BOS, EOS, IMAGE, PAD, TOKEN, WORDS

PATCH = 16
GRID = SIDE // PATCH  # 14 patches a side
PATCHES = GRID * GRID


@dataclass(frozen=True)
class ModelSize:
    """Widths, layers and heads of the tower and of the language model; tests use small ones."""

    vision_width: int = 192
    vision_mlp: int = 768
    vision_layers: int = 8
    vision_heads: int = 6
    width: int = 192
    mlp: int = 576
    layers: int = 12
    heads: int = 3  # of 64: faster than 6 of 32 on a CPU


def build(size: ModelSize | None = None) -> LlavaForConditionalGeneration:
    """Make an untrained model; weights come from torch's global generator."""
    size = size or ModelSize()
    vision = CLIPVisionConfig(
        hidden_size=size.vision_width,
        intermediate_size=size.vision_mlp,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=size.vision_width,
    )
    text = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=size.width,
        intermediate_size=size.mlp,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=2048,
        pad_token_id=TOKEN[PAD],
        bos_token_id=TOKEN[BOS],
        eos_token_id=TOKEN[EOS],
        tie_word_embeddings=True,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=TOKEN[IMAGE],
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.tie_weights()
    return model


def as_pixels(image: Image.Image) -> Tensor:
    """Give a picture's bytes as uint8 [3, 224, 224]."""
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def normalised(pixels: Tensor) -> Tensor:
    """Scale bytes to -1..1, as pico's processor does."""
    return pixels.float() / 127.5 - 1


def encode_images(model: LlavaForConditionalGeneration, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Run the tower on uint8 [B, 3, 224, 224].

    Returns the patches of the penultimate layer [B, 196, D] and [CLS] of the last one [B, D].
    """
    states = model.model.vision_tower(normalised(pixels), output_hidden_states=True).hidden_states
    return states[-2][:, 1:], states[-1][:, 0]
