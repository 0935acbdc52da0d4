"""The processors of every family at its checkpoints' picture geometry, with words of our own.

Knows transformers' processor classes and what of a picture they are told; not weights.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import transformers
from transformers import PreTrainedTokenizerFast, ProcessorMixin

from explorer.tools.bench.real.words import COMMON, template, word_level

Shape = dict[str, object]
"""One entry of shapes.yaml."""
NEXT_CANVASES = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))  # crops down and across
TILE_MARKS = ("<image>", "<fake_token_around_image>", "<global-img>", "<video>")
TILE_MARKS += ("<end_of_utterance>",)
TILE_MARKS += tuple(f"<row_{down}_col_{across}>" for down, across in product(range(1, 7), repeat=2))
INTERN_MARKS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
QWEN_MARKS = {f"{name}_token_id": f"<|{name}|>" for name in ("vision_start", "vision_end")}
QWEN_MARKS |= {f"{name}_token_id": f"<|{name}_pad|>" for name in ("image", "video")}


def _words(shape: Shape, marks: list[str] | dict[str, str], **more) -> PreTrainedTokenizerFast:
    size = shape.get("words", shape["text"]["vocab_size"])
    return word_level(marks, COMMON.split(), size, **more)


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _tiled(name: str) -> Callable[[Shape], ProcessorMixin]:
    def make(shape: Shape) -> ProcessorMixin:
        side, one = shape["side"], {"longest_edge": shape["side"]}
        parts = {"tokenizer": _words(shape, list(TILE_MARKS))}
        parts["image_processor"] = getattr(transformers, f"{name}ImageProcessor")(
            size={"longest_edge": shape["tiles"] * side}, max_image_size=one
        )
        if name == "SmolVLM":
            films = transformers.SmolVLMVideoProcessor(size=one, max_image_size=one)
            parts["video_processor"] = films
        return getattr(transformers, f"{name}Processor")(
            **parts,
            image_seq_len=(side // shape["vision"]["patch_size"] // shape["scale_factor"]) ** 2,
            chat_template=template("<image>", video="<video>"),
        )

    return make


def _internvl(shape: Shape) -> ProcessorMixin:
    size = _square(shape["side"])
    return transformers.InternVLProcessor(
        transformers.GotOcr2ImageProcessor(size=size, max_patches=shape["tiles"]),
        _words(shape, INTERN_MARKS),
        transformers.InternVLVideoProcessor(size=size),
        image_seq_length=(shape["side"] // 28) ** 2,
        chat_template=template("<IMG_CONTEXT>", video="<video>"),
    )


def canvases(shape: Shape) -> list[list[int]]:
    """Give the canvases into which a model fits a picture's crops: height and width, pixels."""
    counts = range(1, shape["tiles"] + 1)
    pairs = NEXT_CANVASES if shape["model_type"] == "llava_next" else product(counts, counts)
    return [[shape["side"] * down, shape["side"] * across] for down, across in pairs]


def _llava(shape: Shape) -> ProcessorMixin:
    side, crops = shape["side"], shape["model_type"] == "llava_next"
    name = "LlavaNext" if crops else "Llava"
    looks = transformers.LlavaNextImageProcessor if crops else transformers.CLIPImageProcessor
    more = {"image_grid_pinpoints": canvases(shape)} if crops else {}
    return getattr(transformers, f"{name}Processor")(
        looks(size={"shortest_edge": side}, crop_size=_square(side), **more),
        _words(shape, {"image_token": "<image>"}, bos_token="<s>"),
        patch_size=shape["vision"]["patch_size"],
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template("<image>", begins="<s>"),
    )


def _onevision(shape: Shape) -> ProcessorMixin:
    side = shape["side"]
    size, sizes = _square(side), canvases(shape)
    return transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=sizes),
        _words(shape, {"image_token": "<image>", "video_token": "<video>"}),
        transformers.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(side // shape["vision"]["patch_size"]) ** 2,
        vision_feature_select_strategy="full",
        vision_aspect_ratio="anyres_max_9",
        chat_template=template("<image>", video="<video>"),
    )


def _qwen(name: str) -> Callable[[Shape], ProcessorMixin]:
    def make(shape: Shape) -> ProcessorMixin:
        patch = shape["vision"]["patch_size"]
        area = (2 * patch) ** 2
        size = {"shortest_edge": 4 * area, "longest_edge": 16384 * area}
        films = getattr(transformers, name.replace("2_5_", "2") + "VideoProcessor")
        begin, end, image, video = QWEN_MARKS.values()
        return getattr(transformers, f"{name}Processor")(
            transformers.Qwen2VLImageProcessor(patch_size=patch, size=size),
            _words(shape, list(QWEN_MARKS.values())),
            films(patch_size=patch, size=size),
            chat_template=template(begin + image + end, video=begin + video + end),
        )

    return make


PROCESSORS: dict[str, Callable[[Shape], ProcessorMixin]] = {
    "llava": _llava,
    "llava_next": _llava,
    "llava_onevision": _onevision,
    "smolvlm": _tiled("SmolVLM"),
    "idefics3": _tiled("Idefics3"),
    "qwen2_vl": _qwen("Qwen2VL"),
    "qwen2_5_vl": _qwen("Qwen2_5_VL"),
    "qwen3_vl": _qwen("Qwen3VL"),
    "internvl": _internvl,
}
