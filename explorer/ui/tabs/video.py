"""The tab "Video": frames of a clip, QuoTA's share of a budget for each, and what is answered then.

Layout and wiring only. The browser has the grids of all frames at all budgets; it asks for answers,
for other exponents and for the maps of methods, and the reply grows while they are worked out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import gradio as gr

from explorer.analyses.video import frame_scoring
from explorer.analyses.video.answers import VideoAnalysis
from explorer.analyses.video.budgets import BudgetAllocation
from explorer.analyses.video.clip_case import VideoRequest
from explorer.analyses.video.coherence import COUNTS
from explorer.errors import VisitorError
from explorer.media.video import MOST_FRAMES, Clip, from_images, read_seconds
from explorer.media.video_process import open_in_process
from explorer.methods.chance import chance_of, title_of
from explorer.pico.data import videos
from explorer.ui import components
from explorer.ui.payloads.video import answers_payload, coherence_payload, video_payload
from explorer.ui.requests import Channel, connect, serve_request, task_channel
from explorer.ui.session import AppState, Session, visitor_of
from explorer.ui.tab_messages import FilmMessage, VideoMessage
from explorer.ui.web.model_queue import ModelQueue, QueueHooks, Stop
from explorer.ui.web.stages import with_stages
from explorer.vlm.turns.current_run import yield_turn

EXAMPLE = 1  # the seed of the built-in film,
ACTS = ("cat", "tree", "owl", "bus", "robot", "owl", "pizza", "fish", "key")
QUESTION, TRUTH = "is there an owl in the picture ?", "yes"
FRAMES = 9
PRIVACY = (
    "Only the chosen frames are kept in memory; the file itself is deleted when you leave or open "
    "another one."
)
BUSY = "Looking at the frames and asking each of them …"


@dataclass(frozen=True)
class VideoSession:
    """What one visitor looks at in this tab. source: a file's path, or "" for the built-in film."""

    model: str
    source: str
    clip: Clip
    question: str
    things: tuple[str, ...] = ()

    @cached_property
    def request(self) -> VideoRequest:
        """What is open, checked: what the use cases take. Raises `VisitorError`."""
        return VideoRequest.make(self.model, self.clip, self.question)

    @property
    def id(self) -> str:
        """The name of what is open."""
        return self.request.id

    @property
    def nbytes(self) -> int:
        """Bytes held in memory."""
        return self.clip.nbytes

    @property
    def truth(self) -> str | None:
        """The right answer, where it is known."""
        return TRUTH if not self.source and self.question == QUESTION else None


def build(app_state: AppState, tab: gr.Tab, explored: gr.State, model_queue: ModelQueue) -> None:
    """Lay out the tab and wire it. explored: what the visitor looks at in the tab "Explore"."""
    with gr.Row(elem_id="vt-video"):
        with gr.Column(elem_id="vt-video-left"):
            inputs = _inputs()
        with gr.Column(elem_id="vt-video-right"):
            panel = components.html_block(
                '<div class="vt-video-view"></div>',
                "mountVideo",
                elem_id="vt-video-view",
            )
    inbound = components.inbound("mountVideoReply")
    outbound = components.outbound("mountVideoRequest", "ask", "announce")
    session = gr.State(None)
    blocks = inputs | {"panel": panel, "session": session, "explored": explored, "tab": tab}
    _wire_opening(app_state, blocks, model_queue)
    channel = Channel("video", outbound, inbound, session, event="ask", tickets=app_state.tickets)

    def ask(now: VideoSession, message: VideoMessage, stop: Stop) -> Iterator[dict]:
        events = app_state.use_cases.answer_video(
            now.request,
            now.things,
            BudgetAllocation(message.alpha, message.version),
            message.budget,
            message.method,
            message.at,
            tables=message.tables,
            draw=message.map,
            cache=app_state.cache,
        )
        yield from answers_payload(events, message.at is not None, now.truth)

    serve_request(channel, VideoMessage, ask, model_queue.of_long_jobs)
    fewer = task_channel("video", "mountVideoTask", "coherence", app_state, session)

    def over_fewer(now: VideoSession, message: FilmMessage, stop: Stop) -> Iterator[dict]:
        about = message.method, message.budget
        rows: list[dict] = []
        for found in app_state.use_cases.coherence(
            now.request, *about, cache=app_state.cache, stop=stop
        ):
            rows.append(coherence_payload(found))
            yield {"rows": list(rows), "progress": [len(rows), len(COUNTS)]}
        yield {"rows": rows, "random": title_of(chance_of(message.method)), "done": True}

    serve_request(fewer, FilmMessage, over_fewer, model_queue.of_long_jobs)


