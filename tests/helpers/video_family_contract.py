"""What every family that reads the frames of a video promises, on its real classes.

A family's test file takes these over: see `FilmPromises`. The untouched model gets what its own
processor makes of the same frames, with the seconds at which they are shown.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from family_contract import (
    QUESTION,
    STEPS,
    eager,
    is_real,
    keeping,
    masked_reference,
    noise,
    overlaps,
    plain_picture,
    sparse,
)
from PIL import Image
from transformers.video_utils import VideoMetadata

from explorer.analyses.video.budgets import (
    BudgetAllocation,
    _plan,
    answer_by_method,
    answer_by_quota,
    map_of_method,
)
from explorer.analyses.video.clip_case import VideoCase, VideoRequest, open_video_case
from explorer.analyses.video.coherence import coherence
from explorer.cases.case import Case
from explorer.inference.decode import decode
from explorer.inference.prefill import prefill
from explorer.media.grid import Timeline
from explorer.media.video import Clip, from_images
from explorer.vlm.attention import override_attention
from explorer.vlm.components import Vlm

SIZE = 180, 130
FPS, LONG, COUNT = 0.5, 9, 5  # a video of 18 seconds, of which five frames are taken


def clip(count: int = COUNT, size: tuple[int, int] = SIZE) -> Clip:
    """Frames of noise that are shown at 0, 4, 8, 12 and 16 seconds."""
    turned = [noise(*size).rotate(40 * number) for number in range(LONG)]
    return from_images(turned, FPS, count)


def processed(vlm: Vlm, taken: Clip) -> dict[str, torch.Tensor]:
    """What the processor makes of frames and question, for the untouched model."""
    content = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    text = vlm.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    about = VideoMetadata(
        total_num_frames=LONG,
        fps=FPS,
        duration=LONG / FPS,
        frames_indices=[frame.number for frame in taken.frames],
    )
    given = vlm.processor(
        text=text,
        videos=[[frame.picture.image for frame in taken.frames]],
        video_metadata=[about],
        do_sample_frames=False,
        return_tensors="pt",
    )
    return {name: value for name, value in given.items() if name != "video_metadata"}


def look(vlm: Vlm, frames: list[np.ndarray]):
    """Grid and visual tokens of frames, with the tower's attention silenced."""
    time = Timeline(tuple(float(number) for number in range(len(frames))), float(len(frames)))
    pixels, grid = vlm.family.preprocess_frames(
        vlm, [Image.fromarray(frame) for frame in frames], time
    )
    with override_attention(lambda query, key, value, scaling: torch.zeros_like(query)):
        return grid, vlm.family.vision_tower(vlm).run(pixels).features


def words_between(case: Case) -> bool:
    visual = case.prompt().visual_positions
    return int(visual[-1] - visual[0]) >= len(visual)


