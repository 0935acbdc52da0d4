"""Frames in front of pico: their tokens, their scores, and answers at one budget over all."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from explorer import analyses
from explorer.analyses.video import budgets, clip_case, frame_scoring
from explorer.analyses.video.budgets import BudgetAllocation
from explorer.analyses.video.clip_case import VideoRequest
from explorer.cases.answers import full_run
from explorer.cases.cache import ResultCache
from explorer.cases.case import open_case
from explorer.cases.request import CaseRequest
from explorer.errors import BadBudget, BadQuestion, ModelUnavailable, UnknownMethod
from explorer.media import video
from explorer.media.layouts import frames as frame_grid
from explorer.methods import catalog
from explorer.pico.data import videos
from explorer.vlm.loader import default_loader

QUESTION = "is there an owl in the picture ?"
ACTS = ("cat", "tree", "owl", "bus", "robot", "owl", "pizza", "fish", "key")
OWLS = (2, 5)


@pytest.fixture(scope="module")
def cache() -> ResultCache:
    return ResultCache(100_000_000)


def clip(count: int = 9, acts=ACTS) -> video.Clip:
    return video.from_images(videos.make(1, acts).images, videos.FPS, count)


@pytest.fixture(scope="module")
def owls(cache) -> clip_case.VideoCase:
    return clip_case.open_video_case(VideoRequest.make("pico", clip(), QUESTION), cache)


@pytest.fixture(scope="module")
def scores(owls, cache) -> list[float]:
    return frame_scoring.frame_scores(owls, frame_scoring.frame_query(owls), cache)


def test_a_film_is_drawn_from_its_seed_alone():
    first, again = videos.make(3), videos.make(3)
    assert first.acts == again.acts
    assert [i.tobytes() for i in first.images] == [i.tobytes() for i in again.images]
    assert first.shown(videos.ACT) == first.acts[1]
    assert videos.make(4).acts != first.acts


def test_the_tokens_of_all_frames_are_one_case(owls):
    assert (owls.case.size.tokens, owls.shape, owls.views) == (9 * 16, (4, 4), 9)
    cells = owls.cells()
    assert sorted(cells.flatten().tolist()) == list(range(9 * 16))
    for frame, tokens in enumerate(cells):
        assert (owls.places[tokens, 0] == frame).all()
        assert owls.places[tokens, 1:].tolist() == [[r, c] for r in range(4) for c in range(4)]


def test_every_token_keeps_the_patch_of_the_tower_that_it_came_from(owls):
    side = owls.case.vision.grid.width // 14
    x0, y0 = (owls.case.vision.grid.boxes[:, :2] / side).round().astype(int).T
    assert owls.case.vision.patches[:, 0].tolist() == (14 * y0 + x0).tolist()
    whole = open_case(CaseRequest.make("pico", owls.sheet, QUESTION)).vision.output.features
    torch.testing.assert_close(owls.case.vision.output.features, whole[14 * y0 + x0])


def test_the_union_is_not_the_same_case_as_a_picture_of_the_sheet(owls, cache):
    as_picture = analyses.answer(
        CaseRequest.make("pico", owls.sheet, QUESTION), "full", 196, cache=cache
    )
    assert as_picture.layers[0] == 196
    assert full_run(owls.case, cache).answer.layers[0] == 144


def test_four_frames_fill_the_sheet_so_the_answer_is_that_of_the_picture(cache):
    four = clip_case.open_video_case(VideoRequest.make("pico", clip(4), "what do you see ?"), cache)
    as_picture = analyses.answer(
        CaseRequest.make("pico", four.sheet, "what do you see ?"), "full", 196
    )
    assert full_run(four.case).answer.text == as_picture.text


def test_frames_that_show_what_is_asked_for_score_high(owls, scores):
    asked = frame_scoring.frame_query(owls)
    assert (asked.things, asked.who) == (("owl",), "the question's words")
    high = [number for number, score in enumerate(scores) if score > 0.5]
    assert tuple(high) == OWLS
    assert max(score for n, score in enumerate(scores) if n not in OWLS) < 0.1


def test_a_visitor_may_name_other_things_and_several(owls, cache):
    asked = frame_scoring.frame_query(owls, ["pizza", "fish"])
    assert asked.who == "you" and len(asked.questions) == 2
    found = frame_scoring.frame_scores(owls, asked, cache)
    assert {number for number, score in enumerate(found) if score > 0.5} == {6, 7}


def test_with_nothing_to_look_for_all_frames_get_the_same(cache):
    general = clip_case.open_video_case(
        VideoRequest.make("pico", clip(), "what do you see ?"), cache
    )
    asked = frame_scoring.frame_query(general)
    assert asked.questions == () and "names nothing" in asked.notes[0]
    assert frame_scoring.frame_scores(general, asked) == [1.0] * 9


def test_a_model_that_can_lists_the_things_from_the_words_alone(owls, monkeypatch):
    """Pico can't; whatever it says here must not depend on the frames."""
    replies = []
    monkeypatch.setattr(frame_scoring, "reads_options", lambda vlm: True)
    monkeypatch.setattr(frame_scoring, "listed", lambda reply: replies.append(reply) or ["owl"])
    asked = frame_scoring.frame_query(owls)
    frame_scoring.frame_query(
        clip_case.open_video_case(
            VideoRequest.make("pico", clip(acts=("bus", "tree", "owl")), QUESTION)
        )
    )
    assert replies[0] == replies[1]
    assert (asked.things, asked.who, asked.yes) == (("owl",), "the model", "A")
    assert asked.questions == (frame_scoring.frame_question(["owl"], QUESTION),)
    assert all(0 <= score <= 1 for score in frame_scoring.frame_scores(owls, asked))


