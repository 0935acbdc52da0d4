"""The tab "Video": frames of a clip, QuoTA's share of a budget for each, and what is answered then.

Layout and wiring only. The browser has the grids of all frames at all budgets; it asks for answers,
for other exponents and for the maps of methods, and the reply grows while they are worked out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import gradio as gr

from explorer.analyses.video import api, frame_scoring
from explorer.analyses.video.clip_case import make_video_request
from explorer.errors import VisitorError
from explorer.media.video import MOST_FRAMES, Clip, from_images, open_video, read_seconds
from explorer.pico.data import videos
from explorer.ui import components
from explorer.ui.session import AppState, ticket_of

EXAMPLE = 1  # the seed of the built-in film,
ACTS = ("cat", "tree", "owl", "bus", "robot", "owl", "pizza", "fish", "key")
QUESTION, TRUTH = "is there an owl in the picture ?", "yes"
FRAMES = 9
PRIVACY = (
    "Only the chosen frames are kept, and forgotten when you leave; the file itself is deleted "
    "within two hours."
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

    @property
    def case(self) -> tuple[str, Clip, str, tuple[str, ...]]:
        """Model, frames, question and what to look for, as the use cases take them."""
        return self.model, self.clip, self.question, self.things

    @property
    def truth(self) -> str | None:
        """The right answer, where it is known."""
        return TRUTH if not self.source and self.question == QUESTION else None


def build(desk: AppState, tab: gr.Tab, model: gr.Dropdown, on_model: dict) -> None:
    """Lay out the tab and wire it."""
    with gr.Row(elem_id="vt-video"):
        with gr.Column(elem_id="vt-video-left"):
            inputs = _inputs()
        with gr.Column(elem_id="vt-video-right"):
            board = components.html_block(
                '<div class="vt-film"></div>',
                "mountVideo",
                elem_id="vt-film",
            )
    reply = components.inbound("mountVideoReply")
    asking = components.outbound("mountVideoRequest", "ask", "announce")
    showing = gr.State(None)
    blocks = inputs | {"board": board, "showing": showing, "model": model, "tab": tab}
    _wire_opening(desk, blocks, on_model)
    _wire_asking(desk, asking, reply, showing, on_model)


def _inputs() -> dict[str, object]:
    gr.HTML("<h2>Video</h2>", apply_default_css=False)
    file = gr.File(label="MP4, WebM or GIF", type="filepath", height=132, elem_id="vt-video-file")
    with gr.Row(elem_id="vt-video-frames"):
        count = gr.Number(
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
    return open_video(source, count, read_seconds(seconds))


def _wire_opening(desk: AppState, blocks: dict, on_model: dict) -> None:
    """Connect everything that opens a film: file, frames, question, things, example, the tab."""
    board, notes, showing = blocks["board"], blocks["notes"], blocks["showing"]

    def show(made: VideoSession) -> Iterator[dict]:
        yield {notes: components.lines("busy", BUSY)}
        try:
            told = api.open_video(*made.case, truth=made.truth, memory=desk.memory)
        except VisitorError as error:
            yield {notes: components.lines("error", str(error))}
            return
        yield {board: told, showing: made, notes: None}

    def take(source, count, seconds, question, things, model) -> Iterator[dict]:
        try:
            clip = _taken(source, count, seconds)
        except VisitorError as error:
            yield {notes: components.lines("error", str(error))}
            return
        yield from show(
            VideoSession(model, source, clip, question, tuple(frame_scoring.typed(things)))
        )

    def upload(path: str | None, *rest) -> Iterator[dict]:
        if path is not None:
            yield from take(path, *rest)

    def again(count, seconds, question, things, model, now: VideoSession | None) -> Iterator[dict]:
        source = now.source if now else ""
        yield from take(source, count, seconds, question, things, model)

    def ask(question, things, model, now: VideoSession | None) -> Iterator[dict]:
        if now is None:
            yield from take("", FRAMES, "", question, things, model)
            return
        things = tuple(frame_scoring.typed(things))
        yield from show(replace(now, question=question.strip(), things=things, model=model))

    def example(count, model) -> Iterator[dict]:
        yield {blocks["question"]: QUESTION, blocks["things"]: "", blocks["seconds"]: ""}
        yield from take("", count, "", QUESTION, "", model)

    def first(model, now: VideoSession | None) -> Iterator[dict]:
        if now is None:
            yield from take("", FRAMES, "", QUESTION, "", model)

    outputs = [board, notes, showing, blocks["question"], blocks["things"], blocks["seconds"]]
    quiet = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
    runs = quiet | on_model | {"trigger_mode": "always_last"}
    frames, words = [blocks["count"], blocks["seconds"]], [blocks["question"], blocks["things"]]
    model = blocks["model"]
    blocks["file"].upload(upload, [blocks["file"], *frames, *words, model], **runs)
    takes = [blocks["take"].click, blocks["count"].submit, blocks["seconds"].submit]
    gr.on(takes, again, [*frames, *words, model, showing], **runs)
    asks = [blocks["asking"].click, blocks["question"].submit, blocks["things"].submit]
    gr.on(asks, ask, [*words, model, showing], **runs)
    blocks["example"].click(example, [blocks["count"], model], **runs)
    blocks["tab"].select(first, [model, showing], **runs)


# ---- answers ------------------------------------------------------------------------------------


def _wire_asking(
    desk: AppState, asking: gr.HTML, reply: gr.HTML, showing: gr.State, on_model: dict
) -> None:
    """Connect the sender of questions {film, budget, alpha, version, method, ...} with replies."""

    def announce(asked: dict, request: gr.Request) -> None:
        desk.filming.announce(request.session_hash, ticket_of(asked))

    def ask(asked: dict, now: VideoSession | None, request: gr.Request) -> Iterator[dict]:
        if now is None or not isinstance(asked, dict):
            return
        if asked.get("film") != make_video_request(now.model, now.clip, now.question).id:
            return
        ticket = ticket_of(asked)
        told = {"ticket": ticket, "film": asked.get("film"), "error": None}
        try:
            for more in api.answer_video(*now.case, asked, now.truth, desk.memory):
                if desk.filming.stale(request.session_hash, ticket):
                    return
                told = told | more
                yield told
        except VisitorError as error:
            yield told | {"error": str(error), "done": True}

    quiet = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
    asking.announce(announce, [asking], None, queue=False, **quiet)
    asking.ask(ask, [asking, showing], [reply], **quiet, **on_model)
