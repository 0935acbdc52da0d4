"""Questions about scenes to fit a setting on: neither those of training nor of any evaluation."""

from __future__ import annotations

import random
from collections.abc import Iterator

from explorer.cases.request import CaseRequest
from explorer.pico.data import scenes
from explorer.pico.data.questions import sample
from explorer.vlm.components import Vlm

FIRST_SEED = 3_700_000_000


def sample_requests(vlm: Vlm, count: int) -> Iterator[CaseRequest]:
    """Give one question about each of `count` scenes; the same ones in every call."""
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        scene = scenes.make(seed)
        [question] = sample(scene, random.Random(f"calibration {seed}"), 1)
        yield CaseRequest.make(vlm, scene.image, question.text)
