"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: any size of picture, 2 x 2 patches merged into a token.

A picture is stretched to whole tokens, as few as keep it legible and at most MAX_TOKENS; positions
tell a token's row and column (mRoPE) and are kept when tokens leave. Qwen2.5's tower attends in
windows, all but a few layers, and keeps its patches in their order. Qwen3's tower hands up features
of earlier layers, which are added behind the decoder's first layers (DeepStack). No [CLS].

Frames of a video are read in pairs, which share their tokens; an odd last one is paired with
itself. Positions tell the time, too, but text goes on as behind a picture, as in `generate`. Qwen3
has a run of tokens for every pair instead, behind the second at which it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize
from transformers.vision_utils import get_vision_window_index

from explorer.media.grid import Grid, Timeline
from explorer.media.layouts import frames as frame_grid
from explorer.media.layouts import merged
from explorer.vlm.components import ChatPrompt, Pixels, Tower, Vision, Vlm, decoder, hooked_modules
from explorer.vlm.families.video_metadata import metadata
from explorer.vlm.prompt import build_chat

MAX_TOKENS = 1280  # visual tokens of a picture; the checkpoints themselves allow 16384
FRAMES_PER_PAIR = 2  # frames that share their tokens, as every checkpoint has it


def preprocess(vlm: Vlm, image: Image.Image) -> Pixels:
    """Let the processor resize, normalise and cut: patches [n, ...], token by token."""
    inputs = vlm.processor.image_processor(images=[image], size=_areas(vlm), return_tensors="pt")
    return {
        "pixel_values": inputs["pixel_values"].to(vlm.device, vlm.model.dtype),
        "image_grid_thw": inputs["image_grid_thw"].to(vlm.device),
    }


def _areas(vlm: Vlm) -> dict[str, int]:
    """Least and largest area in pixels; transformers calls them edges."""
    processor = vlm.processor.image_processor
    largest = MAX_TOKENS * (processor.patch_size * processor.merge_size) ** 2
    return {
        "shortest_edge": processor.size["shortest_edge"],
        "longest_edge": min(processor.size["longest_edge"], largest),
    }


def grid(vlm: Vlm, width: int, height: int) -> Grid:
    """Place the visual tokens on the uploaded picture, which is stretched to whole tokens."""
    processor, areas = vlm.processor.image_processor, _areas(vlm)
    side = processor.patch_size * processor.merge_size
    down, across = smart_resize(height, width, side, areas["shortest_edge"], areas["longest_edge"])
    laid = merged(width, height, down // side, across // side, processor.merge_size)
    return _by_windows(vlm, laid)


def _by_windows(vlm: Vlm, laid: Grid) -> Grid:
    """Number the patches as a tower with windows does."""
    vision = vlm.model.config.vision_config
    if not hasattr(vision, "fullatt_block_indexes"):
        return laid
    order, _ = get_vision_window_index(
        _grid_thw(vlm, laid), vision.spatial_merge_size, vision.window_size, vision.patch_size
    )
    return replace(laid, patches=laid.patches[order.argsort().numpy()])


def _grid_thw(vlm: Vlm, grid: Grid) -> Tensor:
    """Pairs of frames, rows and columns of patches, [1, 3]."""
    view, merge = grid.views[0], vlm.model.config.vision_config.spatial_merge_size
    return torch.tensor([[len(grid.views), view.rows * merge, view.columns * merge]])


def preprocess_frames(
    vlm: Vlm, images: Sequence[Image.Image], time: Timeline
) -> tuple[Pixels, Grid]:
    """Let the processor resize, normalise, pair and cut frames of one size: patches [n, ...].

    A single frame is paired with itself, as those left over are.
    """
    video_processor = vlm.processor.video_processor
    frames = list(images) if len(images) > 1 else [*images] * FRAMES_PER_PAIR
    inputs = video_processor([frames], do_sample_frames=False, return_tensors="pt")
    pairs, down, across = inputs["video_grid_thw"][0].tolist()
    merge = video_processor.merge_size
    laid = frame_grid(
        *images[0].size, pairs, down // merge, across // merge, merge=merge, by_token=True
    )
    values = {
        "pixel_values_videos": inputs["pixel_values_videos"].to(vlm.device, vlm.model.dtype),
        "video_grid_thw": inputs["video_grid_thw"].to(vlm.device),
    }
    return values, _by_windows(vlm, replace(laid, time=time))


def build_prompt(vlm: Vlm, question: str, grid: Grid) -> ChatPrompt:
    """Write the prompt, and tell row and column of every token of the picture, or time."""
    config, processor, time = vlm.model.config, vlm.processor, grid.time
    token = config.image_token_id if time is None else config.video_token_id
    marks = [config.vision_start_token_id, token, config.vision_end_token_id]
    begin, pad, end = processor.tokenizer.convert_ids_to_tokens(marks)
    size = _grid_thw(vlm, grid)
    if time is None:
        kind, run, sizes = "image", pad * grid.count, {"image_grid_thw": size}
    else:
        made = {"video_grid_thw": size, "video_metadata": [metadata(grid)]}
        kind, run, sizes = "video", processor.replace_video_token(made, 0), {"video_grid_thw": size}
        sizes["second_per_grid_ts"] = [FRAMES_PER_PAIR * time.lasts / len(time.seconds)]
    chat = build_chat(processor, question, begin + pad + end, begin + run + end, token, kind)
    token_types = (chat.input_ids == token).int() * (1 if time is None else 2)
    position_ids, _ = vlm.model.model.get_rope_index(
        chat.input_ids, mm_token_type_ids=token_types, **sizes
    )
    return replace(chat, position_ids=position_ids)


class _Merger(nn.Module):
    """The tower's merger for tokens [..., 4 * Dv] instead of patches [n, Dv]."""

    def __init__(self, merger: nn.Module, width: int):
        super().__init__()
        self.merger, self.width = merger, width

    def forward(self, tokens: Tensor) -> Tensor:
        """Merge the patches of each token: [..., 4 * Dv] -> [..., D]."""
        return self.merger(tokens.reshape(-1, self.width)).view(*tokens.shape[:-1], -1)


def vision_tower(vlm: Vlm) -> Tower:
    """Take the vision side apart."""
    vision, inner = vlm.model.config.vision_config, vlm.model.model
    blocks = inner.visual.blocks
    # In a layer with windows patches only see their window, which says little about the picture.
    full = getattr(vision, "fullatt_block_indexes", range(len(blocks)))
    half = full[max(len(full) // 2 - 1, 0)]  # HiPrune's layer is the 16th of 32 here
    width = blocks[0].attn.proj.out_features

    def run(pixels: Pixels) -> Vision:
        video = "pixel_values_videos" in pixels
        look = inner.get_video_features if video else inner.get_image_features
        out = look(**pixels, return_dict=True)
        pairs = int(pixels["video_grid_thw"][0, 0]) if video else 1
        deepstack = getattr(out, "deepstack_features", None) or ()
        return Vision(
            out.last_hidden_state.view(pairs, -1, width),
            torch.cat(list(out.pooler_output)),
            tuple(torch.cat(list(features)) for features in deepstack),
        )

    hooked = hooked_modules([block.attn for block in blocks])
    return Tower(
        attention=blocks[full[-1]].attn,
        **hooked | {"object": blocks[half].attn, "last": blocks[full[-1]].attn},
        has_cls=False,
        run=run,
        project=_Merger(inner.visual.merger, width),
        patches_per_token=vision.spatial_merge_size**2,
    )


__all__ = ["build_prompt", "decoder", "grid", "preprocess", "preprocess_frames", "vision_tower"]
