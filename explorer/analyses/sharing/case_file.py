"""A case as one JSON file: the picture, what was asked, and what came out, to be opened elsewhere.

Every field is checked for kind and size before anything is made of it; texts stay texts. A file may
come from anybody. Knows records and pictures; runs no model (see replay.py).
"""

from __future__ import annotations

import base64
import importlib.metadata
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from explorer.analyses.diagnosis.records import QUESTIONS, Diagnosis
from explorer.cases.records import Answer
from explorer.cases.request import CaseRequest
from explorer.errors import BadCase, BadPicture
from explorer.media.image import Picture, open_picture
from explorer.vlm.catalog import Entry
from explorer.vlm.loader import default_loader

FORMAT = "visual token explorer case"
VERSION = 1
MAX_BYTES = 20_000_000  # of a file
PICTURE_BYTES = 14_000_000  # of the embedded picture, in base64
RUNS, TOKENS, ANSWER, STAGES, LAYERS = 200, 20_000, 2_000, 64, 512
PROBES = 24 * 9  # things, and runs that were asked about each
STEPS = 2 * len(QUESTIONS)  # of a diagnosis
PACKAGES = ("torch", "transformers", "gradio", "numpy")

Text = Annotated[str, Field(max_length=8_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Share = Annotated[float, Field(ge=0, le=1.000_001)]
Count = Annotated[int, Field(ge=0, le=TOKENS)]
Whole = Annotated[int, Field(ge=0, le=2**63)]
Curve = Annotated[list[float | None], Field(max_length=LAYERS)]


class Strict(BaseModel):
    """No field more than is named, no number in the clothes of a text, nothing infinite."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class StoredToken(Strict):
    """One token of an answer."""

    text: Annotated[str, Field(max_length=200)]
    probability: Share


class StoredStage(Strict):
    """Who was alive, as they were, behind one stage. merged: tokens that were made of others."""

    layer: Annotated[int, Field(ge=0, le=LAYERS)]
    kept: Annotated[list[Count], Field(max_length=TOKENS)]
    merged: Count = 0


class StoredInside(Strict):
    """What happened inside an answer, layer by layer [L].

    stands_from: the layer behind which the whole answer stands. says: what would be said behind
    each, word by word. shares: of attention by `layer_keys.KINDS`, mean over words.
    """

    stands_from: Annotated[int, Field(ge=0, le=LAYERS)]
    says: Annotated[list[Text], Field(max_length=LAYERS)]
    shares: Annotated[list[Annotated[list[Share], Field(max_length=8)]], Field(max_length=LAYERS)]


class StoredRemoval(Strict):
    """The answer when all visual tokens leave before a layer."""

    layer: Annotated[int, Field(ge=0, le=LAYERS)]
    text: Text
    p_full: Share


class StoredProbe(Strict):
    """What a run said to "is there a ...?". yes: P(yes) of yes and no together, null if unknown."""

    thing: Name
    there: bool
    method: Name
    budget: Annotated[int, Field(ge=1, le=TOKENS)]
    text: Text
    says_yes: bool
    yes: Share | None = None


class StoredStability(Strict):
    """How firmly a method's answer stands; see `analyses/effects/stability.py`."""

    method: Name
    budget: Annotated[int, Field(ge=1, le=TOKENS)]
    k_star: Count | None = None
    flips: Count = 0
    subsets: Count = 0
    subsets_keep: Share


class StoredRun(Strict):
    """One answer. method: a spec, options and seed included, or "full" for all visual tokens.

    mdi, aei [L]: null where undefined or infinite. losses: what each token of the full answer loses
    by pruning, its end included, nats.
    """

    method: Name
    budget: Annotated[int, Field(ge=1, le=TOKENS)]
    text: Text
    tokens: Annotated[list[StoredToken], Field(max_length=ANSWER)]
    stages: Annotated[list[StoredStage], Field(max_length=STAGES)] = []
    layers: Annotated[list[Count], Field(max_length=LAYERS)] = []
    p_full: Share | None = None
    kl: Annotated[float, Field(ge=0)] | None = None
    drop: float | None = None
    losses: Annotated[list[float], Field(max_length=ANSWER)] = []
    flops: Whole = 0
    kv_bytes: Whole = 0
    mdi: Curve = []
    aei: Curve = []
    inside: StoredInside | None = None


class StoredRunAnswer(Strict):
    """What one run of a step answered."""

    run: Name
    text: Text
    right: bool | None = None


class StoredStep(Strict):
    """One step; asked: false where its question makes no sense for the case."""

    question: Name
    finding: Text
    holds: bool | None = None
    asked: bool = True
    runs: Annotated[list[StoredRunAnswer], Field(max_length=RUNS)] = []

    @property
    def says(self) -> str:
        """The answer to the question in a word."""
        return {None: "", True: "yes", False: "no"}[self.holds] if self.asked else "not asked"


class StoredDiagnosis(Strict):
    """Why the run of this method and budget fails."""

    method: Name
    budget: Annotated[int, Field(ge=1, le=TOKENS)]
    truth: Text | None = None
    verdict: Name
    sentence: Text
    patches: Annotated[list[Count], Field(max_length=TOKENS)] = []
    steps: Annotated[list[StoredStep], Field(max_length=STEPS)]


class StoredModel(Strict):
    """Which model answered."""

    key: Name
    source: Name
    revision: Annotated[str, Field(max_length=200)] | None = None


class StoredPicture(Strict):
    """The opened picture, as a PNG in base64; digest: of its pixels."""

    png: Annotated[str, Field(max_length=PICTURE_BYTES, pattern=r"^[A-Za-z0-9+/=]+$")]
    width: Annotated[int, Field(ge=1, le=20_000)]
    height: Annotated[int, Field(ge=1, le=20_000)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.width, self.height


class CaseFile(Strict):
    """A case that travels."""

    format: Literal["visual token explorer case"] = FORMAT
    version: Literal[1] = VERSION
    model: StoredModel
    picture: StoredPicture
    question: Annotated[str, Field(max_length=500, pattern=r"\S")]
    truth: Text | None = None
    seed: Whole | None = None
    full: StoredRun
    runs: Annotated[list[StoredRun], Field(max_length=RUNS)] = []
    diagnosis: StoredDiagnosis | None = None
    removal: Annotated[list[StoredRemoval], Field(max_length=LAYERS)] = []
    probes: Annotated[list[StoredProbe], Field(max_length=PROBES)] = []
    stability: StoredStability | None = None
    packages: Annotated[
        dict[Name, Annotated[str, Field(max_length=100)]], Field(max_length=50)
    ] = {}

    @model_validator(mode="after")
    def _full_is_full(self) -> CaseFile:
        if self.full.method != "full" or any(run.method == "full" for run in self.runs):
            raise ValueError("the full answer stands apart from the pruned ones")
        return self

    def opened(self) -> Picture:
        """Open the picture by the guard that opens uploads; `BadCase` if it isn't the one named."""
        try:
            picture = open_picture(base64.b64decode(self.picture.png))
        except (BadPicture, ValueError) as error:
            raise BadCase("The picture in this case can't be opened.") from error
        if picture.digest != self.picture.digest or picture.image.size != self.picture.size:
            raise BadCase("The picture in this case is not the one that its answers belong to.")
        return picture


class Looks(NamedTuple):
    """What else is known of a case, where somebody has asked.

    insides: of runs, by method and budget; removal: answers without a picture; probes, stability:
    what pruning does to answers.
    """

    insides: dict[tuple[str, int], StoredInside]
    removal: tuple[StoredRemoval, ...] = ()
    probes: tuple[StoredProbe, ...] = ()
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
        stability=looks.stability,
        packages=packages(),
    )
    return case.model_dump_json(indent=1)


def model_of(entry: Entry) -> StoredModel:
    """Name a model; of a folder outside this project only the last part, as a case travels."""
    folder = Path(entry.path)
    source = entry.hub or (folder.name if folder.is_absolute() else entry.path)
    return StoredModel(key=entry.key, source=source, revision=entry.revision)


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
