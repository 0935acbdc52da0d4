"""Run a vision tower again, layer by layer, while a rule takes patches out or puts others in.

Works where a tower's layers pass one tensor of tokens on and nothing besides: not where positions
or windows go along (Qwen-VL). Hooks stay on the layers, but do nothing outside of a rerun. Knows
layers and tokens; not what a rule goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from explorer.methods.observed import TowerLayer
from explorer.vlm.attention import override_attention
from explorer.vlm.components import Pixels, Tower
from explorer.vlm.turns.current_run import yield_turn

Rule = Callable[[TowerLayer], Tensor | None]
"""Gets a layer that has run; gives the tokens that the next one reads, [V, S', Dv], if others."""
OutputListener = Callable[[nn.Module, Tensor], Tensor]
_LISTENER: ContextVar[OutputListener | None] = ContextVar("listener", default=None)


class _LastLayerDone(Exception):
    """The last layer has run; what stands behind it can't read fewer tokens."""


def _hand_over(module: nn.Module, _: tuple, output: Tensor) -> Tensor | None:
    listener = _LISTENER.get()
    return None if listener is None else listener(module, output)


def _let_others_have_their_turn(*_: object) -> None:
    if _LISTENER.get() is not None:
        yield_turn()


@contextmanager
def _listening(layers: tuple[nn.Module, ...], listener: OutputListener) -> Iterator[None]:
    """Hand what layers give to a listener, inside this context alone, and go on with its answer.

    Others have their turn behind every product with weights: all views pass a layer at once, which
    takes seconds where there are many.
    """
    for layer in layers:
        if _hand_over not in layer._forward_hooks.values():
            layer.register_forward_hook(_hand_over)
            for module in layer.modules():
                if isinstance(module, nn.Linear):
                    module.register_forward_hook(_let_others_have_their_turn)
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


@torch.no_grad()
def rerun_tower(tower: Tower, pixels: Pixels, rule: Rule) -> Tensor:
    """Give what the projector would read, [V, S', Dv], [CLS] in front where there is one."""
    numbers = {layer: number for number, layer in enumerate(tower.layers)}
    attended: list[tuple[Tensor, Tensor, Tensor, float]] = []
    found: list[Tensor] = []

    def attend(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        attended.append((query, key, value, scaling))
        return scaled_dot_product_attention(query, key, value, scale=scaling)

    def listen(layer: nn.Module, output: Tensor) -> Tensor:
        number = numbers[layer]
        seen = TowerLayer(number, tower.feeds, tower.has_cls, output, *attended.pop())
        changed = rule(seen)
        output = output if changed is None else changed.to(output.dtype)
        if number == tower.feeds:
            found.append(tower.norm(output))
        if number == len(tower.layers) - 1:
            raise _LastLayerDone
        return output

    try:
        with override_attention(attend), _listening(tower.layers, listen):
            tower.run(pixels)
    except _LastLayerDone:
        pass
    return found[0]
