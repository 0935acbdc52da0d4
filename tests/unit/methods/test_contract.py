"""What every pruning method promises, on random and on degenerate pictures."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from itertools import groupby, pairwise, product
from pathlib import Path

import pytest
import torch
from random_signals import (
    CONTENTS,
    LAYOUTS,
    WIDTH,
    budgets,
    inner_signals,
    run_stages,
    size_of,
    tower_signals,
)

from explorer.errors import BadBudget, UnknownMethod
from explorer.methods import catalog
from explorer.methods.attention.clsattn import ClsAttention
from explorer.methods.attention.fopru import FoPru
from explorer.methods.attention.hiprune import HiPrune
from explorer.methods.attention.hired import HiRED
from explorer.methods.attention.holov import HoloV
from explorer.methods.attention.visionzip import VisionZip
from explorer.methods.attention.vispruner import VisPruner
from explorer.methods.baselines.pool import Pool
from explorer.methods.baselines.random import Random
from explorer.methods.baselines.uniform import Uniform
from explorer.methods.inside_llm.fastv import FastV
from explorer.methods.inside_llm.vtw import VTW
from explorer.methods.method import BeforeLLM, Card, Method
from explorer.methods.several_stages.visiondrop import VisionDrop
from explorer.methods.signals import Kept, Signals, Size, Stage, top
from explorer.methods.similarity.tome import ToMe

FOLDER = Path(catalog.__file__).parent

CHOICES = catalog.choices()
EVERY_METHOD = pytest.mark.parametrize("method", catalog.METHODS, ids=lambda m: m.card.key)
EVERY_CHOICE = pytest.mark.parametrize("method", CHOICES, ids=lambda m: m.spec)
# options that no variant offers in the chooser, but that a script may ask for
CHOICES_AND_OPTIONS = [
    *CHOICES,
    *map(
        catalog.resolve,
        (
            "fopru?softmaxed=False",
            "random?seed=3",
            "lexrank?threshold=auto&rerank=True",
            "lexrank?source=tower&centred=True&damping=0.5",
            "todre?rule=k-center&late=False",
            "hired?areas=spatial&alpha=0.25",
            "hired?budget_score=sum&alpha=0.75",
            "globalcom2?newlines=drop",
            "cdpruner?relevance=llm-embed&theta=0.9",
            "mmtok?alpha=0.0&tv_temp=0.01",
            "dart?order=norm",
            "relevance?target=logprob",
            "pyramiddrop?layer=last&similarity=raw",
            "feather?stride=2&rotary=True",
            "fitprune?recipe=pico",
            "aim?parts=merge&order=raster",
            "aim?parts=prune",
            "sparsevlm?recycle=sum",
            "scope?combined=add&alpha=0.5",
            "hiprune?alpha=1.0&wrap=False",
            "holov?select=holistic",
            "tome?metric=keys&listed=first",
            "tome?listed=median",
            "vispruner?important_ratio=0.0",
            "vispruner?important_ratio=1.0",
            "transprune?direction=abs&alpha=1.0",
            "mustdrop?early=keep",
            "pact?proportional=False",
            "flowcut?rerun=False",
            "ivcprune?early_layer=True",
            "ivcprune:llava?early_layer=True&early=keep",
            "restore?base=vispruner&anchors=denser",
            "restore?base=holov&sizes=False&distance=False",
            "mustdrop?answer_at=cache",
            "corematching:zero-kv?metric=core_neurons&beta=0.4",
        ),
    ),
]
EVERY_OPTION = pytest.mark.parametrize("method", CHOICES_AND_OPTIONS, ids=lambda m: m.spec)
PICTURES = list(product(LAYOUTS, CONTENTS))


# ---- promises of every method -----------------------------------------------------------------


def check(signals: Signals, stage: Stage, kept: Kept, where: str) -> None:
    """where: method, layout, content and budget, for the message."""
    n, index = signals.count, kept.index
    assert index.dtype == torch.long, where
    assert len(index) == stage.keep or (stage.optional and len(index) == n), where
    assert (index.diff() > 0).all(), f"{where}: ascending, and so unique"
    assert ((index >= 0) & (index < n)).all(), where
    assert 0 <= kept.lead <= stage.merge, where
    if stage.keep == n:
        assert stage.merge == 0, f"{where}: nothing left to merge"
    for weight in (kept.weight, kept.first_weight):
        assert weight is None or (weight.shape == (stage.total,) and (weight > 0).all()), where
    if kept.features is not None:
        assert kept.features.shape == (stage.keep, WIDTH), where
        assert kept.features.isfinite().all(), where
    if stage.merge == 0:
        assert kept.merged is None, where
        assert kept.group is None or (kept.group == -1).all(), where
        return
    assert kept.merged.shape == (stage.merge, WIDTH), where
    assert kept.merged.isfinite().all(), where
    assert kept.group.shape == (n,), where
    assert kept.group.dtype == torch.long, where
    assert ((kept.group >= -1) & (kept.group < stage.merge)).all(), where
    assert (kept.group[index] == -1).all(), f"{where}: a token is kept or folded, not both"
    if kept.centre is not None:
        somewhere = kept.centre >= 0
        centre = kept.centre[somewhere]
        if stage.keep:
            assert somewhere.all(), where
            assert (centre.diff() > 0).all(), f"{where}: in order with the kept ones"
        folded = kept.group[centre]
        assert torch.equal(folded, somewhere.nonzero()[:, 0]), f"{where}: folded into itself"


def tried(method: Method, size: Size, content: str) -> range:
    """Every budget for a random picture; for one of one colour or none, every third and the last.

    There all tokens tie, whatever the budget is.
    """
    every = budgets(method, size)
    return every if content == "random" else every[::-3]


@EVERY_OPTION
def test_every_stage_keeps_and_merges_what_it_was_told_to(method):
    for layout, content in PICTURES:
        picture = f"{method.spec}, {layout}, {content}"
        for budget in tried(method, size_of(layout), content):
            for signals, stage, kept in run_stages(method, budget, layout, content):
                check(signals, stage, kept, f"{picture} at {budget}")


WITHOUT_CLS = "visionzip visiondrop todre scope tome vispruner holov hiprune prumerge".split()


@pytest.mark.parametrize("method", [*map(catalog.resolve, WITHOUT_CLS)], ids=lambda m: m.spec)
def test_towers_without_cls_are_served_too(method):
    for layout, content in PICTURES:
        picture = f"{method.spec}, {layout}, {content}"
        for budget in tried(method, size_of(layout, cls=False), content):
            for signals, stage, kept in run_stages(method, budget, layout, content, cls=False):
                where = f"{picture} at {budget}"
                check(signals, stage, kept, where)
                assert kept.lead == 0, where


@EVERY_OPTION
def test_scores_are_one_finite_number_per_token(method):
    for layout, content in PICTURES:
        seen = []
        if method.where != "inside the LLM":
            seen.append(tower_signals(layout, content))
        if method.where != "before the LLM":
            seen.append(inner_signals(LAYOUTS[layout][0], content, 3))
        for signals in seen:
            scores, where = method.score(signals), f"{layout}, {content}, {method.spec}"
            assert scores.shape == (signals.count,), where
            assert scores.dtype == torch.float32, where
            assert scores.isfinite().all(), where


@EVERY_OPTION
def test_the_whole_budget_is_the_identity(method):
    for layout, (place, *_) in LAYOUTS.items():
        n, where = len(place), f"{layout}, {method.spec}"
        for signals, stage, kept in run_stages(method, n, layout):
            assert (stage.keep, stage.merge) == (n, 0), where
            assert kept.index.tolist() == list(range(n)), where
            assert kept.merged is None, where
            assert signals.count == n, where


def test_the_same_picture_gives_the_same_tokens():
    for method in CHOICES_AND_OPTIONS:
        budget = max(9, method.floor(size_of("square")))
        first = list(run_stages(method, budget, "square"))
        again = list(run_stages(method, budget, "square"))
        for (_, _, one), (_, _, two) in zip(first, again, strict=True):
            assert torch.equal(one.index, two.index), method.spec
            if one.merged is not None:
                assert torch.equal(one.merged, two.merged), method.spec
                assert torch.equal(one.group, two.group), method.spec


@pytest.mark.parametrize(
    "method", [each for each in CHOICES_AND_OPTIONS if each.nested], ids=lambda m: m.spec
)
def test_a_nested_method_only_adds_tokens_as_the_budget_grows(method):
    for layout, content in PICTURES:
        smaller: set[int] = set()
        scores, picture = None, f"{method.spec}, {layout}, {content}"
        for budget in budgets(method, size_of(layout)):
            where = f"{picture} at {budget}"
            stages = list(run_stages(method, budget, layout, content))
            assert len(stages) == 1, where
            signals, stage, kept = stages[0]
            scores = method.score(signals) if scores is None else scores
            assert torch.equal(kept.index, top(scores, stage.keep)), where
            assert smaller <= set(kept.index.tolist()), where
            smaller = set(kept.index.tolist())


@pytest.mark.parametrize(
    "method",
    [
        Uniform(),
        Pool(),
        VisionZip(),
        VisPruner(),
        HoloV(),
        HiPrune(alpha=1.0),
        ToMe(),
        VisionDrop(),
    ],
    ids=lambda m: m.spec,
)
def test_a_method_that_is_not_nested_says_so_for_a_reason(method):
    sets = []
    for budget in budgets(method, size_of("square")):
        *_, (_, _, kept) = run_stages(method, budget, "square")
        untouched = set(kept.index.tolist())
        folded = [] if kept.group is None else kept.group.tolist()
        sets.append((untouched, folded))
    grows = all(a[0] <= b[0] and a[1] == b[1] for a, b in pairwise(sets))
    assert not method.nested
    assert not grows


def entering(stages: list[Stage], size: Size) -> list[int]:
    """Visual tokens that enter each layer; after a blank stage, those that decoding reads there.

    A stage that may leave everything as it is doesn't count.
    """
    stages = [stage for stage in stages if not stage.optional]
    alive, at = size.tokens, {stage.layer: stage.total for stage in stages if not stage.wipe_cache}
    counts = [alive := at.get(layer, alive) for layer in range(size.layers)]
    for stage in stages:
        if stage.wipe_cache:
            counts[stage.layer - 1] = stage.total
    return counts


def sizes() -> Iterator[Size]:
    """Models of every depth up to 7 with small pictures, and larger pictures at three depths."""
    for tokens, columns in ((1, 1), (7, 7)):
        for layers in (1, 2, 3, 4, 5, 6, 7, 12, 28, 32):
            yield Size(tokens, layers, columns)
    for tokens, columns in ((196, 14), (576, 24)):
        for layers in (1, 12, 32):
            yield Size(tokens, layers, columns)


LEAVE_NOBODY = ("vtw", "aim")  # methods that take away every visual token, which is their idea


def slack_of(method: Method, size: Size) -> float:
    """How far the mean may be from the budget: a token, but for those that can't cut so finely."""
    if method == FoPru(strategy="row"):
        return size.columns  # whole rows only
    if isinstance(method, VTW):
        return max(1, size.tokens / size.layers)  # whole layers only
    return 1


