"""Lessons that teachers write: assets/lessons/*.yaml, read, checked and told to the page as JSON.

A lesson is a list of steps; each says a sentence or two, what the page shows meanwhile, and what
the student guesses before it is revealed. What a step leaves out is as in the step before. Knows
the shape of a lesson and the names that it may use; runs no model: whether a claim holds is for the
page, which shows the answers, and for the test that plays every lesson.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from explorer import ROOT
from explorer.errors import CannotStart, VisitorError
from explorer.methods import catalog as method_catalog
from explorer.pico.data.questions import suggest
from explorer.pico.data.scenes import make
from explorer.ui import examples
from explorer.ui.messages import SEEDS, Budget
from explorer.vlm.catalog import DEFAULT
from explorer.vlm.prompt import check_question

FOLDER = ROOT / "assets" / "lessons"
FIRST = "tokens"
"""The lesson that "How does this work?" opens."""
WORDS = ("full", "pruned", "truth", "budget", "tokens", "method", "mdi")
"""What may stand in braces in a text: the page puts in what it shows at that moment."""


def _or_value_error(check: Callable[[str], str]) -> Callable[[str], str]:
    """Let pydantic know of a name that there is none of, in the words of whoever looked for it."""

    def checked(text: str) -> str:
        try:
            return check(text)
        except VisitorError as error:
            raise ValueError(str(error)) from None

    return checked


def _method(spec: str) -> str:
    method_catalog.resolve(spec)
    return method_catalog.canonical(spec)


def _example(name: str) -> str:
    if name not in examples.names():
        raise ValueError(f"there is no example {name!r}; there are {', '.join(examples.names())}")
    return name


def _fields(text: str) -> str:
    for _, name, *_ in Formatter().parse(text):
        if name is not None and name not in WORDS:
            raise ValueError(f"{{{name}}} means nothing; there are {', '.join(WORDS)}")
    return " ".join(text.split())


Line = Annotated[str, Field(min_length=1, max_length=120)]
Text = Annotated[str, Field(min_length=1, max_length=600), AfterValidator(_fields)]
Spec = Annotated[str, AfterValidator(_or_value_error(_method))]
Question = Annotated[str, AfterValidator(_or_value_error(check_question))]


class Part(BaseModel):
    """What all parts of a lesson have in common: a key that nobody reads is a mistake."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Shown(Part):
    """What the page shows at a step; what is left out stays as in the step before.

    example: one of assets/examples; or scene: the seed of one, and a question. drawn: scores over
    kept patches, scores alone, or kept patches alone. grid: draw the edges of all patches.
    """

    example: Annotated[str, AfterValidator(_example)] | None = None
    scene: Annotated[int, Field(ge=0, lt=SEEDS)] | None = None
    question: Question | None = None
    method: Spec | None = None
    budget: Budget | None = None
    drawn: Literal["both", "score", "kept"] | None = None
    grid: bool | None = None
    tab: Literal["Explore", "Compare", "Sweep", "Debug", "Failures", "Methods"] | None = None


class Guess(Part):
    """What the student says before the page reveals it.

    survives: does the pruned answer stay what it was? listens: does the answer with all tokens rest
    on text or on the picture (MDI of the late layers above 1 is text)? patches: which does the
    answer need? keeper: which of `options`, methods, keeps the answer at this budget? choice: which
    of `options`, texts, is right: the one of the number `right`, from 1. words: what stands on the
    buttons of a keeper in place of the methods' titles.
    """

    kind: Literal["survives", "listens", "patches", "keeper", "choice"]
    question: Text
    options: Annotated[list[Line], Field(min_length=2, max_length=6)] = Field(default_factory=list)
    words: Annotated[list[Line], Field(max_length=6)] = Field(default_factory=list)
    right: Annotated[int, Field(ge=1)] | None = None

    def model_post_init(self, _: object) -> None:
        """Check that options come where they are chosen from, and nowhere else."""
        if bool(self.options) != (self.kind in ("keeper", "choice")):
            raise ValueError("a keeper and a choice have options, other guesses have none")
        if (self.right is not None) != (self.kind == "choice"):
            raise ValueError("a choice says which option is right, other guesses find out")
        if self.right is not None and self.right > len(self.options):
            raise ValueError(f"there is no option {self.right}")
        if self.words and (self.kind != "keeper" or len(self.words) != len(self.options)):
            raise ValueError("words name the options of a keeper, each of them")
        if self.kind == "keeper":
            for spec in self.options:
                _or_value_error(_method)(spec)


