"""Save pico as Hugging Face files: bf16 shards under 10 MB, tokenizer, processor, chat template.

The folder loads with `LlavaForConditionalGeneration` and `AutoProcessor`, offline. Knows nothing of
training.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import LlavaForConditionalGeneration, LlavaProcessor, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from explorer.pico.architecture import PATCH
from explorer.pico.data.scenes import SIDE
from explorer.pico.data.vocabulary import BOS, EOS, IMAGE, PAD, TOKEN, UNKNOWN

SHARD = "9MB"
BILINEAR = 2
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    " user :"
    "{% for part in message['content'] if part['type'] == 'text' %} {{ part['text'] }}{% endfor %}"
    "{% else %}"
    " assistant : {{ message['content'][0]['text'] }}{{ eos_token }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %} assistant :{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Make a tokenizer that splits lower-case words and marks, one token each."""
    words = Tokenizer(models.WordLevel(TOKEN, unk_token=UNKNOWN))
    words.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token=UNKNOWN,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        extra_special_tokens={"image_token": IMAGE},
    )


def processor() -> LlavaProcessor:
    """Make the processor: pictures squeezed to 224x224 and scaled to -1..1, and the tokenizer."""
    side = {"height": SIDE, "width": SIDE}
    pictures = CLIPImageProcessorPil(
        size=side,
        crop_size=side,
        do_center_crop=False,
        resample=BILINEAR,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def save(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Write model and processor into a folder; the model itself stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).to(torch.bfloat16)
    half.save_pretrained(folder, max_shard_size=SHARD)
    processor().save_pretrained(folder)
