"""MDI and AEI: how much more an answer listens to the words than to the picture.

Wu et al., "When Language Overrules: Revealing Text Dominance in Multimodal Large Language Models",
arXiv 2508.10552. There is no official code; the definitions follow the re-implementation
Song-haJo/LangOverrule @f23f816 (src/metrics/mdi.py, aei.py, combined.py). Knows sums of attention
and numbers of tokens, not models or hooks. T text tokens, O image tokens (both of the prompt), G
tokens of the answer, L layers, H heads, S positions of the prompt. Attention is that of the rows
which produce the answer's tokens, averaged over heads.

Choices where the paper leaves room: EOS, padding and the first token of the prompt (BOS where there
is one) are no text, unless it is asked for: it is an attention sink and multiplies MDI. Attention
to answer tokens is left out; image tokens are counted at each layer, merged ones as one each. One
that is only wiped from the cache counts: its zero key still gets attention. What that
re-implementation itself measures differs from the paper's tables in middle and late layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dominance:
    """MDI and AEI of one answer, layer by layer; float64, NaN where undefined.

    mdi [L]: 1 is balance, above it text dominates, infinite where the image gets no attention.
    aei [L]: of text; 1 is balance, (|T|+|O|)/|T| the most. attention_text [L]: A_T, the share of
    text in the attention to text and image. text: |T|, one number or [L]. image [L]: |O|. answer:
    G. stages: "early", "middle", "late" -> (mdi, aei), means over the layers of `stage_layers`.
    """

    mdi: np.ndarray
    aei: np.ndarray
    attention_text: np.ndarray
    text: int | np.ndarray
    image: np.ndarray
    answer: int
    stages: dict[str, tuple[float, float]]


def measure(
    text_mass: np.ndarray,
    image_mass: np.ndarray,
    text_tokens: int | Sequence[int],
    image_tokens: Sequence[int],
    answer: int,
    first_mass: np.ndarray | None = None,
) -> Dominance:
    """Measure MDI = (A_T/|T|) / (A_O/|O|) and AEI = A_T (|T|+|O|) / |T| in every layer.

    text_mass, image_mass [L]: attention to text and to the image, in any common unit. text_tokens:
    |T|, one number or [L]; image_tokens [L]: |O|; answer: G. first_mass [L]: attention to the first
    token, which then counts as one more text token; None leaves it out. Without image tokens, text
    tokens or any attention both are NaN; without attention to the image MDI is infinite and AEI at
    its largest. ValueError if the lengths differ. arXiv 2508.10552, Eqs. (1)-(4).
    """
    text_mass = np.asarray(text_mass, dtype=np.float64)
    image_mass = np.asarray(image_mass, dtype=np.float64)
    image = np.asarray(image_tokens)
    if not text_mass.shape == image_mass.shape == image.shape or image.ndim != 1:
        raise ValueError(f"layers: {text_mass.shape}, {image_mass.shape}, {image.shape}")
    if first_mass is not None:
        text_mass = text_mass + np.asarray(first_mass, dtype=np.float64)
        text_tokens = np.asarray(text_tokens) + 1
    text = np.broadcast_to(np.asarray(text_tokens), image.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        attention_text = text_mass / (text_mass + image_mass)
        mdi = (text_mass / text) / (image_mass / image)
        aei = attention_text * (text + image) / text
    # With nothing to compare text with, AEI would be 1 and read as balance.
    mdi, aei = np.where(image == 0, np.nan, mdi), np.where(image == 0, np.nan, aei)
    return Dominance(
        mdi=mdi,
        aei=aei,
        attention_text=attention_text,
        text=int(text_tokens) if np.ndim(text_tokens) == 0 else text,
        image=image,
        answer=int(answer),
        stages={
            name: (float(mdi[layers].mean()), float(aei[layers].mean()))
            for name, layers in stage_layers(len(mdi)).items()
        },
    )


def stage_layers(layers: int) -> dict[str, list[int]]:
    """List the layers of each stage: the first two, the middle two (L//2 - 1, L//2), the last two.

    With fewer than six layers stages share layers; a single layer is all three. The paper's
    methodology according to the re-implementation's combined.py.
    """
    middle = layers // 2
    return {
        "early": list(range(min(2, layers))),
        "middle": sorted({max(middle - 1, 0), middle}),
        "late": list(range(max(layers - 2, 0), layers)),
    }
