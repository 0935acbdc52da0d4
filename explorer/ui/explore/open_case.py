"""Opening another case: by an upload, an example, a scene, a question or another model.

Every way ends in `case`: the picture is shown at once, then the full answer word by word, then the
maps of all methods. What goes wrong is said where it arises, and leaves everything else as it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import gradio as gr

from explorer.cases.answers import check_budget
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.errors import BadMessage, BadPicture, BadQuestion, VisitorError
from explorer.media.image import open_picture
from explorer.pico.data import questions, scenes
from explorer.ui import components, examples, messages
from explorer.ui import link as ui_link
from explorer.ui.explore.blocks import Explore
from explorer.ui.messages import ExampleMessage, LinkMessage, SceneMessage, SuggestionMessage
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.case import case_payload, pending_payload
from explorer.ui.session import PARTIAL_SECONDS, AppState, Session
from explorer.ui.web import uploads

SEEDS = 1_000_000  # new scenes are numbered below this
SCORING = "Scoring every patch by every method …"


@dataclass(frozen=True)
class CaseOpener:
    """The handlers of all events that open a case; they give updates for the blocks of the tab."""

    tab: Explore
    app_state: AppState
    model: gr.Dropdown
    model_notes: gr.HTML

    def outputs(self) -> list:
        """List every block that a handler may change."""
        tab = self.tab
        return [
            tab.session,
            tab.stage,
            tab.readout,
            tab.picture,
            tab.thumbs,
            tab.seed,
            tab.chips,
            tab.question,
            tab.picture_notes,
            tab.question_notes,
            self.model,
            self.model_notes,
        ]

    def case(
        self,
        session: Session,
        error_place: gr.HTML,
        show: dict | None = None,
        also: Callable[[], dict] = dict,
    ) -> Iterator[dict]:
        """Open the case of a session; error_place: where to say what no other place is meant for.

        show: {method, budget} that the page goes to, where it should not stay at those it shows;
        also: gives what else is to be said once the case is open.
        """
        tab = self.tab
        question, model = " ".join(session.question.split()), session.model or ""
        session = replace(session, question=question, model=model)
        yield {tab.question_notes: components.lines("busy", SCORING)}
        try:
            analysis = yield from self._unfolded(session)
        except VisitorError as error:
            place = {BadPicture: tab.picture_notes, BadQuestion: tab.question_notes}
            yield {
                tab.question_notes: None,
                self.model_notes: None,
                tab.readout: {"ticket": 0, "case": session.id, "answers": [], "failed": True},
                place.get(type(error), error_place): components.lines("error", str(error)),
            }
            return
        except Exception:  # a mistake of ours: the page goes back to before, and we hear of it
            yield {tab.readout: {"ticket": 0, "case": session.id, "answers": [], "failed": True}}
            raise
        word_lines = [line for line in analysis.notes if line not in session.picture.notes]
        session = replace(session, question=analysis.question)
        shown = case_payload(analysis, session.truth, list(session.suggestions), lean=True)
        yield {
            tab.session: session,
            tab.stage: shown | {"seed": session.seed, "show": show},
            tab.chips: components.chips_value(list(session.suggestions)),
            tab.question: session.question,
            tab.seed: session.seed,
            tab.picture_notes: components.lines("note", *session.picture.notes),
            tab.question_notes: components.lines("note", *word_lines),
            self.model: session.model,
            self.model_notes: None,
            **also(),
        }

    def _unfolded(self, session: Session) -> Generator[dict, None, Analysis]:
        """Show the picture as soon as it is known to be good, and the full answer as it comes."""
        tab, id_, unfold = self.tab, session.id, self.app_state.use_cases.unfold
        events = unfold(session.request, PARTIAL_SECONDS, cache=self.app_state.cache)
        for number, found in enumerate(events):
            if isinstance(found, Analysis):
                return found
            if number == 0:
                yield {tab.stage: pending_payload(id_, session.picture, session.question)}
            payload = answer_payload(found, session.truth, id_)
            yield {tab.readout: {"ticket": 0, "case": id_, "answers": [payload]}}
        raise RuntimeError("an analysis ended without its result")

    def upload(
        self, path: str | None, question: str | None, model_key: str, session: Session
    ) -> Iterator[dict]:
        """Open an uploaded, pasted or photographed picture with the present question."""
        tab = self.tab
        if path is None:
            return
        try:
            picture = open_picture(path)
        except BadPicture as error:
            yield {tab.picture: None, tab.picture_notes: components.lines("error", str(error))}
            return
        finally:
            uploads.discard(path)
        yield {tab.picture: None, tab.picture_notes: None, tab.thumbs: chosen()}
        general = tuple(questions.GENERAL_QUESTIONS)
        words = question if question and question.strip() else general[0]
        yield from self.case(Session(model_key, picture, words, None, general), tab.picture_notes)

    def new_scene(self, seed: object, model_key: str) -> Iterator[dict]:
        """Open the scene of a seed with the first question that fits it."""
        tab = self.tab
        try:
            seed = messages.read(SceneMessage, {"seed": seed}).seed
        except BadMessage:
            line = "The seed of a scene is a whole number from 0 on."
            yield {tab.picture_notes: components.lines("error", line)}
            return
        yield {tab.seed: seed, tab.thumbs: chosen()}
        yield from self.scene(seed, model_key)

    def scene(
        self, seed: int, model: str, question: str | None = None, show: dict | None = None
    ) -> Iterator[dict]:
        """Open a scene with a question, or the first that fits it; show: see `case`."""
        tab, session = self.tab, scene_session(model, seed, question)
        yield from self.case(session, tab.picture_notes, show, lambda: {tab.thumbs: chosen()})

    def some_scene(self, model_key: str) -> Iterator[dict]:
        """Open a scene drawn at random; its seed is shown, so that it can be had again."""
        yield from self.new_scene(random.randrange(SEEDS), model_key)

    def ask_again(self, question: str | None, model_key: str, session: Session) -> Iterator[dict]:
        """Ask something else about the same picture."""
        session = replace(session, question=question or "", model=model_key)
        yield from self.case(session, self.tab.question_notes)

    def suggested(
        self, message: SuggestionMessage, model_key: str, session: Session
    ) -> Iterator[dict]:
        """Ask a suggested question."""
        if message.chosen in session.suggestions:
            yield from self.ask_again(message.chosen, model_key, session)

    def other_model(self, model_key: str, session: Session) -> Iterator[dict]:
        """Ask another model the same."""
        yield from self.case(replace(session, model=model_key), self.model_notes)

    def example(self, message: ExampleMessage) -> dict:
        """Open a finished example; no model runs."""
        if message.chosen not in examples.names():
            return {self.tab.picture_notes: components.lines("error", "There is no such example.")}
        return self.finished(message.chosen)

    def finished(self, name: str, show: dict | None = None) -> dict:
        """Show an example; show: see `case`."""
        tab, shown = self.tab, examples.load(name)
        session = example_session(shown)
        return {
            tab.session: session,
            self.model: session.model,
            tab.stage: shown["case"] | {"seed": session.seed, "show": show},
            tab.chips: components.chips_value(list(session.suggestions)),
            tab.question: session.question,
            tab.seed: session.seed,
            tab.picture_notes: None,
            tab.question_notes: components.lines("note", *shown["case"]["notes"]),
        }

    def link(self, message: LinkMessage) -> Iterator[dict]:
        """Open what a link asks for. Raises `BadLink` or `BadBudget` where that can't be had."""
        wanted = ui_link.read(message.query)
        if wanted is None:
            return
        picture = open_picture(scenes.make(wanted.seed).image)
        if wanted.budget is not None:
            request = CaseRequest.make(wanted.model, picture, wanted.question)
            app_state = self.app_state
            tokens = app_state.use_cases.count_tokens(request, cache=app_state.cache)
            check_budget(wanted.budget, tokens)
        if wanted.example:
            example = {self.tab.thumbs: chosen(wanted.example)}
            yield self.finished(wanted.example, wanted.show) | example
            return
        yield from self.scene(wanted.seed, wanted.model, wanted.question, wanted.show)


def example_session(shown: dict) -> Session:
    """Make the session of a finished example."""
    scene = scenes.make(shown["seed"])
    return Session(
        model=shown["case"]["model"],
        picture=open_picture(scene.image),
        question=shown["case"]["question"],
        truths=questions.truths(scene),
        suggestions=tuple(shown["case"]["suggestions"]),
        seed=scene.seed,
    )


def scene_session(model: str, seed: int, question: str | None = None) -> Session:
    """Make the session of a scene, with the first question that fits it if none is given."""
    scene = scenes.make(seed)
    suggested = tuple(questions.suggest(scene))
    return Session(
        model,
        open_picture(scene.image),
        question or suggested[0],
        questions.truths(scene),
        suggested,
        seed,
    )


def chosen(name: str | None = None) -> dict:
    """Give the value of the examples when this one is open, or none of them."""
    return {"items": examples.thumbs(), "chosen": name, "asked": 0}
