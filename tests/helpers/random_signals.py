"""Signals made up for tests: random and degenerate pictures on every layout of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor

from explorer.methods.method import Method
from explorer.methods.observed import AnswerGradient, Neurons, TowerLayer, Transition
from explorer.methods.signals import Kept, Signals, Size, Stage

WIDTH, TOWER_WIDTH, HEADS, LAYERS = 10, 6, 3, 12
TAIL, SHARED, NEURONS, BEFORE = 5, 7, 8, 2  # tokens after, shared space, FFN, tokens before


def grid(rows: int, columns: int, view: int = 0) -> Tensor:
    cells = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    return torch.cat([torch.full((len(cells), 1), view), cells], 1)


def with_newlines(place: Tensor, columns: int) -> Tensor:
    lines = [torch.cat([row, torch.full((1, 3), -1)]) for row in place.split(columns)]
    return torch.cat(lines)


def merged_patches(rows: int, columns: int) -> Tensor:
    """The four patches [N, 4] of every 2x2 token on a grid of rows x columns tokens."""
    row, column = grid(rows, columns)[:, 1:].T
    corner = 2 * row * 2 * columns + 2 * column
    return corner[:, None] + torch.tensor([0, 1, 2 * columns, 2 * columns + 1])


def one_patch_each(place: Tensor) -> Tensor:
    patches = torch.full((len(place), 1), -1)
    real = place[:, 0] >= 0
    patches[real, 0] = torch.arange(int(real.sum()))
    return patches


NEWLINES = with_newlines(grid(4, 4), 4)
# name -> place, patches, views, patches in a view, columns
LAYOUTS = {
    "square": (grid(5, 5), one_patch_each(grid(5, 5)), 1, 25, 5),
    "wide": (grid(3, 7), one_patch_each(grid(3, 7)), 1, 21, 7),
    "one token": (grid(1, 1), one_patch_each(grid(1, 1)), 1, 1, 1),
    "two views": (torch.cat([grid(3, 4), grid(3, 4, 1)]), torch.arange(24)[:, None], 2, 12, 4),
    "merged 2x2": (grid(4, 5), merged_patches(4, 5), 1, 80, 5),
    "newlines": (NEWLINES, one_patch_each(NEWLINES), 1, 16, 4),
}
CONTENTS = ("random", "one colour", "black")
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)
EVERY_CONTENT = pytest.mark.parametrize("content", CONTENTS)


def numbers(content: str, generator: torch.Generator):
    """Give a maker of tensors: random, the same along the tokens (dim -2), or zero."""

    def make(*shape: int) -> Tensor:
        if content == "black":
            return torch.zeros(shape)
        if content == "one colour":
            shape = (*shape[:-2], 1, shape[-1])
            return torch.randn(shape, generator=generator)
        return torch.randn(shape, generator=generator)

    return lambda *shape: make(*shape).expand(shape).contiguous()


def gradients(content: str, count: int) -> Iterator[AnswerGradient]:
    """Two answer tokens, explained in two layers with two heads."""
    generator = torch.Generator().manual_seed(11)
    make, total = numbers(content, generator), BEFORE + count + TAIL
    for row in (total - 2, total - 1):
        causal = torch.full((total, total), float("-inf")).triu(1)
        attention = (make(2, 2, total, total) + causal).softmax(-1)
        gradient = make(2, 2, total, total)
        yield AnswerGradient(attention, gradient, row, torch.arange(BEFORE, BEFORE + count))


def embedder(width: int):
    """Give every word an embedding of its own, the same in every call."""

    def embed(text: str) -> Tensor:
        rows = [
            torch.randn(width, generator=torch.Generator().manual_seed(sum(map(ord, word))))
            for word in text.split()
        ]
        return torch.stack(rows) if rows else torch.zeros(0, width)

    return embed


def differing(project: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Give the difference of two projections, for projectors that are no chain of layers."""
    return lambda x, nudge: project(x + nudge) - project(x - nudge)