def test_the_built_in_model_does_not_know_the_official_words():
    assert not frame_scoring.reads_options(default_loader().load("pico"))


def test_a_word_that_the_model_does_not_know_is_named(owls):
    assert "“zeppelin”" in frame_scoring.frame_query(owls, ["zeppelin"]).notes[0]


def test_without_alpha_all_frames_get_the_same_and_with_it_the_better_ones_more(owls, cache):
    scores = [0.1] * 4 + [0.9] + [0.1] * 4
    even, shared = (
        [h * w for h, w in BudgetAllocation(alpha=a).shapes(owls, scores, 48)] for a in (0, 2)
    )
    assert len(set(even)) == 1 and len(set(shared[:4] + shared[5:])) == 1
    assert shared[4] > even[4] > shared[0]
    answers = [
        budgets.answer_by_quota(owls, scores, 48, BudgetAllocation(alpha=a), cache) for a in (0, 2)
    ]
    assert [answer.layers[0] for answer in answers] == [sum(even), sum(shared)]
    assert all(0 <= answer.p_full <= 1 for answer in answers)
    assert answers[0].p_full != answers[1].p_full, "they saw different tokens"


def test_the_tokens_are_those_of_the_grids_and_never_more_than_the_budget(owls, scores):
    for version in ("v1", "v2"):
        for budget in (1, 20, 77, 144):
            share = BudgetAllocation(version=version)
            grids = share.shapes(owls, scores, budget)
            answer = budgets.answer_by_quota(owls, scores, budget, share)
            assert set(answer.layers) == {sum(h * w for h, w in grids)}
            assert answer.layers[0] <= budget


def test_with_an_even_share_of_everything_no_token_changes(owls, scores):
    features = owls.case.vision.output.features
    plan = budgets._plan(owls, BudgetAllocation(0).shapes(owls, scores, 144), BudgetAllocation(0))
    kept = plan.choose(owls.case.prompt().signals, plan.stages[0])
    torch.testing.assert_close(kept.merged, features[owls.cells().flatten()].float())


def test_the_table_holds_the_grids_of_every_budget(owls, scores):
    table = budgets.table(owls, scores, BudgetAllocation())
    listed = budgets.budgets(144)
    assert table.shape == (len(listed), 9, 2) and listed == list(range(1, 145))
    for budget in (1, 48, 144):
        assert table[budget - 1].tolist() == [
            list(s) for s in BudgetAllocation().shapes(owls, scores, budget)
        ]
    assert len(budgets.budgets(12544)) == 600 and budgets.budgets(12544)[-1] == 12544


QUICK = [method.spec for method in catalog.choices() if not method.slow]
ONE_OF_EACH = ["uniform", "clsattn", "divprune", "tome", "fastv", "aim", "flowcut"]  # of a group