@EVERY_CHOICE
def test_the_mean_over_layers_is_within_one_token_of_the_budget(method):
    for size in sizes():
        slack = slack_of(method, size)
        lowest = method.floor(size)
        assert 1 <= lowest <= size.tokens, size
        every = budgets(method, size)
        for budget in {*every[:: 7 if size.tokens > 100 else 1], *every[-2:]}:
            where = f"{size} at {budget}"
            stages = method.schedule(size, budget)
            mean = sum(entering(stages, size)) / size.layers
            assert abs(mean - budget) <= slack, where
            least = 0 if method.card.key in LEAVE_NOBODY else 1
            assert all(stage.total >= least for stage in stages if not stage.optional), where
            assert [stage.layer for stage in stages] == sorted({s.layer for s in stages}), where
            assert all(a.total > b.total for a, b in pairwise(stages) if not b.wipe_cache), where
            if budget == size.tokens:
                assert {(s.keep, s.merge) for s in stages} == {(size.tokens, 0)}, where


def test_a_budget_that_is_said_to_be_reachable_is_met():
    for method in CHOICES:
        for size in (Size(576, 32, 24), Size(196, 12, 14), Size(7, 32, 7)):
            reachable = method.reachable(size)
            if reachable is None:
                continue
            assert reachable[-1] == size.tokens and reachable == sorted(reachable)
            assert min(reachable) == method.floor(size)
            for budget in reachable:
                mean = sum(entering(method.schedule(size, budget), size)) / size.layers
                assert budget - 1 < mean <= budget, method.spec


