"""From which layer on does an answer no longer need the picture? VTW's search for its layer K.

For every layer K all visual tokens leave before it, and the first answer token's probabilities are
compared with those of the whole run (Lin et al., arXiv 2405.05803). Knows prompts and layers; not
where prompts come from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.inference.dry_run import SharedPrefix
from explorer.inference.llm_layers import ForwardState
from explorer.inference.prefill import PruningPlan, prune
from explorer.inference.sequence import Prompt
from explorer.methods.signals import Kept, Signals, Stage
from explorer.vlm.components import Decoder

FIRST_LAYER = 5  # the authors try no smaller K


@torch.no_grad()
def withdrawal_divergence(
    decoder: Decoder, prompt: Prompt, first_layer: int = FIRST_LAYER
) -> Tensor:
    """Give KL(withdrawn before K || whole) in nats for K = first_layer..L-1, [L - first_layer].

    The layers below K run once for all K; from K on only words pass, at their own positions.
    """
    prefix, n_layers = SharedPrefix(decoder, prompt, frozenset()), len(decoder.body.layers)
    whole = _log_probabilities(decoder, prefix.before(n_layers))
    found = [whole.new_zeros(0)]
    for layer in range(first_layer, n_layers):
        state, stage = prefix.before(layer), Stage(layer, 0)
        prune(decoder, state, PruningPlan((stage,), _nobody), stage)
        for later in range(layer, n_layers):
            prefix.run_layer([state], later)
        words_alone = _log_probabilities(decoder, state)
        found.append((words_alone.exp() * (words_alone - whole)).sum()[None])
    return torch.cat(found)


def first_layer_within(divergence: Tensor, eta: float, first_layer: int = FIRST_LAYER) -> int:
    """Give the smallest K whose divergence, mean over samples [L - first_layer], is within eta.

    Divergences need not fall: the first that is small enough counts. L where none is, which leaves
    every token in place (the official code fails there).
    """
    enough = (divergence <= eta).nonzero()[:, 0].tolist()
    return first_layer + (enough[0] if enough else len(divergence))


def _nobody(signals: Signals, stage: Stage) -> Kept:
    return Kept(torch.zeros(0, dtype=torch.long, device=signals.grid_position.device))


def _log_probabilities(decoder: Decoder, state: ForwardState) -> Tensor:
    """Give the log-probabilities [vocabulary] of the token behind the last one."""
    last = decoder.body.norm(state.sequence.hidden_states[:, -1:])
    return decoder.head(last)[0, -1].float().log_softmax(-1)