@pytest.mark.parametrize(("count", "specs"), [(2, ONE_OF_EACH), (5, QUICK), (9, ONE_OF_EACH)])
def test_every_method_prunes_the_union_at_the_same_budget(count, specs, cache):
    opened = clip_case.open_video_case(VideoRequest.make("pico", clip(count), QUESTION), cache)
    n = opened.case.size.tokens
    for spec in specs:
        drawn = budgets.map_of_method(opened, spec, cache)
        assert drawn.score.shape == (n,)
        budget = max(n // 3, drawn.floor)
        answer = budgets.answer_by_method(opened, spec, budget, cache)
        whole = {"fopru:row": opened.case.size.columns, "vtw": n / opened.case.size.layers}
        assert budget - whole.get(spec, 1) < answer.mean < budget + 1, spec


def test_answers_are_remembered_by_what_the_frames_got(owls, scores):
    cache = ResultCache(10_000_000)
    one = budgets.answer_by_quota(owls, scores, 48, BudgetAllocation(), cache)
    assert budgets.answer_by_quota(owls, scores, 48, BudgetAllocation(), cache) is one
    other = budgets.answer_by_quota(owls, list(reversed(scores)), 48, BudgetAllocation(), cache)
    assert other is not one and other.p_full != one.p_full


def test_what_a_visitor_can_get_wrong_gets_a_sentence(owls, scores):
    with pytest.raises(BadBudget, match="from 1 to 144"):
        budgets.answer_by_quota(owls, scores, 145)
    for bad in ({"alpha": 9}, {"alpha": "2"}, {"version": "v3"}):
        with pytest.raises(BadBudget):
            BudgetAllocation(**bad)
    with pytest.raises(BadQuestion):
        clip_case.open_video_case(VideoRequest.make("pico", clip(), " "))


def family_with_frames() -> ModuleType:
    """A family that reads frames one by one: pico's, with the frames' tokens behind each other."""
    llava = default_loader().load("pico").family

    def frames(vlm, images, time):
        seen = [llava.preprocess(vlm, image)["pixel_values"] for image in images]
        return {"pixel_values": torch.cat(seen)}, frame_grid(224, 224, len(images), 14, 14)

    return SimpleNamespace(**{**vars(llava), "preprocess_frames": frames})


def test_a_family_that_offers_frames_needs_no_sheet():
    vlm = replace(default_loader().load("pico"), family=family_with_frames())
    opened = clip_case.open_video_case(VideoRequest.make(vlm, clip(3), QUESTION))
    assert (opened.sheet, opened.shape, opened.case.size.tokens) == (None, (14, 14), 3 * 196)
    scores = frame_scoring.frame_scores(opened, frame_scoring.frame_query(opened))
    assert budgets.answer_by_quota(opened, scores, 196).layers[0] <= 196
    alone = (
        clip_case.open_video_case(VideoRequest.make("pico", clip(3), QUESTION))
        .clip.frames[1]
        .picture
    )
    seen = open_case(CaseRequest.make(vlm, alone, QUESTION)).vision.output.features
    torch.testing.assert_close(
        opened.case.vision.output.features[196:392], seen, atol=1e-4, rtol=1e-4
    )


def test_a_model_that_cuts_pictures_up_can_not_have_a_sheet():
    def grid(vlm, width, height):
        return SimpleNamespace(views=(SimpleNamespace(rows=4, columns=4),) * 2)

    pico = default_loader().load("pico")
    cutting = SimpleNamespace(**{**vars(pico.family), "grid": grid})
    with pytest.raises(ModelUnavailable, match="cuts a picture"):
        clip_case.open_video_case(
            VideoRequest.make(replace(pico, family=cutting), clip(), QUESTION)
        )


def test_a_frame_of_one_colour_is_no_trouble():
    images = [Image.fromarray(np.full((40, 60, 3), shade, np.uint8)) for shade in (0, 90, 255)]
    dull = clip_case.open_video_case(
        VideoRequest.make("pico", video.from_images(images, 1, 3), QUESTION)
    )
    scores = frame_scoring.frame_scores(dull, frame_scoring.frame_query(dull))
    assert np.isfinite(scores).all()
    assert budgets.answer_by_quota(dull, scores, 30).text


def test_dycoke_thins_out_the_frames_of_a_sheet(owls, cache):
    """Pico reads one picture, on which frames lie: they are told apart all the same."""
    assert owls.case.size.frames == 9
    drawn = budgets.map_of_method(owls, "dycoke", cache)
    assert drawn.floor == 16  # windows of 16: frame 0 alone is whole
    answer = budgets.answer_by_method(owls, "dycoke", 72, cache)
    assert set(answer.layers) == {72}
    frame = owls.places[answer.stages[0].kept, 0]
    assert np.bincount(frame).tolist() == [16, 4, 4, 4, 16, 4, 4, 4, 16]
    assert open_case(CaseRequest.make("pico", owls.sheet, QUESTION)).size.frames == 1


def test_the_same_is_asked_of_fewer_frames_at_one_budget(cache):
    request, four = VideoRequest.make("pico", clip(4), QUESTION), clip(4).frames
    found = list(analyses.coherence(request, "clsattn", 150, cache=cache))
    assert [each.frames for each in found] == [(2,), (1, 3), (0, 1, 2, 3)], "there are no eight"
    assert [each.budget for each in found] == [min(150, each.tokens) for each in found]
    part = replace(clip(4), frames=(four[1], four[3]))
    two = clip_case.open_video_case(VideoRequest.make("pico", part, QUESTION), cache)
    full = full_run(two.case, cache).answer.text
    assert (found[1].full, found[1].tokens) == (full, two.case.size.tokens)
    said = budgets.answer_by_method(two, "clsattn", found[1].budget, cache)
    assert found[1].said == (said.text, said.agrees) and found[1].chance is not None
    with pytest.raises(UnknownMethod):
        list(analyses.coherence(request, "nomethod", 9))
