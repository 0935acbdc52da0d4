"""What every pruning method promises, on random and on degenerate pictures, and what each does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from explorer import methods
from explorer.errors import BadBudget, UnknownMethod
from explorer.methods import divprune, fastv, fopru, pool, uniform, visiondrop, visionzip
from explorer.methods.regions import regions
from explorer.signals import Kept, Signals, Size, Stage, top

WIDTH, TOWER_WIDTH, HEADS, LAYERS = 10, 6, 3, 12
FOLDER = Path(methods.__file__).parent

CHOICES = methods.choices()
EVERY_CHOICE = pytest.mark.parametrize(
    ("method", "options"), [c[1:] for c in CHOICES], ids=[c[0] for c in CHOICES]
)
# options that no variant offers in the chooser, but that a script may ask for
CHOICES_AND_OPTIONS = [
    *CHOICES,
    ("fopru:logits", fopru, {"softmaxed": False}),
    ("random:3", methods.random, {"seed": 3}),
]
EVERY_OPTION = pytest.mark.parametrize(
    ("method", "options"),
    [c[1:] for c in CHOICES_AND_OPTIONS],
    ids=[c[0] for c in CHOICES_AND_OPTIONS],
)


# ---- pictures ---------------------------------------------------------------------------------


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


def tower_signals(layout: str, content: str = "random", cls: bool = True) -> Signals:
    place, patches, views, n, _ = LAYOUTS[layout]
    make = numbers(content, torch.Generator().manual_seed(7))
    logits = make(views, HEADS, n, n)
    cls_row = make(views, HEADS, n, 1).squeeze(-1)
    projector = torch.randn(TOWER_WIDTH, WIDTH, generator=torch.Generator().manual_seed(8))
    return Signals(
        place=place,
        features=make(len(place), WIDTH),
        patches=patches,
        cls_attention=cls_row.softmax(-1) if cls else None,
        patch_attention=logits.softmax(-1).mean(1),
        patch_logits=logits.mean(1),
        keys=make(views, n, 4),
        hidden=make(views, n, TOWER_WIDTH),
        cls_hidden=make(views, 1, TOWER_WIDTH)[:, 0] if cls else None,
        project=lambda x: x @ projector,
    )


def inner_signals(place: Tensor, content: str, layer: int) -> Signals:
    n = len(place)
    make = numbers(content, torch.Generator().manual_seed(100 + layer))
    causal = torch.full((n, n), float("-inf")).triu(1)
    return Signals(
        place=place,
        features=make(n, WIDTH),
        last_attention=make(HEADS, n, 1).squeeze(-1).softmax(-1),
        visual_attention=(make(n, n) + causal).softmax(-1),
        visual_keys=make(n, 4),
    )


def size_of(layout: str, cls: bool = True) -> Size:
    return Size(len(LAYOUTS[layout][0]), LAYERS, LAYOUTS[layout][4], cls)


def walk(
    method, options: dict, budget: int, layout: str, content: str = "random", cls: bool = True
) -> Iterator[tuple[Signals, Stage, Kept]]:
    """Follow the tokens through all stages of a schedule, as the engine does."""
    place = LAYOUTS[layout][0]
    for stage in method.schedule(size_of(layout, cls), budget, **options):
        if stage.layer == 0:
            signals = tower_signals(layout, content, cls)
        else:
            signals = inner_signals(place, content, stage.layer)
        kept = method.keep(signals, stage, **options)
        yield signals, stage, kept
        new = torch.full((stage.merge, 3), -1)
        place = torch.cat([new[: kept.lead], place[kept.index], new[kept.lead :]])


def budgets(method, options: dict, size: Size) -> range:
    return range(method.floor(size, **options), size.tokens + 1)


# ---- promises of every method -----------------------------------------------------------------


def check(signals: Signals, stage: Stage, kept: Kept) -> None:
    n, index = signals.count, kept.index
    assert index.dtype == torch.long
    assert len(index) == stage.keep
    assert (index.diff() > 0).all(), "ascending, and so unique"
    assert ((index >= 0) & (index < n)).all()
    assert 0 <= kept.lead <= stage.merge
    if stage.keep == n:
        assert stage.merge == 0, "nothing left to merge"
    if stage.merge == 0:
        assert kept.merged is None
        assert kept.group is None or (kept.group == -1).all()
        return
    assert kept.merged.shape == (stage.merge, WIDTH)
    assert kept.merged.isfinite().all()
    assert kept.group.shape == (n,)
    assert kept.group.dtype == torch.long
    assert ((kept.group >= -1) & (kept.group < stage.merge)).all()
    assert (kept.group[index] == -1).all(), "a token is kept or folded, not both"


@EVERY_OPTION
@EVERY_LAYOUT
@EVERY_CONTENT
def test_every_stage_keeps_and_merges_what_it_was_told_to(method, options, layout, content):
    size = size_of(layout)
    for budget in budgets(method, options, size):
        for signals, stage, kept in walk(method, options, budget, layout, content):
            check(signals, stage, kept)


@pytest.mark.parametrize("method", [visionzip, visiondrop], ids=lambda m: m.KEY)
@EVERY_LAYOUT
@EVERY_CONTENT
def test_towers_without_cls_are_served_too(method, layout, content):
    size = size_of(layout, cls=False)
    for budget in budgets(method, {}, size):
        for signals, stage, kept in walk(method, {}, budget, layout, content, cls=False):
            check(signals, stage, kept)
            assert kept.lead == 0


@EVERY_OPTION
@EVERY_LAYOUT
@EVERY_CONTENT
def test_scores_are_one_finite_number_per_token(method, options, layout, content):
    seen = []
    if method.WHERE != "inside the LLM":
        seen.append(tower_signals(layout, content))
    if method.WHERE != "before the LLM":
        seen.append(inner_signals(LAYOUTS[layout][0], content, 3))
    for signals in seen:
        scores = method.score(signals, **options)
        assert scores.shape == (signals.count,)
        assert scores.dtype == torch.float32
        assert scores.isfinite().all()


@EVERY_OPTION
@EVERY_LAYOUT
def test_the_whole_budget_is_the_identity(method, options, layout):
    n = len(LAYOUTS[layout][0])
    for signals, stage, kept in walk(method, options, n, layout):
        assert (stage.keep, stage.merge) == (n, 0)
        assert kept.index.tolist() == list(range(n))
        assert kept.merged is None
        assert signals.count == n


@EVERY_OPTION
def test_the_same_picture_gives_the_same_tokens(method, options):
    size = size_of("square")
    budget = max(9, method.floor(size, **options))
    first = list(walk(method, options, budget, "square"))
    again = list(walk(method, options, budget, "square"))
    for (_, _, one), (_, _, two) in zip(first, again, strict=True):
        assert torch.equal(one.index, two.index)
        if one.merged is not None:
            assert torch.equal(one.merged, two.merged)
            assert torch.equal(one.group, two.group)


@pytest.mark.parametrize(
    ("method", "options"),
    [c[1:] for c in CHOICES_AND_OPTIONS if c[1].NESTED],
    ids=[c[0] for c in CHOICES_AND_OPTIONS if c[1].NESTED],
)
@EVERY_LAYOUT
@EVERY_CONTENT
def test_a_nested_method_only_adds_tokens_as_the_budget_grows(method, options, layout, content):
    size, smaller = size_of(layout), set()
    for budget in budgets(method, options, size):
        stages = list(walk(method, options, budget, layout, content))
        assert len(stages) == 1
        signals, stage, kept = stages[0]
        assert torch.equal(kept.index, top(method.score(signals, **options), stage.keep))
        assert smaller <= set(kept.index.tolist())
        smaller = set(kept.index.tolist())


@pytest.mark.parametrize("method", [uniform, pool, visionzip, visiondrop], ids=lambda m: m.KEY)
def test_a_method_that_is_not_nested_says_so_for_a_reason(method):
    sets = []
    for budget in budgets(method, {}, size_of("square")):
        *_, (_, _, kept) = walk(method, {}, budget, "square")
        untouched = set(kept.index.tolist())
        folded = [] if kept.group is None else kept.group.tolist()
        sets.append((untouched, folded))
    grows = all(a[0] <= b[0] and a[1] == b[1] for a, b in pairwise(sets))
    assert not method.NESTED
    assert not grows


def entering(stages: list[Stage], size: Size) -> list[int]:
    """Visual tokens that enter each layer."""
    alive, at = size.tokens, {stage.layer: stage.total for stage in stages}
    return [alive := at.get(layer, alive) for layer in range(size.layers)]


@EVERY_CHOICE
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 6, 7, 12, 28, 32])
@pytest.mark.parametrize(("tokens", "columns"), [(1, 1), (7, 7), (196, 14), (576, 24)])
def test_the_mean_over_layers_is_within_one_token_of_the_budget(
    method, options, layers, tokens, columns
):
    size = Size(tokens, layers, columns)
    slack = columns if options.get("strategy") == "row" else 1  # whole rows only
    lowest = method.floor(size, **options)
    assert 1 <= lowest <= tokens
    for budget in budgets(method, options, size):
        stages = method.schedule(size, budget, **options)
        mean = sum(entering(stages, size)) / layers
        assert abs(mean - budget) <= slack, budget
        assert all(stage.total >= 1 for stage in stages)
        assert [stage.layer for stage in stages] == sorted({stage.layer for stage in stages})
        assert all(a.total > b.total for a, b in pairwise(stages))
        if budget == tokens:
            assert {(stage.keep, stage.merge) for stage in stages} == {(tokens, 0)}


@EVERY_CHOICE
def test_below_its_floor_a_method_refuses_in_words(method, options):
    size = Size(576, 32, 24)
    lowest = method.floor(size, **options)
    method.schedule(size, lowest, **options)
    if lowest > 1:
        with pytest.raises(BadBudget, match=f"at least {lowest}|smaller than {lowest}"):
            method.schedule(size, lowest - 1, **options)


@EVERY_CHOICE
def test_a_method_looks_only_at_what_it_names(method, options):
    """Signals that are not named in NEEDS are None, and nobody misses them."""
    for signals, stage, kept in walk(
        method, options, max(9, method.floor(size_of("square"), **options)), "square"
    ):
        named = {name: getattr(signals, name) for name in method.NEEDS}
        bare = Signals(signals.place, signals.features, patches=signals.patches, **named)
        assert torch.equal(method.keep(bare, stage, **options).index, kept.index)


# ---- cards and the list -----------------------------------------------------------------------


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.KEY)
def test_every_method_has_a_complete_card(method):
    for name in ("KEY", "TITLE", "VERIFIED", "SENTENCE", "SCORE_MEANS"):
        assert getattr(method, name).strip()
    for name in ("READS_QUESTION", "NESTED", "MERGES", "TRAINED"):
        assert isinstance(getattr(method, name), bool)
    assert Path(method.__file__).stem == method.KEY
    assert method.POSITIONS in ("keep", "renumber")
    assert method.WHERE in ("before the LLM", "inside the LLM", "both")
    assert set(Signals.__dataclass_fields__) >= method.NEEDS
    assert isinstance(method.UNCERTAIN, str)
    for options in method.VARIANTS.values():
        assert all(value in method.OPTIONS[name] for name, value in options.items())
    baseline = method.KEY in ("random", "uniform", "pool")
    for name in ("AUTHORS", "YEAR", "ARXIV", "REPOSITORY", "COMMIT"):
        assert bool(getattr(method, name)) != baseline
    if not baseline:
        assert f"arXiv {method.ARXIV}" in " ".join(method.__doc__.split())
        assert f"{method.REPOSITORY} @{method.COMMIT[:7]}" in " ".join(method.__doc__.split())


@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.KEY)
def test_a_method_file_can_be_read_in_one_go(method):
    lines = Path(method.__file__).read_text().splitlines()
    assert 40 <= len(lines) <= 120


def test_the_list_is_in_the_order_of_the_page():
    assert [spec for spec, _, _ in methods.choices()] == [
        "random", "uniform", "pool", "clsattn", "fopru", "fopru:row", "divprune", "visionzip",
        "fastv", "visiondrop",
    ]  # fmt: skip
    assert methods.resolve("fopru:row") == (fopru, {"strategy": "row"})
    assert methods.find("fastv") is fastv


@pytest.mark.parametrize("ask", [methods.find, methods.resolve])
@pytest.mark.parametrize("name", ["fastvv", "", "fopru:columns", "__init__"])
def test_an_unknown_method_is_named_beside_the_known_ones(ask, name):
    with pytest.raises(UnknownMethod, match=f"{name!r}.*random, uniform, .*visiondrop"):
        ask(name)


# ---- what single methods do -------------------------------------------------------------------


def test_random_draws_differ_with_the_seed():
    signals = tower_signals("square")
    draws = {
        tuple(methods.random.keep(signals, Stage(0, 6), seed=seed).index.tolist())
        for seed in methods.random.OPTIONS["seed"]
    }
    assert len(draws) == 5


@pytest.mark.parametrize(
    ("rows", "columns", "count", "expected"),
    [
        (2, 4, 2, [[0, 0, 1, 1], [0, 0, 1, 1]]),
        (4, 4, 4, [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]),
        (4, 2, 3, [[0, 0], [0, 0], [1, 2], [1, 2]]),
        (3, 3, 1, [[0] * 3] * 3),
        (1, 5, 5, [[0, 1, 2, 3, 4]]),
    ],
)
def test_regions_are_bands_of_rows_cut_into_cells(rows, columns, count, expected):
    assert regions(grid(rows, columns), count).view(rows, columns).tolist() == expected


LONG_AND_THIN = {"2 x 20": grid(2, 20), "20 x 2": grid(20, 2), "1 x 9": grid(1, 9)}


@pytest.mark.parametrize("name", [*LAYOUTS, *LONG_AND_THIN])
def test_regions_are_as_many_as_asked_for_and_none_is_empty(name):
    place = LONG_AND_THIN[name] if name in LONG_AND_THIN else LAYOUTS[name][0]
    for count in range(1, len(place) + 1):
        region = regions(place, count)
        sizes = region[region >= 0].bincount(minlength=count)
        assert len(sizes) == count
        assert sizes.min() >= 1


def test_regions_are_of_like_size():
    assert set(regions(grid(14, 14), 49).bincount().tolist()) == {4}
    sizes = regions(grid(14, 14), 60).bincount()
    assert sizes.max() <= 4 * sizes.min()  # either side within a factor of two


def test_regions_are_shared_between_views_by_their_size():
    region = regions(torch.cat([grid(2, 2), grid(4, 4, 1)]), 5)
    assert region[:4].tolist() == [0] * 4
    assert region[4:].unique().tolist() == [1, 2, 3, 4]


def test_uniform_keeps_the_middle_of_each_region():
    signals = Signals(grid(3, 9), torch.zeros(27, WIDTH))
    assert uniform.keep(signals, Stage(0, 3)).index.tolist() == [10, 13, 16]


def test_pool_averages_neighbours():
    features = torch.arange(16.0)[:, None].expand(16, WIDTH)
    kept = pool.keep(Signals(grid(4, 4), features), Stage(0, 0, 4))
    assert kept.merged[:, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert kept.group[:4].tolist() == [0, 0, 1, 1]


def attention_signals(rows: int, columns: int, attention: Tensor) -> Signals:
    place = grid(rows, columns)
    return Signals(
        place,
        torch.zeros(len(place), WIDTH),
        patches=one_patch_each(place),
        patch_attention=attention[None],
        patch_logits=-attention[None],
    )


def test_fopru_uses_attention_received_or_given_whichever_varies_more():
    received = torch.tensor([[0.1, 0.9, 0.2, 0.3]]).expand(4, 4)
    assert torch.allclose(fopru.score(attention_signals(2, 2, received)), received[0])
    assert torch.allclose(fopru.score(attention_signals(2, 2, received.T)), received[0])
    logits = fopru.score(attention_signals(2, 2, received), softmaxed=False)
    assert torch.allclose(logits, -received[0])


def test_fopru_by_rows_keeps_the_rows_with_the_largest_sums():
    attention = torch.tensor([[0.9, 0.0, 0.4, 0.6, 0.3, 0.3]]).expand(6, 6)
    signals = attention_signals(3, 2, attention)
    kept = fopru.keep(signals, Stage(0, 4), strategy="row")
    assert kept.index.tolist() == [0, 1, 2, 3]
    assert fopru.keep(signals, Stage(0, 2), strategy="row").index.tolist() == [2, 3]


@EVERY_CONTENT
@pytest.mark.parametrize("layout", ["wide", "two views", "newlines", "merged 2x2"])
def test_fopru_by_rows_never_cuts_a_row(layout, content):
    size, place = size_of(layout), LAYOUTS[layout][0]
    patches = int((place[:, 0] >= 0).sum())
    for budget in range(size.columns, patches + 1):
        [(_, stage, kept)] = walk(fopru, {"strategy": "row"}, budget, layout, content)
        if budget == size.tokens:
            continue
        assert stage.keep == budget // size.columns * size.columns
        rows = place[kept.index, :2].unique(dim=0)
        assert len(rows) * size.columns == stage.keep
        assert (rows >= 0).all(), "newlines leave before any row of patches"


def farthest_first(x: Tensor) -> list[int]:
    """Algorithm 1 of DivPrune, spelled out with loops."""
    x = x.double()
    n = len(x)

    def distance(i: int, j: int) -> float:
        return float(1 - x[i] @ x[j] / (x[i].norm() * x[j].norm()))

    order = [max(range(n), key=lambda i: min(distance(i, j) for j in range(n) if j != i))]
    while len(order) < n:
        rest = [i for i in range(n) if i not in order]
        order.append(max(rest, key=lambda i: min(distance(i, j) for j in order)))
    return order


def test_divprune_chooses_farthest_first_from_the_most_isolated_token():
    x = torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(3)) + 0.5
    assert divprune.order(x).tolist() == farthest_first(x)
    score = divprune.score(Signals(grid(3, 4), x))
    assert score.argsort(descending=True).tolist() == farthest_first(x)
    assert (score.max(), score.min()) == (1, 0)


def test_divprune_takes_one_of_each_before_any_duplicate():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    assert divprune.keep(Signals(grid(1, 5), x), Stage(0, 3)).index.tolist() == [0, 2, 4]


def test_visionzip_counts_cls_and_splits_27_to_5():
    size = Size(576, 32, 24)
    for budget, patches, contextual in [(64, 53, 10), (128, 107, 20), (192, 161, 30), (3, 1, 1)]:
        assert visionzip.schedule(size, budget) == [Stage(0, patches, 1 + contextual)]
    assert visionzip.schedule(size, 2) == [Stage(0, 1, 1)]
    assert visionzip.schedule(size, 1) == [Stage(0, 1, 0)]
    no_cls = Size(576, 32, 24, cls=False)
    assert visionzip.schedule(no_cls, 64) == [Stage(0, 54, 10)]


def contextual_signals() -> Signals:
    """Six patches in a row: 0 has all attention, 1 and 3 will be the targets."""
    keys = torch.tensor([[9.0, 9], [1, 0], [0, 1], [0, 2], [5, 1], [1, 5]])
    return Signals(
        grid(1, 6),
        torch.zeros(6, 2),
        patches=torch.arange(6)[:, None],
        cls_attention=torch.tensor([[[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]]] * 2).transpose(0, 1),
        keys=keys[None],
        hidden=torch.tensor([[[0.0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [6, 0]]]),
        cls_hidden=torch.tensor([[7.0, 7.0]]),
        project=lambda x: 10 * x,
    )


def test_visionzip_adds_to_each_target_the_mean_of_its_group():
    kept = visionzip.keep(contextual_signals(), Stage(0, 1, 3))
    assert kept.index.tolist() == [0]
    assert kept.lead == 1
    # targets: 1 and 3 (every 5 // 2 = 2nd of the rest); 4 joins 1; 2 and 5 join 3
    assert kept.group.tolist() == [-1, 1, 2, 2, 1, 2]
    assert kept.merged[:, 0].tolist() == [70, 10 * (1 + 4), 10 * (3 + (2 + 6) / 2)]


def test_visionzip_scores_by_the_attention_summed_over_heads():
    assert torch.allclose(visionzip.score(contextual_signals())[:2], torch.tensor([1.0, 0.2]))


def test_visionzip_without_cls_scores_by_the_attention_received():
    signals = tower_signals("square", cls=False)
    received = signals.patch_attention[0].mean(0)
    assert torch.allclose(visionzip.score(signals), received)
    kept = visionzip.keep(signals, Stage(0, 5, 2))
    assert kept.index.tolist() == top(received, 5).tolist()
    assert set(kept.group.tolist()) == {-1, 0, 1}


def test_visionzip_does_not_merge_newlines_while_there_are_patches():
    *_, (_, _, kept) = walk(visionzip, {}, 10, "newlines")
    assert (kept.group[NEWLINES[:, 0] < 0] == -1).all()
    assert (kept.group >= 0).sum() + len(kept.index) == 16


@pytest.mark.parametrize("layers", [32, 12])
@pytest.mark.parametrize(
    ("budget", "totals"),
    [
        (32, [48, 35, 26, 19]),
        (64, [96, 70, 52, 38]),
        (128, [192, 141, 103, 76]),
        (192, [288, 211, 155, 114]),
    ],
)
def test_visiondrop_reproduces_the_published_schedule_and_those_derived_from_it(
    budget, totals, layers
):
    stages = visiondrop.schedule(Size(576, layers, 24), budget)
    assert [stage.total for stage in stages] == totals
    assert [stage.layer for stage in stages] == [0, layers // 4, layers // 2, 3 * layers // 4]


def test_visiondrop_splits_one_contextual_token_off_every_eight():
    stages = visiondrop.schedule(Size(576, 32, 24), 32)
    assert [(stage.keep, stage.merge) for stage in stages] == [
        (41, 1 + 6),  # CLS is one of the merged ones here
        (30, 5),
        (22, 4),
        (16, 3),
    ]


def test_visiondrop_in_the_llm_scores_by_the_attention_received_from_visual_tokens():
    signals = inner_signals(grid(1, 6), "random", 8)
    received = signals.visual_attention.mean(0)
    assert torch.allclose(visiondrop.score(signals), received)
    kept = visiondrop.keep(signals, Stage(8, 2, 1))
    assert kept.lead == 0
    target, *others = [i for i in range(6) if i not in kept.index]
    expected = signals.features[target] + signals.features[others].mean(0)
    assert torch.allclose(kept.merged[0], expected, atol=1e-6)


def test_fastv_solves_for_the_tokens_left_after_two_layers():
    size = Size(576, 32, 24)
    for mean, left in [(192, 166), (128, 98), (64, 30), (171, 144), (306, 288)]:
        assert fastv.schedule(size, mean) == [Stage(2, left)]
    assert fastv.floor(size) == 37
    assert fastv.POSITIONS == "keep"


def test_fastv_ranks_by_the_mean_over_heads():
    attention = torch.tensor([[0.6, 0.0, 0.0, 0.4], [0.0, 0.5, 0.1, 0.4]])
    signals = Signals(grid(1, 4), torch.zeros(4, WIDTH), last_attention=attention)
    assert torch.allclose(fastv.score(signals), torch.tensor([0.3, 0.25, 0.05, 0.4]))
    assert fastv.keep(signals, Stage(2, 2)).index.tolist() == [0, 3]


def test_methods_import_neither_models_nor_pages():
    for file in FOLDER.glob("*.py"):
        for line in file.read_text().splitlines():
            if line.startswith(("import explorer", "from explorer")):
                assert line.split()[1].startswith(
                    ("explorer.signals", "explorer.errors", "explorer.methods")
                ), f"{file.name}: {line}"
            assert "transformers" not in line.split(), f"{file.name}: {line}"
