"""The language side, which transformers gives the same shape in every family."""

from __future__ import annotations

from explorer.errors import ModelUnavailable
from explorer.families.parts import Decoder, Vlm


def decoder(vlm: Vlm) -> Decoder:
    """Take the language side apart."""
    body = vlm.model.get_decoder()
    if getattr(body.config, "sliding_window", None) is not None:
        raise ModelUnavailable("This model forgets with a sliding window, which is not supported.")
    eos = vlm.model.generation_config.eos_token_id
    return Decoder(body, vlm.model.lm_head, frozenset([eos] if isinstance(eos, int) else eos or ()))
