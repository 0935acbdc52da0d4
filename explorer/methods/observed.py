"""What was observed of one layer or of one answer token, for methods that look so deep.

Plain tensors, of which a `Signals` holds some. Letters: S tokens of the sequence, N visual tokens
that are alive, L layers, H heads, I neurons of a layer's FFN.
"""

from __future__ import annotations

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

    attention, gradient [L, H, S, S] softmaxed and causal; row: the position that predicts the
    token; visual [N]: the columns of the visual tokens.
    """

    attention: Tensor
    gradient: Tensor
    row: int
    visual: Tensor