def test_below_its_floor_a_method_refuses_in_words():
    size = Size(576, 32, 24)
    for method in CHOICES:
        lowest = method.floor(size)
        method.schedule(size, lowest)
        if lowest > 1:
            words = f"^{method.card.title}.*(at least|smaller than) {lowest}"
            with pytest.raises(BadBudget, match=words):
                method.schedule(size, lowest - 1)


def test_a_method_looks_only_at_what_it_names():
    """Signals that are not named in `needs` are None, and nobody misses them."""
    walks = [
        (method, *each)
        for method in CHOICES
        for each in run_stages(method, max(9, method.floor(size_of("square"))), "square")
    ]
    for method, signals, stage, kept in walks:
        named = {name: getattr(signals, name) for name in method.needs}
        bare = Signals(signals.grid_position, signals.features, patches=signals.patches, **named)
        assert torch.equal(method.keep(bare, stage).index, kept.index), method.spec


# ---- cards and options ------------------------------------------------------------------------


@EVERY_METHOD
def test_every_method_has_a_complete_card(method):
    card, file = method.card, Path(inspect.getfile(method))
    for text in (card.key, card.title, card.verified, card.sentence, card.score_means):
        assert text.strip()
    for flag in (method.reads_question, method.nested, method.merges, method.trained, method.slow):
        assert isinstance(flag, bool)
    assert file.stem == card.key
    assert method().positions in ("keep", "renumber")
    assert method.where in ("before the LLM", "inside the LLM", "both")
    assert set(Signals.__dataclass_fields__) >= method.needs
    assert isinstance(card.uncertain, str)
    baseline = card.key in ("random", "uniform", "pool")
    for known in (card.authors, card.year, card.arxiv):
        assert bool(known) != baseline
    assert bool(card.repository) == bool(card.commit)
    header = " ".join(inspect.getmodule(method).__doc__.split())
    if card.arxiv:
        assert f"arXiv {card.arxiv}" in header
    if card.repository:
        assert f"{card.repository} @{card.commit[:7]}" in header
    elif not baseline:
        assert "no official code" in header.lower()