class Claims(Part):
    """What the text of a step takes for granted; the page says so where it is not the case."""

    full: Literal["right", "wrong"] | None = None
    pruned: Literal["same", "changed"] | None = None


class Step(Part):
    """One step. then: what is said once the student has guessed."""

    title: Line
    text: Text
    show: Shown = Shown()
    guess: Guess | None = None
    then: Text | None = None
    claims: Claims = Claims()


class Lesson(Part):
    """A lesson. title: its question. about: what one knows at its end."""

    title: Line
    about: Text
    steps: Annotated[list[Step], Field(min_length=2, max_length=12)]


def read(file: Path) -> Lesson:
    """Read one lesson; `CannotStart` names the file, the line and the field that are wrong."""
    text = file.read_text(encoding="utf-8")
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        return Lesson.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _broken(file, mark.line + 1 if mark else 1, f"no YAML: {error.problem}") from None
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        # A key that is spelt wrong is missing too; the line where it stands is of more use.
        found = min(errors, key=lambda each: each["type"] != "extra_forbidden")
        place = " → ".join(
            str(part + 1 if isinstance(part, int) else part) for part in found["loc"]
        )
        said = f"{place or 'the whole of it'}: {found['msg']}"
        raise _broken(file, _line(tree, found["loc"]), said) from None


def _broken(file: Path, line: int, said: str) -> CannotStart:
    return CannotStart(f"The lesson {file.name} can't be read. Line {line}, {said}.")


def _line(node: yaml.Node | None, place: tuple) -> int:
    """Find the line of a field, or of the innermost part around it that is there."""
    line = node.start_mark.line + 1 if node else 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            inner = [(key, value) for key, value in node.value if key.value == part]
            if not inner:
                break
            (key, node), *_ = inner
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line


def load(folder: Path = FOLDER) -> dict[str, Lesson]:
    """Read all lessons, by name, the first one first; raises `CannotStart`."""
    found = {file.stem: read(file) for file in sorted(folder.glob("*.yaml"))}
    if FIRST not in found:
        raise CannotStart(
            f"The lesson {FIRST}.yaml is missing in {folder.name}; please clone again."
        )
    return {FIRST: found.pop(FIRST)} | found


def states(lesson: Lesson) -> list[dict[str, object]]:
    """Say for each step what the page shows, in full: a student may come to it by a link."""
    first = {"model": DEFAULT, "method": "clsattn", "budget": 196, "drawn": "both", "grid": False}
    state: dict[str, object] = first | {"tab": "Explore"}
    made = []
    for step in lesson.steps:
        named = step.show.model_dump(exclude_none=True)
        if example := named.pop("example", None):
            case = examples.load(example)
            state |= {"scene": case["seed"], "question": case["case"]["question"]}
        elif "scene" in named:
            state["question"] = suggest(make(named["scene"]))[0]
        state = state | named
        if "scene" not in state:
            opening = examples.load(examples.names()[0])
            state |= {"scene": opening["seed"], "question": opening["case"]["question"]}
        made.append(dict(state))
    return made


def payload(lessons: dict[str, Lesson]) -> str:
    """Give all lessons as the JSON that assets/page/classroom reads."""
    described = [
        {
            "name": name,
            "title": lesson.title,
            "about": lesson.about,
            "steps": [
                step.model_dump(exclude={"show"}, exclude_none=True) | {"show": state}
                for step, state in zip(lesson.steps, states(lesson), strict=True)
            ],
        }
        for name, lesson in lessons.items()
    ]
    return json.dumps(described, ensure_ascii=False)
