"""Stage 5 of training: patches leave packed rows, positions change, and the questions stay."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration
from unit.pico.test_training import TINY

from explorer.pico.architecture import PATCHES, build, encode_images
from explorer.pico.data import scenes
from explorer.pico.training import packing, stage4_pointing, stage5_dropping
from explorer.pico.training.dataset import Pictures

PICTURES = Pictures(seed=6)
KEPT = torch.tensor([[0, 3, 17, 100, 195], [2, 3, 4, 50, 51]])


@pytest.fixture
def model() -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    return build(TINY).eval()


@pytest.fixture(scope="module")
def batch() -> stage5_dropping.Batch:
    return stage5_dropping.collate(
        [stage5_dropping.example(PICTURES, number) for number in range(2)]
    )


def counted(kept: Tensor) -> Tensor:
    return torch.arange(1, kept.shape[1] + 2).expand(len(kept), -1)


@torch.no_grad()
def test_what_leaves_at_the_input_was_never_there(model):
    pixels, (question, *_), *_ = stage5_dropping.example(PICTURES, 0)
    packed, kept = packing.pack([pixels], [[question]]), KEPT[:1]
    short = packing.placed(packing.shorten(packed, kept), counted(kept))
    with packing.leaving(model, packed, kept, 0, short):
        found = packing.read(model, packed)
    words = model.get_input_embeddings()(packed.ids)
    visual = model.model.multi_modal_projector(encode_images(model, packed.pixels)[0])
    embeds = torch.cat([words[:, :1], visual[:, kept[0]], words[:, 1 + PATCHES :]], 1)
    own = model.model.language_model(inputs_embeds=embeds).last_hidden_state
    assert (found - own).abs().max() < 1e-4
    (span,) = short.spans
    told = short.targets[0, span.first : span.stop]
    assert torch.equal(told, packed.targets[packed.targets != packing.IGNORE])


@torch.no_grad()
def test_what_leaves_between_two_layers_is_seen_by_the_layers_before(model, batch):
    packed, *_ = batch
    short, decoder = packing.shorten(packed, KEPT), model.model.language_model
    with stage4_pointing.inputs_of(model, [3]) as complete:
        packing.read(model, packed)
    with (
        packing.leaving(model, packed, KEPT, 3, short),
        stage4_pointing.inputs_of(model, [2, 3]) as entered,
    ):
        found = packing.read(model, packed)
    stays = torch.ones(packed.ids.shape, dtype=torch.bool)
    stays[:, 1 : 1 + PATCHES] = False
    stays.scatter_(1, 1 + KEPT, True)
    states = complete[3][stays].view(2, -1, TINY.width)
    assert entered[2].shape[1] - entered[3].shape[1] == PATCHES - KEPT.shape[1]
    assert torch.equal(entered[3], states)
    rotary = decoder.rotary_emb(states, packed.positions[stays].view(2, -1))
    for block in decoder.layers[3:]:
        states = block(states, attention_mask=short.mask, position_embeddings=rotary)
    assert (decoder.norm(states) - found).abs().max() < 1e-5


@torch.no_grad()
def test_nothing_changes_where_all_stay(model, batch):
    packed, *_ = batch
    everything = torch.arange(PATCHES).expand(2, -1)
    short = packing.shorten(packed, everything)
    assert short.spans == packed.spans and torch.equal(short.positions, packed.positions)
    with packing.leaving(model, packed, everything, 1, short):
        found = packing.read(model, packed)
    assert torch.equal(found, packing.read(model, packed))


def test_words_move_as_far_as_the_first_of_them(batch):
    packed, *_ = batch
    short = packing.shorten(packed, KEPT)
    moved = packing.placed(short, counted(KEPT))
    assert torch.equal(moved.standing, counted(KEPT)) and not moved.positions[:, 0].any()
    words = slice(1 + KEPT.shape[1], None)
    gone = PATCHES - KEPT.shape[1]
    assert torch.equal(moved.positions[:, words], short.positions[:, words] - gone)


def test_patches_stand_in_order_where_they_stood_counted_on_or_with_gaps():
    chance, standing = (
        stage5_dropping.Chance(seed=1),
        1 + torch.cat([KEPT, KEPT[:, :1] * 0 + 196], 1),
    )
    rows = torch.cat([chance.positions(standing) for _ in range(60)])
    assert (rows.diff(dim=1) > 0).all()
    assert rows.min() >= 1 and rows.max() <= stage5_dropping.WIDEST
    as_before = (rows == standing.repeat(60, 1)).all(1)
    in_turn = (rows == counted(KEPT).repeat(60, 1)).all(1)
    assert as_before.any() and in_turn.any() and (~as_before & ~in_turn).any()
    assert rows[~as_before & ~in_turn].unique(dim=0).shape[0] > 20


def test_some_batches_stay_complete_and_the_others_lose_patches_everywhere():
    chance = stage5_dropping.Chance(seed=2)
    layers = [chance.leave_before() for _ in range(400)]
    assert set(layers) == {None, *range(stage5_dropping.LAST_LAYER + 1)}
    assert layers.count(0) > layers.count(None) > 400 - layers.count(0) - layers.count(None)
    counts = [chance.count() for _ in range(400)]
    assert min(counts) >= stage5_dropping.FEWEST and max(counts) <= stage5_dropping.MOST
    middle = math.sqrt(stage5_dropping.FEWEST * stage5_dropping.MOST)
    assert 150 < sum(count < middle for count in counts) < 250


def test_patches_are_kept_by_chance_in_blobs_and_with_or_without_things():
    chance, things = stage5_dropping.Chance(seed=3), torch.zeros(400, PATCHES)
    things[:, :40] = 1
    kept = chance.kept(things, 40)
    assert kept.shape == (400, 40) and (kept.diff(dim=1) > 0).all()
    of_things = (kept < 40).sum(1)
    assert of_things.max() > 30 and of_things.min() < 3
    neighbours = (kept.diff(dim=1) == 1).sum(1)
    assert neighbours[of_things < 20].max() > 20


def test_the_same_seed_draws_the_same(model, batch):
    losses = []
    for _ in range(2):
        loss_of = stage5_dropping.learner(model, stage5_dropping.Chance(seed=5))
        losses.append([loss_of(batch, 0.0).item() for _ in range(3)])
    assert losses[0] == losses[1] and len(set(losses[0])) == 3


@torch.no_grad()
def test_a_question_points_only_at_patches_that_stayed(model, batch):
    packed, (spans, marked), _ = batch
    with stage4_pointing.inputs_of(model, [3]) as states:
        packing.read(model, packed)
    everything = torch.arange(PATCHES).expand(2, -1)
    arguments = (model, states, packed, (spans, marked))
    complete = stage5_dropping.pointing_to_the_kept(*arguments, kept=None, head=0)
    assert stage5_dropping.pointing_to_the_kept(*arguments, kept=everything, head=0) == complete
    attention = stage4_pointing.patch_attention(
        model, 3, states[3], packed.positions, spans, head=0
    )
    assert complete == pytest.approx(stage4_pointing.pointing_loss(attention, marked).item())

    away = torch.stack([(~marks.any(0)).nonzero()[:5, 0] for marks in _by_row(spans, marked)])
    short = packing.shorten(packed, away)
    with (
        packing.leaving(model, packed, away, 0, short),
        stage4_pointing.inputs_of(model, [3]) as states,
    ):
        packing.read(model, packed)
    lost = stage5_dropping.pointing_to_the_kept(model, states, short, (spans, marked), away, head=0)
    assert lost == 0


def _by_row(spans: list[packing.Span], marked: Tensor) -> list[Tensor]:
    rows = torch.tensor([span.row for span in spans])
    return [marked[rows == row].bool() for row in range(2)]


def test_pictures_may_be_full_of_signs():
    kinds = [thing.kind for seed in range(30) for thing in PICTURES.scene(seed, True, 1.0).things]
    assert set(kinds) == {"word"}
    assert "word" not in {t.kind for s in range(30) for t in PICTURES.scene(s, signs=0.0).things}
    assert scenes.make(3, signs=scenes.SIGN_SHARE).things == scenes.make(3).things
