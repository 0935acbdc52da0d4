"""Ask a model about every frame of a video, and turn its yes into a weight of the frame.

Knows questions and frames; not budgets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from explorer.analyses.video.clip_case import VideoCase
from explorer.cases.cache import CacheKey, ResultCache, get_or_compute
from explorer.cases.case import Case, open_case
from explorer.cases.generation import Generation
from explorer.cases.request import CaseRequest
from explorer.inference.decode import decode
from explorer.inference.prefill import KEEP_ALL, PruningPlan, prefill
from explorer.media.image import Picture
from explorer.methods.signals import Kept, Signals, Stage
from explorer.pico.data import frame_questions
from explorer.vlm.components import Vlm
from explorer.vlm.prompt import unknown_words

MOST_THINGS, MOST_LETTERS = 8, 40
YES = "A"  # the option that stands for yes

LISTING = """Here is a question about a video: {question}
Which things must one see in a frame to answer it? Go through three steps.
Step 1: must physical things be detected? Write yes or no.
Step 2: write the things as a Python list.
Step 3: keep the physical things of that list, or write null.
Examples:
Question: How many dogs run over the bridge?
Step 1: yes
Step 2: ["dog", "bridge", "running"]
Step 3: ["dog", "bridge"]
Question: What mood is the film in?
Step 1: no
Step 2: ["mood"]
Step 3: null
Question: What does the woman put on the table?
Step 1: yes
Step 2: ["woman", "table", "thing put down"]
Step 3: ["woman", "table"]
Question: {question}"""

OPTIONS = "A. yes, B. no\nAnswer with the option's letter directly."


def listed(reply: str) -> list[str]:
    """Read the things out of a model's reply; an empty list where it names none.

    The official code breaks down where step 1 says no or a step is missing; it means this.
    """
    reply = reply.lower()
    needed = re.search(r"step 1: (yes|no)", reply)
    found = re.search(r"step 3: (\[[^\]]*\])", reply)
    if needed is None or needed[1] == "no" or found is None:
        return []
    return tidy(re.split(r"[,\[\]]", found[1]))


def typed(text: str) -> list[str]:
    """Read things that a visitor has typed, parted by commas."""
    return tidy(re.split(r"[,;\n]", text.lower()))


def tidy(words: Sequence[str]) -> list[str]:
    """Strip quotes and blanks, drop empty and repeated things, and keep the first few."""
    stripped = (" ".join(word.strip(" \t'\"").split()) for word in words)
    return list(dict.fromkeys(word[:MOST_LETTERS] for word in stripped if word))[:MOST_THINGS]


def frame_question(things: Sequence[str], question: str) -> str:
    """Ask one frame for the things, or, where nothing is named, whether it is enough to answer."""
    if things:
        return f"Does the image contain any object of {', '.join(things)}? {OPTIONS}"
    return (
        f"{question}\nDoes the image contain sufficient information to answer the given "
        f"question? {OPTIONS}"
    )


# ---- what each frame is asked -------------------------------------------------------------------


@dataclass(frozen=True)
class FrameQuery:
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


def frame_query(video: VideoCase, things: Sequence[str] | None = None) -> FrameQuery:
    """Find out what to look for: what a visitor names, or else what the question is about."""
    case = video.case
    official = reads_options(case.vlm)
    who = "you"
    if not things:
        who = "the model" if official else "the question's words"
        things = _decoupled(case) if official else frame_questions.things_in(case.question)
    things = tuple(things)
    if official:
        questions = (frame_question(things, case.question),)
        return FrameQuery(things, who, questions, YES)
    questions = tuple(frame_questions.frame_questions(things))
    notes = [
        f"{case.vlm.title} does not know “{word}”, so what it says of it means little."
        for word in unknown_words(" ".join(questions), case.vlm.processor.tokenizer)
    ]
    if not things:
        notes.append(
            "The question names nothing that could be looked for, so all frames get the same; "
            "type what to look for."
        )
    return FrameQuery(things, who, questions, frame_questions.YES, tuple(notes))


def reads_options(vlm: Vlm) -> bool:
    """Tell whether a model knows the words of QuoTA's own prompts, options A and B included."""
    tokenizer = vlm.processor.tokenizer
    words = LISTING.format(question="") + frame_question(["thing"], "")
    return not unknown_words(words, tokenizer) and len(_ids(vlm, YES)) == 1


def _ids(vlm: Vlm, word: str) -> list[int]:
    return vlm.processor.tokenizer(word, add_special_tokens=False)["input_ids"]


def _decoupled(case: Case) -> list[str]:
    """Let the model list the things, from the words alone: the picture's tokens leave first."""

    def keep_none(signals: Signals, stage: Stage) -> Kept:
        return Kept(torch.arange(0, device=signals.grid_position.device))

    asking = replace(case, question=LISTING.format(question=case.question))
    run = prefill(case.decoder, asking.prompt(), PruningPlan((Stage(0, 0),), keep_none))
    generation = Generation(asking)
    for step in decode(run, max(case.vlm.max_new_tokens, 96)):
        generation.add(step)
    return listed(generation.text)


def frame_scores(
    video: VideoCase, query: FrameQuery, cache: ResultCache | None = None
) -> list[float]:
    """Ask every frame alone: the probability that its answer begins with yes, [F].

    Over the whole vocabulary, as in the official code; where several questions are put, the
    largest (ours). With nothing to ask for, every frame gets 1.
    """
    return [
        max((_yes(video.case, frame.picture, question, query.yes, cache)
             for question in query.questions), default=1.0)
        for frame in video.clip.frames
    ]  # fmt: skip


def _yes(
    video: Case, picture: Picture, question: str, yes: str, cache: ResultCache | None
) -> float:
    vlm = video.vlm

    def compute() -> float:
        # the question is ours: it may be longer than a visitor's, and has lines
        case = replace(open_case(CaseRequest(vlm, picture, ""), cache), question=question)
        run = prefill(case.decoder, case.prompt(), KEEP_ALL)
        return float(run.logits.softmax(-1)[_ids(vlm, yes)[0]])

    key = CacheKey("yes", video.id, (picture.digest, question, yes))
    return get_or_compute(cache, key, compute, lambda _: 200)