class FilmPromises:
    """Take these over beside `Promises`, which gives `vlm` and `real`.

    together: frames that share their tokens. whole: rows and columns of tokens of a frame in the
    tiny model. split: whether every view has a run of tokens of its own in the prompt. says: what
    stands between them, of the five frames of a video of 18 seconds.
    """

    together = 1
    whole = (2, 2)
    split = True
    says: tuple[str, ...] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def film(cls, vlm) -> VideoCase:
        return open_video_case(VideoRequest.make(vlm, clip(), QUESTION))

    def test_a_film_has_the_tokens_of_its_frames(self, film):
        views = -(-COUNT // self.together)
        assert (film.sheet, film.shape, film.views) == (None, self.whole, views)
        assert [film.view_of(frame) for frame in range(COUNT)] == [
            frame // self.together for frame in range(COUNT)
        ]
        scores = film.of_views([0.1, 0.9, 0.8, 0.3, 0.5])
        assert scores == ([0.9, 0.8, 0.5] if self.together == 2 else [0.1, 0.9, 0.8, 0.3, 0.5])
        cells = film.cells()
        assert cells.shape == (views, self.whole[0] * self.whole[1])
        for view, tokens in enumerate(cells):
            assert (film.places[tokens, 0] == view).all()
        assert words_between(film.case) == self.split

    def test_fewer_frames_can_be_asked_about_down_to_one(self, vlm):
        found = list(coherence(VideoRequest.make(vlm, clip(), QUESTION), "divprune", 8))
        assert [len(each.frames) for each in found] == [1, 2, 4]
        for each in found:
            views = -(-len(each.frames) // self.together)
            assert each.tokens >= views * self.whole[0] * self.whole[1]  # one may end a line
            assert each.budget == min(8, each.tokens) and not each.error

    def test_frames_and_words_are_what_the_processor_makes_of_a_video(self, vlm, film):
        given, taken = processed(vlm, clip()), clip()
        time = Timeline(tuple(frame.second for frame in taken.frames), taken.seconds)
        images = [frame.picture.image for frame in taken.frames]
        pixels, grid = vlm.family.preprocess_frames(vlm, images, time)
        chat = vlm.family.build_prompt(vlm, QUESTION, grid)
        assert torch.equal(chat.input_ids, given["input_ids"])
        said = vlm.processor.tokenizer.decode(chat.input_ids[0])
        assert all(said.count(word) == 1 for word in self.says), said
        assert len(chat.visual_positions) == grid.count == film.case.size.tokens
        named = "pixel_values_videos" if "pixel_values_videos" in given else "pixel_values"
        assert torch.equal(pixels["pixel_values_videos"], given[named])

    def test_another_time_makes_another_case(self, vlm, film):
        later = clip()
        shown = tuple(f.__class__(f.picture, f.number, f.second + 60) for f in later.frames)
        later = Clip(shown, later.total, later.seconds + 60)
        assert later.digest == clip().digest
        assert open_video_case(VideoRequest.make(vlm, later, QUESTION)).case.id != film.case.id

    @torch.no_grad()
    def test_all_tokens_of_a_film_kept_equals_the_untouched_model(self, vlm, film):
        given = processed(vlm, clip())
        run = prefill(film.case.decoder, film.case.prompt())
        assert (run.logits - vlm.model(**given).logits[0, -1]).abs().max() <= 1e-5
        tokens = [step.token for step in decode(run, STEPS)]
        own = vlm.model.generate(**given, max_new_tokens=STEPS, do_sample=False)
        assert tokens == own[0, given["input_ids"].shape[1] :].tolist()

    @pytest.mark.parametrize("shares", [{0: 3}, {2: 3}, {0: 2, 3: 3}], ids=str)
    def test_dropping_tokens_of_a_film_equals_masking(self, vlm, film, shares):
        prompt, case = film.case.prompt(), film.case
        choices, alive = sparse(prompt, shares)
        answer = list(decode(prefill(case.decoder, prompt, keeping(choices)), STEPS))
        tokens, logits = [s.token for s in answer], torch.stack([s.logits for s in answer])
        reference = masked_reference(vlm, prompt, alive, tokens)
        assert (logits - reference).abs().max() < 5e-5
        full = prefill(case.decoder, prompt).logits
        assert (logits[0] - full).abs().max() > 1e-2, "dropping changed nothing"

    @torch.no_grad()
    def test_a_spot_changes_the_tokens_of_its_frame_alone(self, real):
        """In real geometry, in every frame: those on whose box it lies."""
        width, height = 480, 300
        plain = [plain_picture(width, height) for _ in range(4)]
        grid, before = look(real, plain)
        assert len(before) == grid.count
        for frame, (left, top) in enumerate([(100, 40), (300, 200), (5, 280), (460, 3)]):
            spotted = [picture.copy() for picture in plain]
            painted = (left, top, left + 12, top + 12)
            spotted[frame][top : top + 12, left : left + 12] = (250, 20, 200)
            change = (look(real, spotted)[1] - before).norm(dim=1).numpy()
            changed, here = is_real(change), grid.place[:, 0] == frame // self.together
            assert changed.any() and not changed[~here].any()
            edges = np.maximum(self.reach, 0.18 * (grid.boxes[:, 2:] - grid.boxes[:, :2]))
            assert not (changed & ~overlaps(grid.boxes, painted, edges)).any()
            assert overlaps(grid.boxes, painted, np.ones_like(edges))[change.argmax()]

    @torch.no_grad()
    def test_signals_of_the_tower_are_those_of_every_frame(self, vlm, film):
        needs = frozenset({"patch_attention", "hidden", "project", "keys"})
        signals, tower = film.case.prompt(needs).signals, vlm.family.vision_tower(vlm)
        taken = clip()
        time = Timeline(tuple(frame.second for frame in taken.frames), taken.seconds)
        images = [frame.picture.image for frame in taken.frames]
        pixels, _ = vlm.family.preprocess_frames(vlm, images, time)
        with eager(vlm, [tower.attention]) as weights:
            tower.run(pixels)
        skip = int(self.cls)
        rows = weights[0][:, :, skip:, skip:].mean(1)
        assert len(rows) == film.views and rows.std() > 1e-3
        assert torch.allclose(signals.patch_attention, rows, atol=2e-6)
        assert signals.hidden.shape[:2] == signals.keys.shape[:2] == rows.shape[:2]
        made = signals.project(signals.unprojected())
        several = (signals.patches >= 0).sum(1) > 1
        alone = (signals.grid_position[:, 0] >= 0) & ~(several & (signals.patches_per_token == 1))
        assert torch.allclose(made[alone], signals.features[alone], atol=1e-4)

    @torch.no_grad()
    @pytest.mark.parametrize("version", ["v1", "v2"])
    def test_frames_that_quota_leaves_as_they_are_answer_as_before(self, film, version):
        """Resized to its own size, every token must stand, by order and place, where it stood."""
        plan = _plan(film, [film.shape] * film.views, BudgetAllocation(version=version))
        run = prefill(film.case.decoder, film.case.prompt(), plan)
        full = prefill(film.case.decoder, film.case.prompt())
        assert (run.logits - full.logits).abs().max() < 5e-5
        assert [s.token for s in decode(run, STEPS)] == [s.token for s in decode(full, STEPS)]

    def test_quota_and_methods_answer_from_the_union(self, film):
        scores = [0.1, 0.9, 0.2, 0.3, 0.1]
        total = film.case.size.tokens
        answer = answer_by_quota(film, scores, total // 2)
        assert 0 < answer.layers[0] <= total // 2 + total // 4  # newlines come on top
        assert np.isfinite(answer.p_full)
        for spec in ("visionzip", "divprune", "fastv", "hired", "dycoke"):
            drawn = map_of_method(film, spec)
            assert np.isfinite(drawn.score).all() and len(drawn.score) == total
            assert answer_by_method(film, spec, max(total // 2, drawn.floor)).layers