@lru_cache(maxsize=64)
def tower_signals(layout: str, content: str = "random", cls: bool = True) -> Signals:
    place, patches, views, n, _ = LAYOUTS[layout]
    make = numbers(content, torch.Generator().manual_seed(7))
    logits = make(views, HEADS, n, n)
    cls_row = make(views, HEADS, n, 1).squeeze(-1)
    others = numbers(content, torch.Generator().manual_seed(9))
    keys, received = others(views, n, TOWER_WIDTH), others(views, n, 1).squeeze(-1).softmax(-1)
    projector = torch.randn(TOWER_WIDTH, WIDTH, generator=torch.Generator().manual_seed(8))
    signals = Signals(
        grid_position=place,
        features=make(len(place), WIDTH),
        patches=patches,
        cls_attention=cls_row.softmax(-1) if cls else None,
        patch_attention=logits.softmax(-1).mean(1),
        patch_logits=logits.mean(1),
        keys=make(views, n, 4),
        last_keys=keys,
        object_attention=received,
        hidden=make(views, n, TOWER_WIDTH),
        cls_hidden=make(views, 1, TOWER_WIDTH)[:, 0] if cls else None,
        project=lambda x: x @ projector,
        project_difference=differing(lambda x: x @ projector),
        padding=torch.arange(len(place)) == len(place) - 1,
        areas=torch.tensor([[0.0, 0, 1, 1], [0.0, 0, 1, 0.5]])[:views],
        rerun_tower=tower_of(content, views, n, cls),
        question="what is left of the red square ?",
        embed=embedder(WIDTH),
        tail=make(TAIL, WIDTH),
        rotary_frequencies=torch.tensor([1.0, 0.1, 0.01]),
        question_attention=make(len(place), 1).squeeze(-1).softmax(-1) / 2,
        relevance_net=lambda attention: (100 * attention).softmax(-1),
        explain=lambda target: gradients(content, len(place)),
    )
    if cls:
        first, last, early = (make(views, HEADS, n, 1).squeeze(-1).softmax(-1) for _ in range(3))
        signals = replace(
            signals,
            first_cls_attention=first,
            early_cls_attention=early,
            last_cls_attention=last,
            last_cls_logits=5 * last.log(),
            wide_cls_attention=last.mean(1),
        )
    return signals


def tower_of(content: str, views: int, n: int, cls: bool) -> Callable:
    """Give a tower of 5 layers, of which the projector reads the last but one."""

    def rerun_tower(rule: Callable[[TowerLayer], Tensor | None]) -> Tensor:
        make = numbers(content, torch.Generator().manual_seed(13))
        hidden, found = make(views, n + cls, TOWER_WIDTH), None
        for number in range(5):
            heads = hidden.unflatten(2, (HEADS, -1)).transpose(1, 2)
            layer = TowerLayer(number, 3, cls, hidden, heads, heads, heads + number, 1.0)
            changed = rule(layer)
            hidden = hidden if changed is None else changed
            found = hidden if number == 3 else found
        return found

    return rerun_tower


def inner_signals(
    place: Tensor,
    content: str,
    layer: int,
    original: int | None = None,
    needs: frozenset[str] | None = None,
) -> Signals:
    """Signals before a layer; `original`: visual tokens of the untouched prompt.

    needs: which of them; others are None. All without it.
    """
    return _inner_signals(tuple(map(tuple, place.tolist())), content, layer, original, needs)


