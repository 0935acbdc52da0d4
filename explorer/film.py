"""Frames of a video in front of a model: their tokens as one case, and a score for every frame.

A family that reads several frames offers `frames(vlm, images, time)`, which gives what its tower
gets and a grid with a view per frame, or per pair of frames; every other model gets one picture, a
contact sheet of the frames. Knows cases and models; not budgets or pages.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer import decouple, zoo
from explorer.answers import Speech
from explorer.capture import see
from explorer.cases import Asked, Case, Look, ask, open_case
from explorer.engine import EVERYTHING, Plan, decode, prefill
from explorer.errors import BadVideo, ModelUnavailable
from explorer.families import Vlm
from explorer.grid import Timeline
from explorer.memory import Memory, recall
from explorer.pico import looking
from explorer.picture import Picture
from explorer.sheet import Sheet
from explorer.signals import Kept, Signals, Stage
from explorer.video import Clip
from explorer.words import check_question, unknown_words

SMALLEST = 2  # tokens along a side of a frame; with fewer there is nothing to resize
BACKDROP = (128, 128, 128)


@dataclass(frozen=True)
class Film:
    """A clip and a question in front of a model.

    case: the union of all frames' tokens, [N]. places [N, 3]: view, row and column of each token,
    -1 where it shows no frame; a view is a frame, or a pair of frames that share their tokens.
    shape: rows and columns of tokens of a view. sheet: the picture that holds all frames, or None
    where the model reads them one by one.
    """

    clip: Clip
    case: Case
    places: np.ndarray
    shape: tuple[int, int]
    sheet: Image.Image | None

    @property
    def count(self) -> int:
        """F, the frames."""
        return len(self.clip.frames)

    @property
    def views(self) -> int:
        """V, of which each has its own tokens: the frames, or pairs of them."""
        return int(self.places[:, 0].max()) + 1

    def view_of(self, frame: int) -> int:
        """Tell in which view a frame is seen."""
        return frame // math.ceil(self.count / self.views)

    def of_views(self, scores: Sequence[float]) -> list[float]:
        """Turn scores of frames [F] into those of views [V]: the larger one of a pair, ours."""
        found = [0.0] * self.views
        for frame, score in enumerate(scores):
            found[self.view_of(frame)] = max(found[self.view_of(frame)], score)
        return found

    def cells(self) -> Tensor:
        """Give the tokens of every view, row by row, [V, rows * columns]."""
        view, row, column = self.places.astype(int).T
        rows, columns = self.shape
        found = np.empty((self.views, rows * columns), dtype=np.int64)
        real = view >= 0
        found[view[real], row[real] * columns + column[real]] = real.nonzero()[0]
        return torch.from_numpy(found).to(self.case.vlm.device)


@dataclass(frozen=True)
class AskedFilm(Asked):
    """What somebody wants to know of a clip; its picture is the first frame, named by all."""

    clip: Clip

    @property
    def case(self) -> tuple[str | Vlm, Clip, str]:
        """The three things, as the use cases take them."""
        return self.model, self.clip, self.question


def ask_film(model: str | Vlm, clip: Clip, question: str) -> AskedFilm:
    """Check what somebody wants to know; `VisitorError` says what is wrong."""
    named = Picture(clip.frames[0].picture.image, (), _digest(clip))
    return AskedFilm(**vars(ask(model, named, question)), clip=clip)


def open_film(model: str | Vlm, clip: Clip, question: str, memory: Memory | None = None) -> Film:
    """Let the tower look at the frames of a clip; `VisitorError` says what is wrong."""
    question = check_question(question)
    vlm = model if isinstance(model, Vlm) else zoo.load(model)
    zoo.use_threads(vlm)
    if hasattr(vlm.family, "frames"):
        return _one_by_one(vlm, clip, question, memory)
    return _on_a_sheet(vlm, clip, question, memory)


def _on_a_sheet(vlm: Vlm, clip: Clip, question: str, memory: Memory | None) -> Film:
    views = vlm.family.grid(vlm, 96, 96).views
    side = views[0].rows
    if len(views) > 1 or views[0].columns != side:
        raise ModelUnavailable(
            f"{vlm.title} cuts a picture into pieces, so frames can't be laid out on one; please "
            "choose another model for videos."
        )
    sheet = Sheet(len(clip.frames), side)
    if sheet.tokens < SMALLEST:
        raise BadVideo(
            f"{len(clip.frames)} frames are too many for {vlm.title}; please take at most "
            f"{(side // SMALLEST) ** 2}."
        )
    images = [frame.picture.image for frame in clip.frames]
    picture = Picture(sheet.draw(images, BACKDROP), (), _digest(clip))
    whole = open_case(vlm, picture, question, memory)
    grid = sheet.grid(whole.look.grid)
    kept = torch.from_numpy(_tokens_of(sheet)).to(vlm.device)
    look = Look(
        seen=replace(whole.look.seen, features=whole.look.seen.features[kept]),
        grid=grid,
        place=torch.from_numpy(grid.place.astype("int64")).to(vlm.device),
        patches=whole.look.patches[kept],
        seconds=whole.look.seconds,
    )
    places = sheet.frame_places(grid)
    return Film(clip, replace(whole, look=look), places, (sheet.tokens,) * 2, picture.image)


def _tokens_of(sheet: Sheet) -> np.ndarray:
    down, across = sheet.lines()
    return (down[:, None] * sheet.side + across).reshape(-1)


def _one_by_one(vlm: Vlm, clip: Clip, question: str, memory: Memory | None) -> Film:
    """Let the family lay out the frames; its `words` are asked for as many tokens as there are."""
    images = [frame.picture.image for frame in clip.frames]
    time, picture = _time(clip), Picture(images[0], (), _digest(clip))

    def make() -> Look:
        pixels, grid = vlm.family.frames(vlm, images, time)
        place, patches = (
            torch.from_numpy(table.astype("int64")).to(vlm.device)
            for table in (grid.place, grid.patches)
        )
        return Look(see(vlm.family.tower(vlm), pixels), grid, place, patches, 0.0)

    look = recall(memory, ("look", vlm.key, picture.digest), make, lambda look: look.nbytes)
    case = Case(vlm, picture, question, look, vlm.family.decoder(vlm))
    view = look.grid.views[0]
    return Film(clip, case, look.grid.place, (view.rows, view.columns), None)


def _time(clip: Clip) -> Timeline:
    return Timeline(tuple(frame.second for frame in clip.frames), clip.seconds)


def _digest(clip: Clip) -> str:
    """Name the frames and their times; a picture that looks like the sheet is another case."""
    return hashlib.sha256(f"film {clip.digest} {_time(clip)}".encode()).hexdigest()[:16]


# ---- what each frame is asked -------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What is looked for in every frame.

    things: named by the visitor, the model or the question. who: which of the three. questions:
    what a frame is asked; its score is the largest probability of `yes` as the first token.
    notes: sentences for the visitor.
    """

    things: tuple[str, ...]
    who: str
    questions: tuple[str, ...]
    yes: str
    notes: tuple[str, ...] = ()


