"""CDPruner: keep visual tokens that matter to the question and are not alike, by a conditional DPP.

Zhang et al., "Beyond Attention or Similarity: Maximizing Conditional Diversity for Token Pruning in
MLLMs", NeurIPS 2025, arXiv 2506.10967. Official code: Theia-4869/CDPruner @9541616,
llava/model/llava_arch.py (encode_images). Without a text tower, relevance is that of
openvinotoolkit/openvino.genai @da1db86, which is not by the authors. Reads the question.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from explorer.errors import MethodUnavailable
from explorer.methods.method import BeforeLLM, Card, option
from explorer.methods.ops.crops import crop_of, in_turn
from explorer.methods.ops.merging import rest
from explorer.methods.ops.ranking import falling
from explorer.methods.signals import Signals
from explorer.methods.similarity.volume import widest


@dataclass(frozen=True)
class CDPruner(BeforeLLM):
    """Relevant tokens that span the largest volume."""

    card = Card(
        key="cdpruner",
        title="CDPruner",
        authors="Zhang, Liu, Li, Lu, Zhang, Pan, She, Zhang",
        year=2025,
        arxiv="2506.10967",
        repository="Theia-4869/CDPruner",
        commit="9541616c40fc",
        verified=(
            "With the text tower: relevance, kernel and the order of the kept tokens equal the "
            "official code's on 3 recorded runs. The stand-in without a text tower is compared "
            "with nothing."
        ),
        uncertain=(
            "Known from code and abstract; the paper was not read. Where no text tower belongs to "
            "the model, as in the built-in one, relevance is that of the language model's "
            "embeddings: another recipe, not the authors'. Once the kernel's rank is used up, the "
            "official code keeps fewer."
        ),
        sentence=(
            "Picks patches that have to do with the question, but none like those already picked."
        ),
        equation="L_ij = r_i cos(x_i, x_j) r_j; next = argmax of the growth of det L(S)",
        headline="LLaVA keeps 94 % of its accuracy with 95 % fewer FLOPs. CDPruner, abstract.",
        traps=(
            "In CLIP, patches that match the text are less like it: the code turns the sign "
            "around. Once the picked patches span all others, the rest is filled up by relevance "
            "alone."
        ),
        score_means="order of choice, 1 is first",
    )
    needs = frozenset({"patch_embeds", "text_embeds", "question", "embed", "hidden"})
    reads_question = True
    relevance: str = option(
        "auto", "clip", "llm-embed", meaning="from a text tower, or from the LLM's embeddings"
    )
    # weighs as in a line that the code has commented out
    theta: float | str = option("off", 0.5, 0.9, meaning="weight of relevance against diversity")

    def recipe(self, signals: Signals) -> str:
        """Choose where relevance comes from: clip where there is a text tower, or llm-embed."""
        paired = signals.patch_embeds is not None and signals.text_embeds is not None
        if self.relevance == "clip" and not paired:
            raise MethodUnavailable(
                f"{self.card.title} by clip needs a text tower, which this model lacks."
            )
        auto = "clip" if paired else "llm-embed"
        return auto if self.relevance == "auto" else self.relevance

    def relevances(self, signals: Signals) -> Tensor:
        """Give r of every token, from 0 to 1 over the patches of all crops together, [N]."""
        if self.recipe(signals) == "clip":
            image = normalize(signals.patch_embeds.float(), dim=-1)
            text = normalize(signals.text_embeds.float(), dim=-1)
            r = signals.per_token(-(image @ text.T).mean(-1))  # the less alike, the more relevant
        else:
            words = signals.embed(signals.question).float()
            text = words.sum(0) / max(len(words), 1)
            r = normalize(signals.features.float(), dim=-1) @ normalize(text, dim=0)
        low, high = r[signals.grid_position[:, 0] >= 0].aminmax()
        # differs: where all are equal the code divides by zero
        r = (r - low + 1e-6) / (high - low) if high > low else torch.ones_like(r)
        return r if self.theta == "off" else (self.theta / (2 * (1 - self.theta)) * r).exp()

    def order(self, signals: Signals) -> Tensor:
        """Give all tokens in the order of choice, every crop by itself, [N]."""
        r, mix = self.relevances(signals), self.recipe(signals) == "llm-embed"
        crop, orders = crop_of(signals, signals.hidden.shape[1]), []
        for number in crop[crop >= 0].unique():
            tokens = (crop == number).nonzero()[:, 0]
            chosen = widest(kernel(signals.features[tokens], r[tokens], mix))
            # differs: the code then picks the same token again and again; here relevance decides
            left = rest(chosen, len(tokens))
            left = left[r[tokens][left].argsort(descending=True, stable=True)]
            orders.append(tokens[torch.cat([chosen, left])])
        return in_turn(orders, signals.count)

    def score(self, signals: Signals) -> Tensor:
        """Give the order of choice turned around: 1 for the first token, 0 for the last; [N]."""
        return falling(self.order(signals))


def kernel(features: Tensor, r: Tensor, mix: bool) -> Tensor:
    """Give L = r S r of one crop, S the cosines of features [n, D]; mix: the mean of S and L."""
    unit = normalize(features.float(), dim=1).double()
    similar = unit @ unit.T
    weighed = r[:, None] * similar * r
    return (similar + weighed) / 2 if mix else weighed