@lru_cache(maxsize=512)
def _inner_signals(
    rows: tuple, content: str, layer: int, original: int | None, needs: frozenset[str] | None
) -> Signals:
    place = torch.tensor(rows)
    n = len(place)
    make = numbers(content, torch.Generator().manual_seed(100 + layer))
    causal = torch.full((n, n), float("-inf")).triu(1)
    share = n / (n + TAIL)
    total = BEFORE + n + TAIL
    at = torch.arange(BEFORE, BEFORE + n)
    makers: dict[str, Callable[[], object]] = {
        "last_cls_attention": lambda: make(1, HEADS, n, 1).squeeze(-1).softmax(-1),
        "patch_attention": lambda: make(1, n, n).softmax(-1),
        "last_attention": lambda: make(HEADS, n, 1).squeeze(-1).softmax(-1),
        "unrotated_attention": lambda: make(HEADS, n, 1).squeeze(-1).softmax(-1),
        "visual_attention": lambda: (make(n, n) + causal).softmax(-1),
        "visual_keys": lambda: make(n, 4),
        "joined_keys": lambda: make(n, 8),
        "values": lambda: make(2, n, 4),
        "tail_values": lambda: make(2, TAIL, 4),
        "other_values": lambda: make(2, BEFORE, 4),
        "rotary": lambda: make(n, 2).tanh(),
        "global_attention": lambda: make(HEADS, n, 1).squeeze(-1).softmax(-1) * share,
        "next_last_attention": lambda: make(HEADS, n, 1).squeeze(-1).softmax(-1) * share,
        "tail_attention": lambda: make(HEADS, TAIL, n, 1).squeeze(-1).softmax(-1) * share,
        "next_tail_attention": lambda: make(HEADS, TAIL, n, 1).squeeze(-1).softmax(-1) * share,
        "visual_received": lambda: (make(n, n) + causal).softmax(-1).sum(0),
        "pagerank": lambda: make(n, 1)[:, 0].softmax(0),
        "visual_to_tail": lambda: torch.zeros(n),
        "key_norms": lambda: make(n, 1)[:, 0].abs(),
        "tail_key_norms": lambda: make(TAIL, 1)[:, 0].abs(),
        "normed": lambda: make(n, WIDTH),
        "tail_normed": lambda: make(TAIL, WIDTH),
        "n_leading_tokens": lambda: BEFORE,
        "rotated_ones": lambda: make(n, 4),
        "tail_rotated_ones": lambda: make(TAIL, 4),
        "tail": lambda: make(TAIL, WIDTH),
        "inputs": lambda: make(original or n, WIDTH),
        "transitions": lambda: tuple(
            Transition(make(2, total, 1)[..., 0].abs(), make(2, total, 1)[..., 0].tanh(), at)
            for _ in range(layer)
        ),
        "neurons": lambda: Neurons(make(total, NEURONS), at, total - 2),
    }
    return Signals(
        grid_position=place,
        features=make(n, WIDTH),
        patches=torch.arange(n)[:, None].masked_fill(place[:, :1] < 0, -1),
        **{name: of() for name, of in makers.items() if needs is None or name in needs},
    )


def size_of(layout: str, cls: bool = True) -> Size:
    return Size(len(LAYOUTS[layout][0]), LAYERS, LAYOUTS[layout][4], cls)


def touched(signals: Signals) -> int:
    """How often any of the signals was written to in place."""
    return sum(value._version for value in vars(signals).values() if isinstance(value, Tensor))


@lru_cache(maxsize=1024)
def scheduled(method: Method, size: Size, budget: int) -> list[Stage]:
    """The stages of a method, searched for once for pictures of all contents."""
    return method.schedule(size, budget)


def run_stages(
    method: Method, budget: int, layout: str, content: str = "random", cls: bool = True
) -> Iterator[tuple[Signals, Stage, Kept]]:
    """Follow the tokens through all stages of a schedule, as the engine does."""
    place = LAYOUTS[layout][0]
    for stage in scheduled(method, size_of(layout, cls), budget):
        if stage.layer == 0:
            signals = tower_signals(layout, content, cls)
        else:
            whole = len(LAYOUTS[layout][0])
            signals = inner_signals(place, content, stage.layer, whole, frozenset(method.needs))
        changes = touched(signals)
        kept = method.keep(signals, stage)
        assert touched(signals) == changes, "a method changes nothing that it is given"
        yield signals, stage, kept
        if stage.wipe_cache:
            continue
        own, merged = kept.slots()
        left = torch.full((len(own) + len(merged), 3), -1)
        left[own] = place[kept.index]
        if kept.centre is not None:
            left[merged] = torch.cat([place, left.new_full((1, 3), -1)])[kept.centre]
        place = left


def budgets(method: Method, size: Size) -> range:
    return range(method.floor(size), size.tokens + 1)