def _inputs() -> dict[str, object]:
    gr.HTML("<h2>Video</h2>", apply_default_css=False)
    file = components.FileInput(
        label="MP4, WebM or GIF", type="filepath", height=132, elem_id="vt-video-file"
    )
    with gr.Row(elem_id="vt-video-frames"):
        count = components.WholeInput(
            FRAMES, label="Frames", precision=0, minimum=2, maximum=MOST_FRAMES, min_width=70
        )
        seconds = gr.Textbox(
            label="or at these seconds", placeholder="0, 1.5, 3", min_width=90, max_lines=1
        )
    take = gr.Button("Take these frames", size="sm", elem_id="vt-video-take")
    gr.HTML("<h2>Question</h2>", apply_default_css=False)
    question = gr.Textbox(
        QUESTION, label="Question", show_label=False, max_lines=3, elem_id="vt-video-question"
    )
    things = gr.Textbox(
        label="Look for (found in the question if empty)",
        placeholder="owl, red circle",
        max_lines=2,
        elem_id="vt-video-things",
    )
    with gr.Row(elem_id="vt-video-buttons"):
        asking = gr.Button("Ask", size="sm", elem_id="vt-video-ask")
        example = gr.Button("Example film", size="sm", elem_id="vt-video-example")
    notes = components.notes("vt-video-notes")
    gr.HTML(f'<p class="vt-small">{PRIVACY}</p>', apply_default_css=False)
    names = ("file", "count", "seconds", "take", "question", "things", "asking", "example", "notes")
    return dict(
        zip(
            names,
            (file, count, seconds, take, question, things, asking, example, notes),
            strict=True,
        )
    )


def _taken(source: str, count: object, seconds: str) -> Clip:
    """Take frames of a file, or of the built-in film."""
    if not source:
        return from_images(videos.make(EXAMPLE, ACTS).images, videos.FPS, count)
    return open_in_process(source, count, read_seconds(seconds), meanwhile=yield_turn)


