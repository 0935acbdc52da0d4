"""The families of vision-language models that the explorer can take apart.

A family is one module with the same five functions, so that nothing outside this package,
layouts.py and loader.py knows which model runs:
  preprocess(vlm, image) -> Pixels       the uploaded picture as the tower gets it
  grid(vlm, width, height) -> Grid       which part of that picture each visual token stands for
  build_prompt(vlm, question, grid) -> ChatPrompt    its token ids, and where visual tokens sit
  vision_tower(vlm) -> Tower             the vision side taken apart
  decoder(vlm) -> Decoder                the language side taken apart
A family that reads the frames of a video one by one also has
  preprocess_frames(vlm, images, time) -> (Pixels, Grid with a view per frame and its time)
where a view may stand for a pair of frames; `build_prompt` writes another prompt for a grid with a
time, and `vision_tower` looks at frames, too. See clip_case.py. One that cuts pictures up as its
processor is told has
  coarser(image_processor, resolution) -> one that cuts them up less finely ("whole", "2x2")
"""

from __future__ import annotations

from types import ModuleType

from explorer.errors import ModelUnavailable
from explorer.vlm.components import ChatPrompt, Decoder, Pixels, Tower, Vision, Vlm
from explorer.vlm.families import internvl, llava, llava_next, llava_onevision, qwen_vl, smolvlm

FAMILIES: dict[str, ModuleType] = {
    "llava": llava,
    "llava_next": llava_next,
    "llava_onevision": llava_onevision,
    "smolvlm": smolvlm,
    "idefics3": smolvlm,
    "qwen2_vl": qwen_vl,
    "qwen2_5_vl": qwen_vl,
    "qwen3_vl": qwen_vl,
    "internvl": internvl,
}


def family_of(model_type: str) -> ModuleType:
    """Find the family of a transformers `model_type`; `ModelUnavailable` if there is none."""
    try:
        return FAMILIES[model_type]
    except KeyError:
        supported = ", ".join(sorted(FAMILIES))
        raise ModelUnavailable(
            f"Models of type {model_type} are not supported yet; these are: {supported}."
        ) from None


__all__ = ["FAMILIES", "ChatPrompt", "Decoder", "Pixels", "Tower", "Vision", "Vlm", "family_of"]
