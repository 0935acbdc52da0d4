"""A tokenizer of whole words, and a chat template, for models whose words mean nothing.

Knows words and marks; not models. Tests build their tiny models' tokenizers with it, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

COMMON = "<unk> <pad> <s> </s> user assistant what is in the picture this middle ?"


def word_level(
    special: list[str] | dict[str, str], words: Sequence[str], size: int = 0, **options: object
) -> PreTrainedTokenizerFast:
    """Know some words, divided by blanks, and special marks behind them.

    size: of the vocabulary with the marks, filled up with numbers; 0: no more than is given.
    """
    known = list(dict.fromkeys(words))
    known += [str(number) for number in range(size - len(known) - len(special))]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, "<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        extra_special_tokens=special,
        **options,
    )


def template(mark: str, begins: str = "", video: str = "") -> str:
    """Write a chat template that puts `mark` for a picture and `video` for a video."""
    return (
        begins + "{% for m in messages %}user {% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}" + mark + " {% elif c['type'] == 'video' %}" + video + " "
        "{% else %}{{ c['text'] }} {% endif %}"
        "{% endfor %}{% endfor %}{% if add_generation_prompt %}assistant{% endif %}"
    )
