"""What was observed of one layer or of one answer token, for methods that look so deep.

Plain tensors, of which a `Signals` holds some. Letters: S tokens of the sequence, N visual tokens
that are alive, L layers, H heads, I neurons of a layer's FFN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Transition:
    """How one decoder layer's two modules, attention and FFN, changed the tokens they read.

    ratio, cosine [2, S]: ||y|| / ||x|| and cos(x, y) of what a module reads (after its norm) and
    what it gives (before the residual sum), for all S tokens of the sequence at that layer.
    visual [N]: where in that sequence the visual tokens stand that are alive now.
    """

    ratio: Tensor
    cosine: Tensor
    visual: Tensor


@dataclass(frozen=True)
class Neurons:
    """What the FFN of one decoder layer activates. values [S, I]: the input of its down_proj.

    visual [N]: rows of the visual tokens; query_row: that of the first token after the question.
    """

    values: Tensor
    visual: Tensor
    query_row: int


@dataclass(frozen=True)
class AnswerGradient:
    """One token of the full answer, explained: attention and its gradient in every layer.

    attention, gradient: [H, S, S] of every layer, softmaxed and causal; row: the position that
    predicts the token; visual [N]: the columns of the visual tokens.
    """

    attention: Sequence[Tensor]
    gradient: Sequence[Tensor]
    row: int
    visual: Tensor


@dataclass(frozen=True)
class TowerLayer:
    """One layer of a vision tower that runs again, with the tokens that are still there.

    number: 0 for the first layer; feeds: of the layer whose output the projector reads. hidden
    [V, S, Dv]: what the layer gives, of [CLS] in front where has_cls, and of m patches. query, key,
    value [V, H, S, d] of its attention.
    """

    number: int
    feeds: int
    has_cls: bool
    hidden: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    scaling: float

    def attention(self) -> Tensor:
        """Give the mean over heads of the softmaxed attention to the patches, [V, m].

        That of [CLS]; in a tower without one, that of the mean query of all patches.
        """
        first = int(self.has_cls)
        asked = self.query[:, :, :1] if first else self.query.mean(2, keepdim=True)
        logits = (asked.float() @ self.key.float().transpose(2, 3))[:, :, 0] * self.scaling
        return logits.softmax(-1).mean(1)[:, first:]