def wanted(film: Film, things: Sequence[str] | None = None) -> Wanted:
    """Find out what to look for: what a visitor names, or else what the question is about."""
    case = film.case
    official = reads_options(case.vlm)
    who = "you"
    if not things:
        who = "the model" if official else "the question's words"
        things = _decoupled(case) if official else looking.things_in(case.question)
    things = tuple(things)
    if official:
        asked = (decouple.frame_question(things, case.question),)
        return Wanted(things, who, asked, decouple.YES)
    asked = tuple(looking.frame_questions(things))
    notes = [
        f"{case.vlm.title} does not know “{word}”, so what it says of it means little."
        for word in unknown_words(" ".join(asked), case.vlm.processor.tokenizer)
    ]
    if not things:
        notes.append(
            "The question names nothing that could be looked for, so all frames get the same; "
            "type what to look for."
        )
    return Wanted(things, who, asked, looking.YES, tuple(notes))


def reads_options(vlm: Vlm) -> bool:
    """Tell whether a model knows the words of QuoTA's own prompts, options A and B included."""
    tokenizer = vlm.processor.tokenizer
    words = decouple.LISTING.format(question="") + decouple.frame_question(["thing"], "")
    return not unknown_words(words, tokenizer) and len(_ids(vlm, decouple.YES)) == 1


def _ids(vlm: Vlm, word: str) -> list[int]:
    return vlm.processor.tokenizer(word, add_special_tokens=False)["input_ids"]


def _decoupled(case: Case) -> list[str]:
    """Let the model list the things, from the words alone: the picture's tokens leave first."""

    def nobody(signals: Signals, stage: Stage) -> Kept:
        return Kept(torch.arange(0, device=signals.place.device))

    asking = replace(case, question=decouple.LISTING.format(question=case.question))
    run = prefill(case.decoder, asking.prompt(), Plan((Stage(0, 0),), nobody))
    speech = Speech(asking)
    for step in decode(run, max(case.vlm.max_new_tokens, 96)):
        speech.add(step)
    return decouple.listed(speech.text)


def frame_scores(film: Film, asked: Wanted, memory: Memory | None = None) -> list[float]:
    """Ask every frame alone: the probability that its answer begins with yes, [F].

    Over the whole vocabulary, as in the official code; where several questions are put, the
    largest (ours). With nothing to ask for, every frame gets 1.
    """
    return [
        max((_yes(film.case, frame.picture, question, asked.yes, memory)
             for question in asked.questions), default=1.0)
        for frame in film.clip.frames
    ]  # fmt: skip


def _yes(film: Case, picture: Picture, question: str, yes: str, memory: Memory | None) -> float:
    vlm = film.vlm

    def make() -> float:
        # the question is ours: it may be longer than a visitor's, and has lines
        case = replace(open_case(vlm, picture, "frame", memory), question=question)
        run = prefill(case.decoder, case.prompt(), EVERYTHING)
        return float(run.logits.softmax(-1)[_ids(vlm, yes)[0]])

    key = ("yes", film.id, picture.digest, question, yes)
    return recall(memory, key, make, lambda _: 200)