@EVERY_METHOD
def test_options_and_variants_are_offered_with_their_meaning(method):
    options = method.options()
    loose = [value for value in vars(method).values() if isinstance(value, dataclasses.Field)]
    assert not loose, "a class with options is a dataclass"
    for name, each in options.items():
        assert each.meaning and len(set(map(str, each.values))) == len(each.values) > 1
        assert getattr(method(), name) == each.values[0]
    for variant in method.variants:
        assert variant.meaning
        assert all(value in options[name].values for name, value in variant.options.items())
    if method.where == "before the LLM":
        assert set(options["positions"].values) == {"renumber", "keep"}
        assert method().positions == options["positions"].values[0]


def test_every_setting_has_one_spec_that_names_it():
    settings = [
        (method, name, value)
        for method in catalog.METHODS
        for name, each in method.options().items()
        for value in each.values
    ]
    assert len(settings) > 100
    for method, name, value in settings:
        made = method(**{name: value})
        assert catalog.resolve(made.spec) == made, made
        by_hand = catalog.resolve(f"{method.card.key}?{name}={value}")
        assert by_hand == made and by_hand.spec == made.spec, made


def test_the_canonical_spec_is_the_shortest_one():
    for written, canonical in {
        "fopru?strategy=row": "fopru:row",
        "fopru:row?strategy=rank": "fopru",
        "random?seed=0": "random",
        "hired?alpha=0.25&areas=spatial&budget_score=sum": "hired:paper?alpha=0.25",
        "hired:paper?areas=strips": "hired?budget_score=sum",
        "clsattn?positions=keep": "clsattn?positions=keep",
        "gprune?positions=keep": "gprune",
        "lexrank:degree?rerank=True&centred=True": "lexrank:degree?centred=True&rerank=True",
    }.items():
        assert catalog.resolve(written).spec == canonical


