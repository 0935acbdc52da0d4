"""What every pruning method promises, on random and on degenerate pictures."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from random_signals import (
    EVERY_CONTENT,
    EVERY_LAYOUT,
    LAYOUTS,
    WIDTH,
    budgets,
    inner_signals,
    size_of,
    tower_signals,
    walk,
)

from explorer.errors import BadBudget, UnknownMethod
from explorer.methods import catalog
from explorer.methods.attention import fopru, hired, relevance, visionzip
from explorer.methods.baselines import pool, random, uniform
from explorer.methods.inside_llm import (
    corematching,
    dart,
    fastv,
    pyramiddrop,
    sparsevlm,
    transprune,
    visiondrop,
)
from explorer.methods.signals import Kept, Signals, Size, Stage, top
from explorer.methods.similarity import cdpruner, lexrank, mmtok, todre

FOLDER = Path(catalog.__file__).parent

CHOICES = catalog.choices()
EVERY_CHOICE = pytest.mark.parametrize(
    ("method", "options"), [c[1:] for c in CHOICES], ids=[c[0] for c in CHOICES]
)
# options that no variant offers in the chooser, but that a script may ask for
CHOICES_AND_OPTIONS = [
    *CHOICES,
    ("fopru:logits", fopru, {"softmaxed": False}),
    ("random:3", random, {"seed": 3}),
    ("lexrank:rerank", lexrank, {"rerank": True, "threshold": "auto"}),
    ("lexrank:centred", lexrank, {"centred": True, "source": "tower"}),
    ("todre:k-center", todre, {"rule": "k-center", "late": False}),
    ("hired:quarter", hired, {"areas": "spatial", "alpha": 0.25}),
    ("hired:three", hired, {"budget_score": "sum", "alpha": 0.75}),
    ("cdpruner:theta", cdpruner, {"relevance": "llm-embed", "theta": 0.9}),
    ("mmtok:question", mmtok, {"alpha": 0.0, "tv_temp": 0.01}),
    ("dart:norm", dart, {"order": "norm"}),
    ("relevance:logprob", relevance, {"target": "logprob"}),
    ("pyramiddrop:raw", pyramiddrop, {"layer": "last", "similarity": "raw"}),
    ("sparsevlm:sum", sparsevlm, {"recycle": "sum"}),
    ("transprune:abs", transprune, {"direction": "abs", "alpha": 1.0}),
    ("corematching:core", corematching, {"metric": "core_neurons", "beta": 0.4}),
]
EVERY_OPTION = pytest.mark.parametrize(
    ("method", "options"),
    [c[1:] for c in CHOICES_AND_OPTIONS],
    ids=[c[0] for c in CHOICES_AND_OPTIONS],
)


# ---- promises of every method -----------------------------------------------------------------


def check(signals: Signals, stage: Stage, kept: Kept) -> None:
    n, index = signals.count, kept.index
    assert index.dtype == torch.long
    assert len(index) == stage.keep or (stage.optional and len(index) == n)
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


@pytest.mark.parametrize("method", [visionzip, visiondrop, todre], ids=lambda m: m.KEY)
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
    scores = None
    for budget in budgets(method, options, size):
        stages = list(walk(method, options, budget, layout, content))
        assert len(stages) == 1
        signals, stage, kept = stages[0]
        scores = method.score(signals, **options) if scores is None else scores
        assert torch.equal(kept.index, top(scores, stage.keep))
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
    """Visual tokens that enter each layer; after a blank stage, those that decoding reads there.

    A stage that may leave everything as it is doesn't count.
    """
    stages = [stage for stage in stages if not stage.optional]
    alive, at = size.tokens, {stage.layer: stage.total for stage in stages if not stage.blank}
    counts = [alive := at.get(layer, alive) for layer in range(size.layers)]
    for stage in stages:
        if stage.blank:
            counts[stage.layer - 1] = stage.total
    return counts


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
        assert all(stage.total >= 1 for stage in stages if not stage.optional)
        assert [stage.layer for stage in stages] == sorted({stage.layer for stage in stages})
        assert all(a.total > b.total for a, b in pairwise(stages) if not b.blank)
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


@pytest.mark.parametrize("method", catalog.METHODS, ids=lambda m: m.KEY)
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
    for name in ("AUTHORS", "YEAR", "ARXIV"):
        assert bool(getattr(method, name)) != baseline
    assert bool(method.REPOSITORY) == bool(method.COMMIT)
    header = " ".join(method.__doc__.split())
    if method.ARXIV:
        assert f"arXiv {method.ARXIV}" in header
    if method.REPOSITORY:
        assert f"{method.REPOSITORY} @{method.COMMIT[:7]}" in header
    elif not baseline:
        assert "no official code" in header.lower()


@pytest.mark.parametrize("method", catalog.METHODS, ids=lambda m: m.KEY)
def test_a_method_file_can_be_read_in_one_go(method):
    lines = Path(method.__file__).read_text().splitlines()
    assert 40 <= len(lines) <= 120


def test_the_list_is_in_the_order_of_the_page():
    assert [spec for spec, _, _ in catalog.choices()] == [
        "random", "uniform", "pool", "clsattn", "fopru", "fopru:row", "lexrank",
        "lexrank:continuous", "lexrank:degree", "gprune", "divprune", "todre", "zooprune", "hired",
        "hired:paper", "cdpruner", "mmtok", "visionzip", "relevance", "relevance_map", "fastv",
        "dart", "pyramiddrop", "sparsevlm", "sparsevlm:plus", "transprune", "corematching",
        "corematching:drop", "visiondrop",
    ]  # fmt: skip
    assert catalog.resolve("fopru:row") == (fopru, {"strategy": "row"})
    assert catalog.find("fastv") is fastv


def test_a_spec_may_set_options():
    assert catalog.resolve("random?seed=3") == (random, {"seed": 3})
    assert catalog.resolve("fopru:row?softmaxed=False")[1] == {
        "strategy": "row",
        "softmaxed": False,
    }
    for wrong in ("random?seed=99", "random?draw=1", "clsattn?seed=1", "random?seed"):
        with pytest.raises(UnknownMethod, match="has no option"):
            catalog.resolve(wrong)


@pytest.mark.parametrize("ask", [catalog.find, catalog.resolve])
@pytest.mark.parametrize("name", ["fastvv", "", "fopru:columns", "__init__"])
def test_an_unknown_method_is_named_beside_the_known_ones(ask, name):
    with pytest.raises(UnknownMethod, match=f"{name!r}.*random, uniform, .*visiondrop"):
        ask(name)


def test_methods_import_neither_models_nor_pages():
    for file in FOLDER.glob("*.py"):
        for line in file.read_text().splitlines():
            if line.startswith(("import explorer", "from explorer")):
                assert line.split()[1].startswith(
                    ("explorer.signals", "explorer.errors", "explorer.methods")
                ), f"{file.name}: {line}"
            assert "transformers" not in line.split(), f"{file.name}: {line}"
