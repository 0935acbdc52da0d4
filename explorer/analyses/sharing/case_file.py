"""A case as one JSON file: the picture, what was asked, and what came out, to be opened elsewhere.

Every field is checked before anything is made of it (case_fields.py). A file may come from anybody.
Knows records and pictures; runs no model (see replay.py).
"""

from __future__ import annotations

import base64
import importlib.metadata
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from pydantic import ValidationError

from explorer.analyses.diagnosis.records import Diagnosis
from explorer.analyses.sharing.case_fields import (
    PICTURE_BYTES,
    CaseFile,
    StoredCaption,
    StoredDiagnosis,
    StoredInside,
    StoredModel,
    StoredPicture,
    StoredProbe,
    StoredRemoval,
    StoredRun,
    StoredRunAnswer,
    StoredStability,
    StoredStage,
    StoredStep,
    StoredToken,
)
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import BadCase
from explorer.vlm.catalog import Entry
from explorer.vlm.loader import default_loader

MAX_BYTES = 20_000_000  # of a file
PACKAGES = ("torch", "transformers", "gradio", "numpy")


class Looks(NamedTuple):
    """What else is known of a case, where somebody has asked.

    insides: of runs, by method and budget; removal: answers without a picture; probes, captions,
    stability: what pruning does to answers.
    """

    insides: dict[tuple[str, int], StoredInside]
    removal: tuple[StoredRemoval, ...] = ()
    probes: tuple[StoredProbe, ...] = ()
    captions: tuple[StoredCaption, ...] = ()
    stability: StoredStability | None = None


def save(
    request: CaseRequest,
    full: Answer,
    runs: Sequence[Answer] = (),
    truth: str | None = None,
    seed: int | None = None,
    diagnosis: Diagnosis | None = None,
    looks: Looks | None = None,
) -> str:
    """Write a case with its answers as JSON; `BadCase` if the picture is too large to go along.

    seed: of the scene that the picture shows, if it shows one. diagnosis: why one of the runs
    fails, if somebody has asked. looks: what is known of the inside of the answers.
    """
    entry, picture = default_loader().catalog.entry(request.model), request.picture
    looks = looks or Looks({})
    png = _png(picture.image)
    if len(png) > PICTURE_BYTES:
        raise BadCase("The picture is too large for a case; please scale it down and open it anew.")
    case = CaseFile(
        model=model_of(entry),
        picture=StoredPicture(
            png=png,
            width=picture.image.width,
            height=picture.image.height,
            digest=picture.digest,
        ),
        question=request.question,
        truth=truth,
        seed=seed,
        full=stored(full, looks.insides.get((full.method, full.budget))),
        runs=[stored(run, looks.insides.get((run.method, run.budget))) for run in runs],
        diagnosis=diagnosis and stored_diagnosis(diagnosis),
        removal=list(looks.removal),
        probes=list(looks.probes),
        captions=list(looks.captions),
        stability=looks.stability,
        packages=packages(),
    )
    return case.model_dump_json(indent=1)


def model_of(entry: Entry) -> StoredModel:
    """Name a model; of a folder outside this project only the last part, as a case travels."""
    folder = Path(entry.path)
    source = entry.hub or (folder.name if folder.is_absolute() else entry.path)
    resolution = entry.resolution if entry.resolutions else None
    return StoredModel(key=entry.key, source=source, revision=entry.revision, resolution=resolution)


def packages() -> dict[str, str]:
    """Give the versions of what the answers of this machine depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def stored(answer: Answer, inside: StoredInside | None = None) -> StoredRun:
    """Write down what of an answer can be recomputed; times are not part of a case."""
    return StoredRun(
        method=answer.method,
        budget=answer.budget,
        text=answer.text,
        tokens=[
            StoredToken(text=token.text, probability=token.probability) for token in answer.tokens
        ],
        stages=[
            StoredStage(layer=stage.layer, kept=stage.kept.tolist(), merged=stage.merged)
            for stage in answer.stages
        ],
        layers=[int(count) for count in answer.layers],
        p_full=answer.p_full,
        kl=answer.kl,
        drop=answer.log_prob_loss,
        losses=list(answer.token_losses),
        flops=answer.flops,
        kv_bytes=answer.kv_bytes,
        mdi=_curve(answer.dominance and answer.dominance.mdi),
        aei=_curve(answer.dominance and answer.dominance.aei),
        inside=inside,
    )


def stored_diagnosis(found: Diagnosis) -> StoredDiagnosis:
    """Write down a diagnosis; its numbers stand in its sentences."""
    steps = [
        StoredStep(
            question=step.question,
            finding=step.finding,
            holds=step.holds,
            asked=step.asked,
            runs=[
                StoredRunAnswer(run=each.run, text=each.text, right=each.right)
                for each in step.runs
            ],
        )
        for step in found.steps
    ]
    return StoredDiagnosis(
        method=found.method,
        budget=found.budget,
        truth=found.truth,
        verdict=str(found.verdict),
        sentence=found.sentence,
        patches=list(found.patches),
        steps=steps,
    )


def _curve(values: np.ndarray | None) -> list[float | None]:
    return [float(x) if math.isfinite(x) else None for x in (() if values is None else values)]


def load(data: bytes | str) -> CaseFile:
    """Read a case from anybody; `BadCase` says in one sentence what is wrong with it."""
    if len(data) > MAX_BYTES:
        raise BadCase(f"A case has at most {MAX_BYTES // 1_000_000} MB; this file is larger.")
    try:
        return CaseFile.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise BadCase("This file is not a case: it is no JSON.") from None
        where = " → ".join(str(part)[:40] for part in first["loc"]) or "the file"
        raise BadCase(f"This file is not a case that can be opened: {where} is wrong.") from None
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError):
        raise BadCase("This file is not a case: it is no JSON.") from None


def _png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=False)
    return base64.b64encode(buffer.getvalue()).decode()