def test_what_is_misspelt_fails_when_the_file_is_imported():
    with pytest.raises(TypeError, match="nothing that a method has"):
        type("Typo", (BeforeLLM,), {"reads_qestion": True})
    with pytest.raises(TypeError, match="sentense"):
        Card(key="typo", title="Typo", sentense="")
    with pytest.raises(TypeError, match="strateggy"):
        FoPru(strateggy="row")
    with pytest.raises(TypeError, match="abstract"):
        type("Unfinished", (BeforeLLM,), {})()


def test_a_method_can_not_be_changed_once_it_is_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FoPru().strategy = "row"
    assert FoPru(strategy="row") == FoPru(strategy="row") != FoPru()
    assert ClsAttention() != Uniform()


def test_a_method_file_can_be_read_in_one_go():
    for method in catalog.METHODS:
        lines = Path(inspect.getfile(method)).read_text().splitlines()
        assert 40 <= len(lines) <= 120, method.card.key


# ---- the catalogue ----------------------------------------------------------------------------


def test_the_list_is_in_the_order_of_the_page():
    assert [method.spec for method in catalog.choices()] == [
        "random", "uniform", "pool",
        "clsattn", "fopru", "fopru:row", "hired", "hired:paper", "globalcom2", "visionzip",
        "vispruner", "holov", "hiprune", "prumerge", "prumerge:plus",
        "lexrank", "lexrank:continuous", "lexrank:degree", "gprune", "divprune", "zooprune",
        "cdpruner", "mmtok", "scope", "tome", "restore",
        "fastv", "feather", "feather:norope", "vtw", "dart", "pyramiddrop", "fitprune",
        "sparsevlm", "sparsevlm:plus", "transprune", "corematching", "corematching:zero-kv",
        "pact", "ivcprune", "ivcprune:llava",
        "todre", "visiondrop", "vscan", "aim", "mustdrop", "flowcut",
        "relevance", "relevance_map",
    ]  # fmt: skip
    assert catalog.resolve("fopru:row") == FoPru(strategy="row")
    assert catalog.find("fastv") is FastV


def test_a_group_is_the_folder_of_a_methods_file_and_stands_together():
    groups = [catalog.group_of(method) for method in catalog.METHODS]
    assert "others" not in groups
    assert [group for group, _ in groupby(groups)] == list(dict.fromkeys(groups))
    assert catalog.group_of(ClsAttention) == "attention of the vision tower"
    assert catalog.group_of(catalog.resolve("lexrank:degree")) == "similarity"
    for method in catalog.METHODS:
        inside = catalog.group_of(method) in ("inside the LLM", "before and inside the LLM")
        assert inside == (method.where != "before the LLM"), method.card.key


def test_a_spec_may_set_options():
    assert catalog.resolve("random?seed=3") == Random(seed=3)
    assert catalog.resolve("fopru:row?softmaxed=False") == FoPru(strategy="row", softmaxed=False)
    assert catalog.resolve("hired:paper?areas=strips") == HiRED(budget_score="sum")
    for wrong in ("random?seed=99", "random?draw=1", "clsattn?seed=1", "random?seed", "fastv?x=1"):
        with pytest.raises(UnknownMethod, match="has no option"):
            catalog.resolve(wrong)


@pytest.mark.parametrize("ask", [catalog.find, catalog.resolve])
@pytest.mark.parametrize("name", ["fastvv", "", "fopru:columns", "fopru:", "__init__"])
def test_an_unknown_method_is_named_beside_the_known_ones(ask, name):
    with pytest.raises(UnknownMethod, match=f"{name!r}.*random, uniform, .*visiondrop"):
        ask(name)


def test_methods_import_neither_models_nor_pages():
    for file in FOLDER.rglob("*.py"):
        for line in file.read_text().splitlines():
            if line.startswith(("import explorer", "from explorer")):
                named = line.split()[1]
                assert named == "explorer" or named.startswith(
                    ("explorer.errors", "explorer.methods")
                ), f"{file.name}: {line}"
            assert "transformers" not in line.split(), f"{file.name}: {line}"
