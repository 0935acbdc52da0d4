"""A tower that takes views singly sees what it saw, says how far it is, and can be stopped."""

from __future__ import annotations

import time
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from small_shapes import LLAVA, SMOLVLM, small

from explorer import analyses
from explorer.cases.progress import with_reported_progress
from explorer.cases.request import CaseRequest
from explorer.inference.vision import encode_image
from explorer.media.image import open_picture
from explorer.pico.data import scenes
from explorer.ui.explore.open_case import CaseOpener
from explorer.ui.requests import Channel, replies
from explorer.ui.session import AppState, Session, UseCases
from explorer.ui.tab_messages import BatchMessage
from explorer.ui.web import stages
from explorer.ui.web.stages import StageClock
from explorer.vlm.progress import Progress, reporting_to
from explorer.vlm.tower import views

QUESTION = "what is in the middle ?"


@pytest.fixture(scope="module")
def vlm():
    return small(SMOLVLM)


def picture(seed=1):
    return scenes.make(seed).image.resize((90, 60))


def test_views_taken_singly_give_what_the_batch_gives(monkeypatch):
    for key, count in ((SMOLVLM, 5), (LLAVA, 1)):
        vlm, seen = small(key), []
        tower, pixels = vlm.family.vision_tower(vlm), vlm.family.preprocess(vlm, picture())
        pixels = {name: value.clone() for name, value in pixels.items()}
        with reporting_to(seen.append):
            singly = encode_image(tower, pixels)
        assert seen == [Progress(view, count, "tower") for view in range(count)]
        with torch.no_grad():
            batch = tower.run(pixels)
        assert torch.allclose(singly.features, batch.features, atol=1e-5), key
        own = batch.hidden_states[:, 1:] if tower.has_cls else batch.hidden_states
        assert torch.allclose(singly.hidden, own, atol=1e-5), key
        assert len(singly.query) == count


def test_a_copy_of_a_model_looks_by_itself(vlm):
    with views.one_by_one(vlm.model.model.vision_model):
        pass
    copy = deepcopy(vlm.model)
    with torch.no_grad():
        copy.model.vision_model.post_layernorm.weight.zero_()
        copy.model.vision_model.post_layernorm.bias.zero_()
        values = torch.randn(2, 3, 64, 64)
        assert not copy.model.vision_model(pixel_values=values).last_hidden_state.any()
        assert vlm.model.model.vision_model(pixel_values=values).last_hidden_state.any()


def test_a_case_tells_every_stage_and_stops_at_the_next_view_or_layer(vlm):
    request = CaseRequest.make(vlm, picture(), QUESTION)
    told = [
        each
        for each in with_reported_progress(analyses.unfold(request), 0.0)
        if isinstance(each, Progress)
    ]
    stages = list(dict.fromkeys(each.stage for each in told))
    assert stages == ["tower", "prefill", "words", "maps"]
    for stage in stages:
        done = [each.done for each in told if each.stage == stage]
        assert done == sorted(done) and len(done) > 2, stage

    class Enough(Exception):
        pass

    for stage, number in (("tower", 2), ("prefill", 1)):
        heard = []

        def stop(progress, stage=stage, number=number, heard=heard):
            heard.append(progress)
            if (progress.stage, progress.done) == (stage, number):
                raise Enough

        fresh = CaseRequest.make(vlm, picture(2), QUESTION)
        with pytest.raises(Enough), reporting_to(stop):
            analyses.answer(fresh)
        assert (heard[-1].stage, heard[-1].done) == (stage, number)


def test_who_stops_listening_stops_the_work(vlm):
    def work():
        for number in range(1000):
            views.report(Progress(number, 1000, "tower"))
            done.append(number)
            time.sleep(0.001)
        yield "all"

    done = []
    values = with_reported_progress(work(), 0.0)
    assert next(values).done == 0
    values.close()
    assert len(done) < 1000


def test_the_page_shows_the_picture_and_the_stage_while_a_slow_model_looks(vlm):
    def unfold(request, every, **_):
        yield from analyses.unfold(CaseRequest.make(vlm, request.picture, request.question), every)

    blocks = SimpleNamespace(
        **{name: name for name in ("stage", "readout", "session", "picture_notes")},
        question_notes="notes",
    )
    state = AppState(use_cases=UseCases(unfold=unfold))
    opener = CaseOpener(blocks, state, "model_notes", None)
    session = Session(SMOLVLM, open_picture(picture()), QUESTION)
    replies = list(opener.case(session, "error"))
    first = next(at for at, reply in enumerate(replies) if "stage" in reply)
    assert replies[first]["stage"]["pending"] and first == 1, "before anything has been computed"
    told = "".join(str(reply.get("notes")) for reply in replies)
    assert "Looking at the picture, part 1 of 5" in told
    assert replies[-1]["session"].question == QUESTION


def test_many_answers_tell_the_stage_between_them_and_each_answer_once(vlm, monkeypatch):
    monkeypatch.setattr(stages, "LINE_SECONDS", 0.0)
    request = CaseRequest.make(vlm, picture(3), QUESTION)
    session = Session(SMOLVLM, open_picture(picture(3)), QUESTION)
    sent = {"case": session.id, "ticket": 7, "wanted": [["random", 4], ["uniform", 6]]}

    def work(session, message, stop):
        for each in analyses.compute_answers(request, message.wanted, stop=stop):
            yield {"answers": [[each.method, each.budget]]}
        yield {"done": True}

    channel = Channel("many", None, None, None, event="work", defaults={"answers": []}, grows=True)
    given = list(replies(channel, BatchMessage, work, sent, session, lambda: False))
    lines = [reply["stage"] for reply in given if "stage" in reply]
    for said in (
        "Looking at the picture, part 2 of 5",
        "question, layer 2 of",
        "Answering, word 1",
    ):
        assert any(said in line for line in lines), said
    answers = [each for reply in given for each in reply["answers"]]
    assert sorted(answers) == [["random", 4], ["uniform", 6]] and given[-1]["done"]


def test_a_line_names_the_stage_and_what_is_left():
    times = iter([0.0, 6.0, 20.0, 30.0])
    clock = StageClock(lambda: next(times))
    assert clock.line(Progress(0, 17, "tower")) == "Looking at the picture, part 1 of 17 …"
    said = clock.line(Progress(4, 17, "tower"))
    assert said == "Looking at the picture, part 5 of 17, 20 s left …"
    assert clock.line(Progress(1, 64, "words")) == "Answering, word 1 of at most 64 …"
    said = clock.line(Progress(11, 64, "words"))
    assert said == "Answering, word 11 of at most 64, at most 53 s left …"