@dataclass(frozen=True)
class VideoOpener:
    """The handlers of all events that open a film; they give updates for the blocks of the tab."""

    app_state: AppState
    blocks: dict

    def outputs(self) -> list:
        """List every block that a handler may change."""
        names = ("panel", "notes", "session")
        return [self.blocks[name] for name in names]

    def waiting(self, place: tuple[int, int], *_: object) -> dict:
        """Tell where in the queue a film stands that is to be opened, or asked about."""
        number, of = place
        said = f"Waiting: number {number} of {of} in the queue …"
        return {self.blocks["notes"]: components.lines("busy", said)}

    def unbegun(self, path: str | None, *_: object) -> None:
        """Delete an upload that is never opened."""
        if path is not None:
            self.app_state.files.discard(path)

    def _show(self, made: VideoSession) -> Iterator[dict]:
        blocks, app_state = self.blocks, self.app_state
        analyse_video, cache = app_state.use_cases.analyse_video, app_state.cache
        yield {blocks["notes"]: components.lines("busy", BUSY)}

        def looked() -> Iterator[VideoAnalysis]:
            yield analyse_video(made.request, made.things, cache=cache)

        try:
            for found in with_stages(looked(), made.model):
                if isinstance(found, str):
                    yield {blocks["notes"]: components.lines("busy", found)}
                    continue
                shown = video_payload(made.request, found, made.truth)
                yield {blocks["panel"]: shown, blocks["session"]: made, blocks["notes"]: None}
        except VisitorError as error:
            yield {blocks["notes"]: components.lines("error", str(error))}

    def _take(
        self, source: str, count: object, typed: VideoWords, explored: Session
    ) -> Iterator[dict]:
        try:
            clip = _taken(source, count, typed.seconds)
        except VisitorError as error:
            yield {self.blocks["notes"]: components.lines("error", str(error))}
            return
        things = tuple(frame_scoring.typed(typed.things))
        model = explored.model
        yield from self._show(VideoSession(model, source, clip, typed.question, things))

    def upload(
        self,
        path: str | None,
        count,
        seconds,
        question,
        things,
        explored: Session,
        request: gr.Request,
    ) -> Iterator[dict]:
        """Open an uploaded film; its file is kept as long as other frames may be taken from it."""
        if path is not None:
            self.app_state.files.keep(visitor_of(request), path)
            yield from self._take(path, count, _typed(question, things, seconds), explored)

    def take(self, count, seconds, question, things, explored: Session, now) -> Iterator[dict]:
        """Take other frames of the film that is open, or of the built-in one."""
        source = now.source if now else ""
        yield from self._take(source, count, _typed(question, things, seconds), explored)

    def ask(self, question, things, explored: Session, now: VideoSession | None) -> Iterator[dict]:
        """Ask something else about the film that is open."""
        typed = _typed(question, things)
        if now is None:
            yield from self._take("", FRAMES, typed, explored)
            return
        looked_for = tuple(frame_scoring.typed(typed.things))
        asked = {"question": typed.question.strip(), "things": looked_for, "model": explored.model}
        yield from self._show(replace(now, **asked))

    def example(self, count, explored: Session) -> Iterator[dict]:
        """Open the built-in film with its own question."""
        yield from self._take("", count, VideoWords(QUESTION), explored)

    def first(self, explored: Session, now: VideoSession | None) -> Iterator[dict]:
        """Open the built-in film where none was opened before."""
        if now is None:
            yield from self._take("", FRAMES, VideoWords(QUESTION), explored)


@dataclass(frozen=True)
class VideoWords:
    """What a visitor has typed: the question, what to look for, and the times of the frames."""

    question: str
    things: str = ""
    seconds: str = ""


def _typed(*words: str | None) -> VideoWords:
    """Take an empty field, which a browser may send as nothing, for an empty text."""
    return VideoWords(*(text or "" for text in words))


def _wire_opening(app_state: AppState, blocks: dict, model_queue: ModelQueue) -> None:
    """Connect everything that opens a film: file, frames, question, things, example, the tab."""
    opener = VideoOpener(app_state, blocks)
    runs = {"outputs": opener.outputs(), "trigger_mode": "always_last"}
    runs |= {"queue": model_queue.of_long_jobs, "hooks": QueueHooks(waiting=opener.waiting)}
    frames, words = [blocks["count"], blocks["seconds"]], [blocks["question"], blocks["things"]]
    explored, session = blocks["explored"], blocks["session"]
    uploaded = [blocks["file"], *frames, *words, explored]
    hooks = QueueHooks(waiting=opener.waiting, unbegun=opener.unbegun)
    connect(blocks["file"].upload, opener.upload, uploaded, **runs | {"hooks": hooks})
    takes = partial(gr.on, [blocks["take"].click, blocks["count"].submit, blocks["seconds"].submit])
    connect(takes, opener.take, [*frames, *words, explored, session], **runs)
    asks = partial(
        gr.on, [blocks["asking"].click, blocks["question"].submit, blocks["things"].submit]
    )
    connect(asks, opener.ask, [*words, explored, session], **runs)
    # The fields are filled by the browser, at once: a reply would come when others are typing.
    filled = [blocks["question"], blocks["things"], blocks["seconds"]]
    own = f"() => {json.dumps([QUESTION, '', ''])}"
    blocks["example"].click(None, None, filled, js=own, api_visibility="private")
    connect(blocks["example"].click, opener.example, [blocks["count"], explored], **runs)
    connect(blocks["tab"].select, opener.first, [explored, session], **runs)
