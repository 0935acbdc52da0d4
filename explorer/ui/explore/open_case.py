"""Opening another case: by a picture, an example, a scene, a question, a link, a file, a model.

Every way ends in `case`: the picture is shown at once, then the full answer word by word, then the
map of the method that is looked at; maps.py brings those that take long. What goes wrong is said
where it arises, and leaves everything else as it was.
Nothing is written into the fields of the page: what stands there is the visitor's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import gradio as gr

from explorer.cases.answers import check_budget
from explorer.cases.pictures import open_beside
from explorer.cases.records import Analysis
from explorer.cases.request import CaseRequest
from explorer.errors import BadPicture, BadQuestion, VisitorError
from explorer.media.image import open_picture
from explorer.pico.data import questions, scenes
from explorer.ui import components, examples, messages
from explorer.ui import link as ui_link
from explorer.ui.explore.blocks import Explore
from explorer.ui.explore.opening_messages import (
    Example,
    Link,
    Opening,
    OpeningMessage,
    Question,
    RightAnswer,
    Scene,
    Upload,
)
from explorer.ui.explore.photo_note import photo_note
from explorer.ui.explore.sessions import example_session, scene_session, told
from explorer.ui.payloads.answer import answer_payload
from explorer.ui.payloads.case import case_payload, pending_payload
from explorer.ui.requests import announce, is_stale
from explorer.ui.session import FORGOTTEN, PARTIAL_SECONDS, AppState, Session
from explorer.ui.web import uploads
from explorer.ui.web.stages import SCORING, with_stages

GONE = "This picture of yours was kept for one tab of the browser; please choose it anew."
CHANNEL = "opening"  # of the tickets


@dataclass(frozen=True)
class CaseOpener:
    """The handlers of all events that open a case; they give updates for the blocks of the tab.

    files: opens a saved case, given the text of a file. looked_at: the method on the page.
    """

    tab: Explore
    app_state: AppState
    model_notes: gr.HTML
    files: Callable[[CaseOpener, str], Iterator[dict]]
    looked_at: str | None = None

    def outputs(self) -> list:
        """List every block that a handler may change."""
        tab = self.tab
        return [
            tab.session,
            tab.stage,
            tab.readout,
            tab.picture,
            tab.opened,
            tab.picture_notes,
            tab.question_notes,
            tab.share.stored,
            tab.share.notes,
            self.model_notes,
        ]

    def announce(self, sent: object, request: gr.Request) -> None:
        """Take down that a visitor wants another case, so that what was opening before may stop."""
        announce(self.app_state.tickets, CHANNEL, sent, request)

    def is_stale(self, *inputs: object) -> bool:
        """Tell whether the visitor wants another case by now. inputs: as of `open` or `upload`."""
        *_, sent, _, request = inputs
        return is_stale(self.app_state.tickets, CHANNEL, sent, request)

    def refusal(self, error: VisitorError, *inputs: object) -> dict:
        """Give what is said where a visitor asks for too much; inputs: see `open`, `upload`."""
        *_, sent, _, _ = inputs
        ended = {self.tab.opened: {"ticket": messages.ticket_of(sent)}}
        return {self.tab.question_notes: components.lines("error", str(error))} | ended

    def unbegun(self, *inputs: object) -> None:
        """Delete the picture of an upload that is never opened; inputs: see `open`, `upload`."""
        *paths, _sent, _session, _request = inputs
        for path in filter(None, paths):
            uploads.discard(path)

    def open(self, sent: object, session: Session, request: gr.Request) -> Iterator[dict]:
        """Open what a message asks for, unless the visitor has asked for something else since."""
        yield from self._newest(None, sent, session, request)

    def upload(
        self, path: str | None, sent: object, session: Session, request: gr.Request
    ) -> Iterator[dict]:
        """Open an uploaded, pasted or photographed picture with the question of the page."""
        if path is None:
            return
        try:
            yield {self.tab.picture: None}
            yield from self._newest(path, sent, session, request)
        finally:  # also where something newer was asked for before it was opened
            uploads.discard(path)

    def _newest(
        self, path: str | None, sent: object, session: Session, request: gr.Request
    ) -> Iterator[dict]:
        """Give the replies to a message until there is a newer one; the last says that it is."""
        ticket = messages.ticket_of(sent)
        ended = {self.tab.opened: {"ticket": ticket}}
        place = self.tab.picture_notes
        last = False
        try:
            message = messages.read(OpeningMessage, sent)
            opens, opener = message.opens, replace(self, looked_at=message.method)
            place = self._error_place(opens)
            case = getattr(opens, "case", None)
            if session.untouched and case not in (None, session.id):
                yield {self.tab.opened: {"ticket": ticket, "case": case} | FORGOTTEN}
                return
            with closing(opener._opened(opens, path, session)) as replies:
                for reply in replies:
                    if self.is_stale(sent, session, request):
                        return
                    last = self._is_last(reply)
                    opened = reply.get(self.tab.session)
                    name = {"ticket": ticket, "picture": opened and opened.picture.digest}
                    yield reply | {self.tab.opened: name} if last else reply
            if not last:
                yield ended
        except VisitorError as error:
            place = self.tab.picture_notes if isinstance(error, BadPicture) else place
            yield {place: components.lines("error", str(error))} | ended
        except Exception:  # a mistake of ours: nobody shall wait for it, and we hear of it
            yield ended
            raise

    def _error_place(self, opens: Opening) -> gr.HTML:
        """Name where to say what no other place is meant for."""
        tab = self.tab
        places = {"question": tab.question_notes, "truth": tab.question_notes}
        return ({"file": tab.share.notes} | places).get(opens.kind, tab.picture_notes)

    def _is_last(self, reply: dict) -> bool:
        """Tell whether a case is open with this reply, or is known not to open."""
        stage, readout = reply.get(self.tab.stage), reply.get(self.tab.readout)
        return bool(stage and not stage.get("pending")) or bool(readout and readout.get("failed"))

    def _opened(self, opens: Opening, path: str | None, session: Session) -> Iterator[dict]:
        """Open a case in the way that a message names."""
        if isinstance(opens, Question):
            asked = replace(session, question=opens.question)
            yield from self.case(asked, self.tab.question_notes)
        elif isinstance(opens, RightAnswer):
            yield from self.case(told(session, opens.truth), self.tab.question_notes)
        elif isinstance(opens, Upload):
            yield from self._picture(opens, path, session)
        elif isinstance(opens, Scene):
            asked = scene_session(session.model, opens.seed, opens.question)
            yield from self.case(asked, self.tab.picture_notes, opens.show.place)
        elif isinstance(opens, Example):
            if opens.chosen not in examples.names():
                raise BadPicture("There is no such example.")
            yield self.finished(opens.chosen)
        elif isinstance(opens, Link):
            yield from self._link(opens)
        else:
            yield from self.files(self, opens.text)

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
        session = replace(session, question=question, model=model, untouched=False)
        yield {tab.question_notes: components.lines("busy", f"{SCORING} …")}
        failed = {"ticket": 0, "case": session.id, "answers": [], "failed": True}
        try:
            analysis = yield from self._unfolded(session, (show or {}).get("method"))
        except VisitorError as error:
            place = {BadPicture: tab.picture_notes, BadQuestion: tab.question_notes}
            yield {
                tab.question_notes: None,
                self.model_notes: None,
                tab.readout: failed,
                place.get(type(error), error_place): components.lines("error", str(error)),
            }
            return
        except Exception:  # a mistake of ours: the page goes back to before, and we hear of it
            yield {tab.readout: failed}
            raise
        word_lines = [line for line in analysis.notes if line not in session.picture.notes]
        session = replace(session, question=analysis.question)
        opened = case_payload(analysis, session.truth, list(session.suggestions), lean=True)
        about = {"seed": session.seed, "show": show, "truth_told": session.is_truth_told}
        about["remark"] = photo_note(session)
        yield {
            tab.session: session,
            tab.stage: opened | about,
            tab.picture_notes: components.lines("note", *session.picture.notes),
            tab.question_notes: components.lines("note", *word_lines),
            self.model_notes: None,
            **also(),
        }

    def _unfolded(self, session: Session, method: str | None) -> Generator[dict, None, Analysis]:
        """Show the picture as soon as it is known to be good, and the full answer as it comes."""
        tab, id_, unfold = self.tab, session.id, self.app_state.use_cases.unfold
        request, cache = session.request, self.app_state.cache
        methods = [each for each in (method, self.looked_at) if each is not None][:1]
        events = unfold(request, PARTIAL_SECONDS, methods=methods, cache=cache)
        for number, found in enumerate(with_stages(events, request.model)):
            if isinstance(found, Analysis):
                return found
            if number == 0:
                yield {tab.stage: pending_payload(id_, session.picture, session.question)}
            if isinstance(found, str):
                yield {tab.question_notes: components.lines("busy", found)}
                continue
            payload = answer_payload(found, session.truth, id_)
            yield {tab.readout: {"ticket": 0, "case": id_, "answers": [payload]}}
        raise RuntimeError("an analysis ended without its result")

    def _picture(self, opens: Upload, path: str | None, session: Session) -> Iterator[dict]:
        """Open an uploaded picture; a path that the message names may only be of an upload."""
        if opens.path == "":
            raise BadPicture(GONE)
        path = path if opens.path is None else uploads.check(opens.path)
        try:
            picture = open_beside(path)
        finally:
            if opens.path is not None:
                uploads.discard(path)
        general = tuple(questions.GENERAL_QUESTIONS)
        words = opens.question if opens.question.strip() else general[0]
        made = Session(opens.model or session.model, picture, words, suggestions=general)
        yield {self.tab.picture_notes: None}
        answers = {questions.normalise(words): truth for words, truth in opens.told.items()}
        made = replace(made, told=answers)
        yield from self.case(made, self.tab.picture_notes, opens.show.place)

    def other_model(self, model_key: str, session: Session) -> Iterator[dict]:
        """Ask another model the same."""
        yield from self.case(replace(session, model=model_key), self.model_notes)

    def finished(self, name: str, show: dict | None = None) -> dict:
        """Show an example; no model runs. show: see `case`."""
        tab, example = self.tab, examples.load(name)
        session = example_session(example)
        return {
            tab.session: session,
            tab.stage: example["case"] | {"seed": session.seed, "show": show},
            tab.picture_notes: None,
            tab.question_notes: components.lines("note", *example["case"]["notes"]),
        }

    def _link(self, opens: Link) -> Iterator[dict]:
        """Open what a link asks for. Raises `BadLink` or `BadBudget` where that can't be had."""
        wanted = ui_link.read(opens.query)
        if wanted is None:
            return
        picture = open_picture(scenes.make(wanted.seed).image)
        if wanted.budget is not None:
            request = CaseRequest.make(wanted.model, picture, wanted.question)
            app_state = self.app_state
            tokens = app_state.use_cases.count_tokens(request, cache=app_state.cache)
            check_budget(wanted.budget, tokens)
        if wanted.example:
            yield self.finished(wanted.example, wanted.show)
            return
        session = scene_session(wanted.model, wanted.seed, wanted.question)
        yield from self.case(session, self.tab.picture_notes, wanted.show)
