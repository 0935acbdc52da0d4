"""What a case consists of, every field checked for kind and size: a file may come from anybody.

Texts stay texts. Knows fields and the guard of pictures; not records, nor how a file is written.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from explorer.analyses.diagnosis.records import QUESTIONS
from explorer.cases.pictures import open_beside
from explorer.errors import BadCase, BadPicture
from explorer.media.image import Picture

FORMAT = "visual token explorer case"
VERSION = 1
PICTURE_BYTES = 14_000_000  # of the embedded picture, in base64
RUNS, TOKENS, ANSWER, STAGES, LAYERS = 200, 20_000, 2_000, 64, 512
PROBES = 24 * 9  # things, and runs that were asked about each
CAPTIONS = 64
STEPS = 2 * len(QUESTIONS)  # of a diagnosis

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


class StoredCaption(Strict):
    """How a run described the picture, and what that names; see `metrics/effects/chair.py`.

    hallucinated: the words for what is not there, as the caption has them.
    """

    method: Name
    budget: Annotated[int, Field(ge=1, le=TOKENS)]
    text: Text
    hallucinated: Annotated[list[Name], Field(max_length=ANSWER)] = []
    chair_i: Share
    recall: Share


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
    """Which model answered. resolution: how finely it cut the picture up, if that is a choice."""

    key: Name
    source: Name
    revision: Annotated[str, Field(max_length=200)] | None = None
    resolution: Literal["whole", "2x2", "full"] | None = None


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
    captions: Annotated[list[StoredCaption], Field(max_length=CAPTIONS)] = []
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
            picture = open_beside(base64.b64decode(self.picture.png))
        except (BadPicture, ValueError) as error:
            raise BadCase("The picture in this case can't be opened.") from error
        if picture.digest != self.picture.digest or picture.image.size != self.picture.size:
            raise BadCase("The picture in this case is not the one that its answers belong to.")
        return picture
